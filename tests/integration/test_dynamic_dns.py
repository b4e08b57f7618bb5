"""A ServiceEntry with DYNAMIC_DNS: hosts that only the requests name, looked up by the stock Envoy;
our sidecar says that it cannot, and serves on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hosts import Hosts
from tests.support.mesh import Mesh, until
from tests.support.proxies import ENVOY, OURS


def _entries(port: int) -> str:
    """`*.localhost` is this machine, whatever stands before it (RFC 6761)."""
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: parts}}
spec:
  hosts: ["*.localhost"]
  location: MESH_EXTERNAL
  resolution: DYNAMIC_DNS
  ports: [{{number: {port}, name: http, protocol: HTTP}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: still}}
spec:
  hosts: [still.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  endpoints: [{{address: 127.0.0.9}}]
  ports: [{{number: {port}, name: http, protocol: HTTP}}]
"""


@pytest.mark.parametrize("kind", [OURS, ENVOY])
def test_hosts_that_requests_name(kind: str, tmp_path: Path) -> None:
    with Hosts() as hosts, Mesh(tmp_path, kind) as mesh:
        mesh.write("entries.yaml", _entries(hosts.port))
        client = mesh.run("client", command=["sleep", "600"])

        def answer(host: str) -> tuple[int, str]:
            return client.get(f"{host}:{hosts.port}")

        until(lambda: answer("still.example") == (200, "127.0.0.9"), "the others", mesh.log)
        if kind == ENVOY:
            until(lambda: answer("a.localhost") == (200, "127.0.0.1"), "the host", mesh.log)
            assert answer("b.localhost") == (200, "127.0.0.1")
        else:
            assert answer("a.localhost")[0] == 503
            refused = f"cluster 'outbound|{hosts.port}||*.localhost'"
            assert refused in mesh.log("client-v1")
            assert "refuse its clusters by name" in mesh.mesh("status")
