"""`io.istio.http.peer_metadata`: who is told what by which header, and what is passed on."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from tests.integration.conftest import StartMesh
from tests.support import config
from tests.support.client import Connection
from tests.support.http1 import Message
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import wait_for
from tests.support.upstream import Received, Reply, Upstream

ID, METADATA = "x-envoy-peer-metadata-id", "x-envoy-peer-metadata"
HEADERS: config.Tree = {"istio_headers": {}}
BAGGAGE: config.Tree = {"baggage": {}}
NODE = {
    "id": "sidecar~10.0.0.1~a-v1.shop~shop.svc.cluster.local",
    "cluster": "a",
    "metadata": {
        "NAMESPACE": "shop",
        "WORKLOAD_NAME": "a-v1",
        "CLUSTER_ID": "east",
        "LABELS": {"app": "a", "version": "v1", "role": "till", "secret": "x"},
    },
}
#: What the other side says of itself.
PEER = {"WORKLOAD_NAME": "b-v1", "NAMESPACE": "shop", "LABELS": {"app": "b"}}


def encoded(metadata: dict[str, Any]) -> str:
    said = Struct()
    said.update(metadata)
    return base64.b64encode(said.SerializeToString()).decode()


def decoded(text: str | None) -> dict[str, Any]:
    assert text is not None
    said = Struct.FromString(base64.b64decode(text))
    return {
        name: dict(value) if isinstance(value, Struct) else value for name, value in said.items()
    }


OF_PEER = {ID: "sidecar~b", METADATA: encoded(PEER)}


class Site:
    """A proxy with the filter, and what it said to whom."""

    def __init__(self, start: StartMesh, upstream: Upstream) -> None:
        self._start = start
        self._upstream = upstream
        self._port, self._admin_port = free_port(), free_port()
        self.proxy: Proxy

    def __call__(
        self, direction: str, istio: config.Tree | None = None, **methods: Any
    ) -> Callable[..., tuple[Received, Message]]:
        """Asks with headers; `istio`: of the cluster's metadata."""
        cluster = config.cluster("up", self._upstream.port)
        if istio is not None:
            cluster["metadata"] = {"filter_metadata": {"istio": istio}}
        manager = config.hcm(config.route_config("r", config.route("/", "up")))
        filters = [
            {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **fields}}
            for name, kind, fields in (
                ("istio.metadata_exchange", "io.istio.http.peer_metadata.Config", methods),
                ("istio.stats", "stats.PluginConfig", {}),
            )
        ]
        manager["http_filters"] = [*filters, *manager["http_filters"]]
        listener = config.listener("in", self._port, manager, traffic_direction=direction)
        text = config.bootstrap(self._admin_port, [listener], [cluster], node=NODE)
        self.proxy = self._start(text, self._admin_port)
        return self._ask

    def _ask(self, headers: dict[str, str]) -> tuple[Received, Message]:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with Connection(self._port) as client:
            answer = client.request(f"GET / HTTP/1.1\r\nhost: up\r\n{lines}\r\n".encode())
        return self._upstream.wait_requests(1)[-1], answer

    def wait_metric(self, label: str) -> None:
        """A request is counted a moment after its answer has left."""
        wait_for(lambda: label in self.metrics(), label)

    def metrics(self) -> str:
        _, text = self.proxy.admin("GET", "/stats/prometheus?filter=istio_requests_total")
        return text


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """It introduces itself in its first response."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in OF_PEER.items())
    answer = f"HTTP/1.1 200 OK\r\n{lines}content-length: 2\r\n\r\nok".encode()
    with Upstream() as upstream:
        upstream.script([Reply((answer,))])
        yield upstream


@pytest.fixture
def site(start: StartMesh, upstream: Upstream, tmp_path: Path) -> Site:
    """Not started yet."""
    return Site(start, upstream)


def test_a_client_tells_hosts_and_learns_who_answers(site: Site) -> None:
    ask = site(
        "OUTBOUND",
        upstream_discovery=[HEADERS, {"workload_discovery": {}}],
        upstream_propagation=[HEADERS],
        additional_labels=["role"],
    )
    # What the application says of itself does not count.
    got, answer = ask({METADATA: "made up"})
    assert got.all(ID) == [NODE["id"]]
    assert decoded(got.get(METADATA)) == {
        "NAMESPACE": "shop",
        "WORKLOAD_NAME": "a-v1",
        "CLUSTER_ID": "east",
        "LABELS": {"app": "a", "version": "v1", "role": "till"},
    }
    assert (answer.get(ID), answer.get(METADATA)) == (None, None)
    site.wait_metric('destination_workload="b-v1"')
    site.wait_metric('destination_app="b"')


@pytest.mark.parametrize(
    ("istio", "told"),
    [({}, True), ({"external": True}, False), ({"disable_mx": True}, False)],
)
def test_nothing_is_told_outside_the_mesh(site: Site, istio: config.Tree, told: bool) -> None:
    headers = {"istio_headers": {"skip_external_clusters": True}}
    ask = site("OUTBOUND", istio, upstream_propagation=[headers])
    got, answer = ask({})
    assert (got.get(ID) is not None, got.get(METADATA) is not None) == (told, told)
    # What is not read is not removed.
    assert answer.get(ID) == "sidecar~b"


def test_a_server_learns_who_asks_and_tells_who_has_told(site: Site) -> None:
    ask = site("INBOUND", downstream_discovery=[HEADERS], downstream_propagation=[HEADERS])
    got, answer = ask(OF_PEER)
    assert (got.get(ID), got.get(METADATA)) == (None, None)
    assert answer.get(ID) == NODE["id"]
    assert decoded(answer.get(METADATA))["WORKLOAD_NAME"] == "a-v1"
    site.wait_metric('source_workload="b-v1"')
    # Half of it is answered by half of it, nothing by nothing.
    _, answer = ask({ID: "sidecar~b"})
    assert (answer.get(ID), answer.get(METADATA)) == (NODE["id"], None)
    _, answer = ask({})
    assert (answer.get(ID), answer.get(METADATA)) == (None, None)


def test_what_nobody_understands_is_not_passed_on(site: Site) -> None:
    ask = site("INBOUND", downstream_discovery=[HEADERS])
    got, _ = ask({METADATA: "no base64!"})
    assert got.get(METADATA) is None
    site.wait_metric('source_workload="unknown"')


def test_baggage(site: Site) -> None:
    ask = site(
        "INBOUND",
        downstream_discovery=[HEADERS, BAGGAGE],
        downstream_propagation=[BAGGAGE],
        upstream_propagation=[BAGGAGE],
    )
    got, answer = ask({"baggage": "k8s.deployment.name=c-v1,service.name=c,user=alice"})
    site.wait_metric('source_workload="c-v1"')
    told = "k8s.pod.name=a-v1,app.name=a,app.version=v1,k8s.namespace.name=shop"
    told += ",k8s.cluster.name=east"
    assert (got.get("baggage"), answer.get("baggage")) == (told, told)
    # Headers go before it.
    ask({**OF_PEER, "baggage": "k8s.deployment.name=d-v1"})
    site.wait_metric('source_workload="b-v1"')
    assert 'source_workload="d-v1"' not in site.metrics()
