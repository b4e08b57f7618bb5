"""Fields of Service without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet("spec.sessionAffinity", "hosts are chosen as DestinationRules say", only=("ClientIP",)),
    NotYet("spec.internalTrafficPolicy", "hosts of all nodes are used", only=("Local",)),
    NotYet("spec.externalIPs", "only its cluster IPs are listened on"),
    NotYet("spec.publishNotReadyAddresses", "hosts that are not ready are left out"),
)
