"""AuthorizationPolicy CUSTOM: a provider of MeshConfig is asked by our own sidecar, over gRPC and
HTTP, under the control plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from tests.support.authorizer import DENIED, Authorizer
from tests.support.mesh import Mesh, Workload, until
from tests.support.proxies import OURS
from tests.support.upstream import Reply, Upstream

_RESOURCES = """
apiVersion: v1
kind: Service
metadata: {{name: reviews}}
spec:
  ports: [{{port: 9080, name: http}}]
  selector: {{app: reviews}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: authorizer}}
spec:
  hosts: [authorizer.example]
  ports: [{{number: {port}, name: {protocol}, protocol: {upper}}}]
  location: MESH_EXTERNAL
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: ask}}
spec:
  selector: {{matchLabels: {{app: reviews}}}}
  action: CUSTOM
  provider: {{name: authorizer}}
  rules:
  - to: [{{operation: {{paths: [/admin/*]}}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    extensionProviders:
    - name: authorizer
      {provider}
"""


def resources(port: int, protocol: str, provider: str) -> str:
    """All that the mesh has."""
    upper = protocol.upper()
    return _RESOURCES.format(port=port, protocol=protocol, upper=upper, provider=provider)


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Callable[[str], Workload]]:
    """A mesh of our sidecars; the program that asks `reviews`."""
    meshes: list[Mesh] = []

    def begin(text: str) -> Workload:
        mesh = Mesh(tmp_path, OURS)
        meshes.append(mesh)
        mesh.write("all.yaml", text)
        mesh.__enter__()
        mesh.run("reviews", "--port", "9080:auto")
        client = mesh.run("productpage", command=["sleep", "600"])
        until(lambda: _status(client, "/") == 200, "reviews is reached", mesh.log)
        return client

    yield begin
    for mesh in meshes:
        mesh.__exit__(None, None, None)


def _status(client: Workload, path: str) -> int:
    """Of a request; 0: the sidecar is not there yet."""
    try:
        return client.get("reviews:9080", path)[0]
    except OSError:
        return 0


def _deny_strangers(request: CheckRequest) -> CheckResponse:
    response = CheckResponse()
    if request.attributes.request.http.headers.get("x-user") != "anna":
        response.status.code = DENIED
        response.denied_response.body = "who are you?"
    return response


def test_a_provider_over_grpc_is_asked(ask: Callable[[str], Workload]) -> None:
    """About the paths of the policy and no others; who it does not know is refused; and when it is
    gone nobody passes."""
    with Authorizer(_deny_strangers) as authorizer:
        provider = (
            f"envoyExtAuthzGrpc: {{service: authorizer.example, port: {authorizer.port},"
            " timeout: 5s}"
        )
        client = ask(resources(authorizer.port, "grpc", provider))
        assert authorizer.asked == []
        assert client.get("reviews:9080", "/admin/x") == (403, "who are you?")
        headers = {"x-user": "anna"}
        assert client.get("reviews:9080", "/admin/x", headers=headers)[0] == 200
        assert client.get("reviews:9080", "/open")[0] == 200
        paths = [each.attributes.request.http.path for each in authorizer.asked]
        assert paths == ["/admin/x", "/admin/x"]
        source = authorizer.asked[0].attributes.source.principal
        assert source.endswith("/sa/productpage")
    assert client.get("reviews:9080", "/admin/x", headers=headers)[0] == 403
    assert client.get("reviews:9080", "/open")[0] == 200


def test_a_provider_over_http_is_asked(ask: Callable[[str], Workload]) -> None:
    """By path and headers that the provider names; its headers go on to the program."""
    said = b"HTTP/1.1 200 OK\r\nx-known: anna\r\ncontent-length: 0\r\n\r\n"
    refused = b"HTTP/1.1 401 Unauthorized\r\nx-why: stranger\r\ncontent-length: 2\r\n\r\nno"
    with Upstream() as server:
        provider = (
            f"envoyExtAuthzHttp: {{service: authorizer.example, port: {server.port},"
            " pathPrefix: /check, includeRequestHeadersInCheck: [x-user],"
            " headersToUpstreamOnAllow: [x-known], timeout: 5s}"
        )
        client = ask(resources(server.port, "http", provider))
        server.script([Reply((refused,)), Reply((said,))])
        assert client.get("reviews:9080", "/admin/x") == (401, "no")
        status, body = client.get("reviews:9080", "/admin/x", headers={"x-user": "anna"})
        assert status == 200
        assert body["headers"]["x-known"] == "anna"
        assert [each.path for each in server.requests] == ["/check/admin/x"] * 2
        assert [each.get("x-user") for each in server.requests] == [None, "anna"]
