"""Fields of VirtualService without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet("spec.tcp[].match[].sourceSubnet", "connections from everywhere match, as in Istio"),
)
