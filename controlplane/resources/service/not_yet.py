"""Fields of Service without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet(
        "spec.sessionAffinity",
        "hosts are chosen as DestinationRules say, as in Istio",
        only=("ClientIP",),
    ),
    NotYet("spec.externalIPs", "only its cluster IPs are listened on, as in Istio"),
)
