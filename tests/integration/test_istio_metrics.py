"""Istio's standard metrics: what the sidecars of both ends report of calls and connections."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator

import pytest

from tests.support.manifests import STRICT, service
from tests.support.mesh import Mesh, Workload, until
from tests.support.ports import free_port
from tests.support.proxies import OURS

SERVICES = (
    service("reviews")
    + service("ledger", 9090, "tcp")
    + service("guess", 9070, "")
    + STRICT
    + """---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders: [{name: prometheus, prometheus: {}}]
"""
)
TELEMETRY = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: reviews}
spec:
  selector: {matchLabels: {app: reviews}}
  metrics:
  - overrides:
    - match: {metric: REQUEST_COUNT}
      tagOverrides:
        response_flags: {operation: REMOVE}
        tenant: {value: "request.headers['x-tenant']"}
    - match: {metric: REQUEST_SIZE}
      disabled: true
"""
PAGE = {
    "source_workload": "productpage-v1",
    "source_workload_namespace": "default",
    "source_principal": "spiffe://cluster.local/ns/default/sa/productpage",
    "source_app": "productpage",
    "source_version": "v1",
    "source_canonical_service": "productpage",
    "source_canonical_revision": "v1",
    "source_cluster": "Kubernetes",
}


def destination(name: str) -> dict[str, str]:
    return {
        "destination_workload": f"{name}-v1",
        "destination_workload_namespace": "default",
        "destination_principal": f"spiffe://cluster.local/ns/default/sa/{name}",
        "destination_canonical_service": name,
        "destination_canonical_revision": "v1",
        "destination_service": f"{name}.default.svc.cluster.local",
        "destination_service_name": name,
        "destination_service_namespace": "default",
        "destination_cluster": "Kubernetes",
    }


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("mesh"), OURS) as running:
        running.write("services.yaml", SERVICES)
        running.run("reviews", "--port", "9080:auto")
        running.run("ledger", "--port", "9090:auto")
        running.run("guess", "--port", "9070:auto")
        yield running


@pytest.fixture(scope="module")
def egress() -> int:
    return free_port()


@pytest.fixture(scope="module")
def page(mesh: Mesh, egress: int) -> Workload:
    flags = ("--egress", f"{egress}=ledger:9090")
    page = mesh.run("productpage", *flags, command=["sleep", "600"])
    until(lambda: page.get("reviews:9080")[0] == 200, "reviews does not answer", mesh.log)
    return page


def test_both_sides_report_a_request(mesh: Mesh, page: Workload) -> None:
    status, answer = page.get("reviews:9080")
    assert status == 200
    # What the sidecars tell each other is not for the application, nor for its client.
    assert not [name for name in answer["headers"] if "peer-metadata" in name.lower()]
    expected = {
        **PAGE,
        **destination("reviews"),
        "request_protocol": "http",
        "response_code": "200",
        "grpc_response_status": "",
        "response_flags": "-",
    }
    source = reported(page)
    assert {name: source[name] for name in expected} == expected
    assert source["reporter"] == "source"
    assert source["connection_security_policy"] == "unknown"
    # The client's sidecar is told the labels of whom it has called, too.
    assert (source["destination_app"], source["destination_version"]) == ("reviews", "v1")
    server = reported(mesh.workloads["reviews-v1"])
    assert {name: server[name] for name in expected} == expected
    assert server["reporter"] == "destination"
    assert server["connection_security_policy"] == "mutual_tls"
    assert (server["destination_app"], server["destination_version"]) == ("reviews", "v1")
    for workload in (page, mesh.workloads["reviews-v1"]):
        found = {name for name, _, _ in series(workload)}
        assert found >= {
            "istio_build",
            "istio_request_duration_milliseconds_bucket",
            "istio_request_bytes_sum",
            "istio_response_bytes_count",
        }


def test_both_sides_report_a_connection(mesh: Mesh, page: Workload, egress: int) -> None:
    def call() -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", egress, timeout=10)
        try:
            connection.request("GET", "/bytes")
            return connection.getresponse().read()
        finally:
            connection.close()

    answer = until(call, "ledger does not answer", mesh.log)
    # Nothing of the introductions is in it.
    assert answer.startswith(b'{"name": "ledger-v1"')
    ledger = mesh.workloads["ledger-v1"]
    for workload, reporter, policy in (
        (page, "source", "unknown"),
        (ledger, "destination", "mutual_tls"),
    ):
        closed = until(
            lambda workload=workload: one(
                workload, "istio_tcp_connections_closed_total", response_flags="-"
            ),
            "the end is not reported",
            mesh.log,
        )
        expected = {
            **PAGE,
            **destination("ledger"),
            "reporter": reporter,
            "request_protocol": "tcp",
            "response_flags": "-",
            "connection_security_policy": policy,
        }
        assert {name: closed[name] for name in expected} == expected
        assert "response_code" not in closed
        opened = one(workload, "istio_tcp_connections_opened_total", response_flags="-")
        assert opened == closed
        values = {name: value for name, labels, value in series(workload) if labels == closed}
        assert values["istio_tcp_sent_bytes_total"] > len(answer)
        assert values["istio_tcp_received_bytes_total"] > len("GET /bytes")
    told = ledger.stats("metadata_exchange.")
    assert told["metadata_exchange.alpn_protocol_found"] >= 1
    assert told["metadata_exchange.metadata_added"] >= 1
    assert page.stats("metadata_exchange.")["metadata_exchange.metadata_added"] >= 1


def test_requests_are_known_as_such_where_the_protocol_is_found_out(
    mesh: Mesh, page: Workload
) -> None:
    until(lambda: page.get("guess:9070")[0] == 200, "guess does not answer", mesh.log)
    guess = mesh.workloads["guess-v1"]
    found = reported(guess)
    assert found["source_workload"] == "productpage-v1"
    assert found["connection_security_policy"] == "mutual_tls"
    assert not [name for name, _, _ in series(guess) if name.startswith("istio_tcp_")]


def test_a_telemetry_changes_what_is_reported(mesh: Mesh, page: Workload) -> None:
    mesh.write("telemetry.yaml", TELEMETRY)
    reviews = mesh.workloads["reviews-v1"]

    def tenant() -> dict[str, str]:
        assert page.get("reviews:9080", headers={"x-tenant": "blue"})[0] == 200
        return one(reviews, "istio_requests_total", tenant="blue")

    changed = until(tenant, "the Telemetry is not followed", mesh.log)
    assert "response_flags" not in changed
    assert changed["source_workload"] == "productpage-v1"
    # Of the other side nothing was said.
    assert all("tenant" not in labels for _, labels, _ in series(page))
    # Histograms are brought up to date at intervals.
    until(
        lambda: (
            counted(reviews, "istio_response_bytes_count")
            == counted(reviews, "istio_requests_total")
        ),
        "sizes of responses are not reported",
        mesh.log,
    )
    sizes = counted(reviews, "istio_request_bytes_count")
    assert 0 < sizes < counted(reviews, "istio_response_bytes_count")


_LINE = re.compile(r"(istio_\w+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def series(workload: Workload) -> list[tuple[str, dict[str, str], float]]:
    """Istio's metrics on the sidecar's /stats/prometheus."""
    connection = http.client.HTTPConnection("127.0.0.1", workload.admin, timeout=5)
    try:
        connection.request("GET", "/stats/prometheus")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    found = map(_LINE.fullmatch, text.splitlines())
    return [(one[1], dict(_LABEL.findall(one[2])), float(one[3])) for one in found if one]


def one(workload: Workload, metric: str, **labels: str) -> dict[str, str]:
    """The labels of the only series of a metric that has these."""
    wanted = labels.items()
    found = [of for name, of, _ in series(workload) if name == metric and wanted <= of.items()]
    assert len(found) == 1, found
    return found[0]


def reported(workload: Workload) -> dict[str, str]:
    """The labels of its requests that were answered well. One is counted after its answer."""
    found: dict[str, str] = until(
        lambda: one(workload, "istio_requests_total", response_code="200"), "no request is counted"
    )
    return found


def counted(workload: Workload, metric: str) -> float:
    return sum(value for name, _, value in series(workload) if name == metric)
