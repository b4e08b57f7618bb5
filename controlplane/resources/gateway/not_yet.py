"""Fields of Gateway without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet(
        "spec.servers[].tls.tlsCertificates[].caCertificates",
        "roots of clients are `tls.caCertificates`",
    ),
    NotYet("spec.servers[].defaultEndpoint", "routes come from VirtualServices, as in Istio"),
)
