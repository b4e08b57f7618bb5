"""controlplane.translation.listeners.inbound: where TLS that a Sidecar describes ends."""

from __future__ import annotations

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener

from controlplane.translation.translator import IstioTranslator
from mesh import api
from tests.support import meshes

_MESH = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: a}}
spec:
  ingress:
  - port: {{number: 8443, name: x, protocol: {protocol}}}
    defaultEndpoint: 127.0.0.1:8080
    tls: {tls}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: a}}
spec: {{mtls: {{mode: {mode}}}}}
"""
_PROXY = meshes.proxy(
    "{id: a-1.default, namespace: default, service_account: a, addresses: [10.0.0.1]}"
)
_FILES = "serverCertificate: /c, privateKey: /k"
_SIMPLE = f"{{mode: SIMPLE, {_FILES}}}"


def _chains(protocol: str, tls: str, mode: str) -> dict[str, tuple[str, bool]]:
    """Of the port: name, the filter that ends the chain, whether TLS ends there."""
    world = meshes.world(_MESH.format(protocol=protocol, tls=tls, mode=mode))
    node = IstioTranslator().everything(world.view(), api.LISTENER, _PROXY)
    found = [Listener.FromString(one.body) for one in world.graph.value_of(node)]
    (inbound,) = [one for one in found if one.name == "virtualInbound"]
    return {
        one.name: (one.filters[-1].name.rpartition(".")[2], one.HasField("transport_socket"))
        for one in inbound.filter_chains
        if one.filter_chain_match.destination_port.value == 8443
    }


@pytest.mark.parametrize(
    ("protocol", "tls", "mode", "chains"),
    [
        ("HTTPS", _SIMPLE, "DISABLE", {"10.0.0.1_8443": ("http_connection_manager", True)}),
        ("TLS", _SIMPLE, "DISABLE", {"10.0.0.1_8443": ("tcp_proxy", True)}),
        # The mesh's own TLS is there: nothing of it is given up.
        ("HTTPS", _SIMPLE, "STRICT", {"10.0.0.1_8443": ("tcp_proxy", True)}),
        # Nothing ends.
        ("TLS", "{mode: PASSTHROUGH}", "DISABLE", {"10.0.0.1_8443": ("tcp_proxy", False)}),
    ],
)
def test_tls_of_a_sidecar_ends_where_the_mesh_has_none(
    protocol: str, tls: str, mode: str, chains: dict[str, tuple[str, bool]]
) -> None:
    assert _chains(protocol, tls, mode) == chains
