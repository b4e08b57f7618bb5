"""The stock Envoy and our sidecar as clients of the discovery server, over both protocols."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.resources.resource import Key, Resource
from controlplane.xds import type_urls
from tests.support import config
from tests.support.hosts import Hosts
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.xds_resources import cluster, endpoints, listener, route
from tests.support.xds_server import XdsServer

NODE = "sidecar~127.0.0.1~app.default~default.svc.cluster.local"
TYPES = ("cds", "lds", "eds", "rds")


@pytest.fixture(params=["GRPC", "DELTA_GRPC"], ids=["sotw", "delta"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[ENVOY, OURS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Hosts() as hosts:
        yield hosts


class Mesh:
    """A control plane, one proxy that follows it, and hosts that say their address."""

    def __init__(self, kind: str, tmp_path: Path, protocol: str, hosts: Hosts) -> None:
        self.port, admin = free_port(), free_port()
        self.hosts = hosts
        self.server = XdsServer(
            cluster("a"), self.load("a", "127.0.0.2"), route("80", "a"),
            listener("0.0.0.0_80", self.port, "80"),
        )  # fmt: skip
        self.server.__enter__()
        text = bootstrap(admin, self.server.port, protocol)
        self.proxy = Proxy(kind, text, tmp_path, admin)

    def __enter__(self) -> Mesh:
        try:
            self.proxy.__enter__()
            self.converge()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.stop()
        self.server.__exit__()

    def load(self, name: str, *addresses: str) -> Resource[Any]:
        return endpoints(name, *((one, self.hosts.port) for one in addresses))

    def ask(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
            return str(answer.read().decode())

    def converge(self) -> None:
        """Until the proxy has all there is."""
        verdicts = self.server.wait()
        assert [str(one.state) for one in verdicts] == ["SYNCED"], verdicts

    def active(self) -> str:
        """The clusters that it uses."""
        return self.proxy.admin("GET", "/config_dump?resource=dynamic_active_clusters")[1]

    def rejected(self) -> dict[str, int]:
        """What it counts as refused."""
        found = {}
        for line in self.proxy.admin("GET", "/stats?filter=update_rejected")[1].splitlines():
            name, _, value = line.partition(": ")
            found[name] = int(value)
        return found


@pytest.fixture
def mesh(kind: str, tmp_path: Path, protocol: str, hosts: Hosts) -> Iterator[Mesh]:
    with Mesh(kind, tmp_path, protocol, hosts) as mesh:
        yield mesh


def bootstrap(admin: int, port: int, protocol: str) -> str:
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    xds = config.cluster("xds", port)
    http2 = {"explicit_http_config": {"http2_protocol_options": {}}}
    kind = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    xds["typed_extension_protocol_options"] = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": kind, **http2}
    }
    dynamic = {
        "lds_config": ads,
        "cds_config": ads,
        "ads_config": {
            "api_type": protocol,
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
        },
    }
    node = {"id": NODE, "cluster": "app", "metadata": {"NAMESPACE": "default"}}
    return config.bootstrap(admin, [], [xds], node=node, dynamic_resources=dynamic)


def test_traffic_flows_and_nothing_is_refused(mesh: Mesh) -> None:
    assert mesh.ask() == "127.0.0.2"
    assert set(mesh.rejected().values()) == {0}
    (proxy,) = mesh.server.status()
    assert proxy.proxy.id == "app.default"
    states = {type_urls.short(one.type_url): str(one.state) for one in proxy.types}
    assert {name: states[name] for name in TYPES} == dict.fromkeys(TYPES, "SYNCED")


def test_an_endpoint_is_followed(mesh: Mesh) -> None:
    for number in (3, 4, 5):
        (verdict,) = mesh.server.apply(mesh.load("a", f"127.0.0.{number}"))
        assert str(verdict.state) == "SYNCED", verdict
        assert mesh.ask() == f"127.0.0.{number}"
    assert set(mesh.rejected().values()) == {0}


def test_a_route_moves_to_a_new_cluster_and_the_old_one_goes_last(mesh: Mesh) -> None:
    """Every request on the way is answered: 503 would mean a route to a cluster that is not there
    or has no endpoints yet."""
    old = "a"
    for number in range(6, 16):
        new = f"c{number}"
        mesh.server.change(
            cluster(new), mesh.load(new, f"127.0.0.{number}"), route("80", new),
            removed=[Key(type_urls.CLUSTER, "", old), Key(type_urls.ENDPOINT, "", old)],
        )  # fmt: skip
        while (answer := mesh.ask()) != f"127.0.0.{number}":
            assert answer.startswith("127.0.0.")
        mesh.converge()
        old = new
    assert set(mesh.rejected().values()) == {0}
    clusters = mesh.proxy.admin("GET", "/clusters")[1]
    assert "c15::" in clusters
    assert "c14::" not in clusters


def test_a_cluster_that_changes_keeps_its_endpoints(mesh: Mesh) -> None:
    """Envoy warms the new version until it is given endpoints again."""
    (verdict,) = mesh.server.apply(cluster("a", connect_timeout="3s"))
    assert str(verdict.state) == "SYNCED", verdict
    while '"connect_timeout": "3s"' not in mesh.active():
        assert mesh.ask() == "127.0.0.2"
    # Not because it gave up waiting.
    assert not mesh.proxy.stat("cluster.a.init_fetch_timeout")
    assert mesh.ask() == "127.0.0.2"


def test_a_bad_listener_is_refused_and_named(mesh: Mesh) -> None:
    bad = listener("bad", free_port(), "80", filters=["nobody.knows.this"])
    (verdict,) = mesh.server.apply(bad)
    assert str(verdict.state) == "ERROR"
    assert verdict.reason.startswith("LDS: ")
    assert "nobody.knows.this" in verdict.reason
    status = mesh.server.type_status(type_urls.LISTENER)
    assert str(status.state) == "ERROR"
    assert [name for name, _ in status.refused] == ["bad"]
    # It harms nothing else, what is good goes on, and a good one mends it.
    assert mesh.ask() == "127.0.0.2"
    (verdict,) = mesh.server.apply(mesh.load("a", "127.0.0.9"))
    assert str(verdict.state) == "SYNCED"
    assert mesh.ask() == "127.0.0.9"
    (verdict,) = mesh.server.apply(listener("bad", free_port(), "80"))
    assert str(verdict.state) == "SYNCED", verdict
    assert str(mesh.server.type_status(type_urls.LISTENER).state) == "SYNCED"


def test_the_proxy_comes_back_to_a_new_control_plane(mesh: Mesh) -> None:
    """Ended streams are opened again; what is held is not taken from it meanwhile."""
    mesh.server.__exit__()
    assert mesh.ask() == "127.0.0.2"
    again = XdsServer(
        cluster("a"), mesh.load("a", "127.0.0.7"), route("80", "a"),
        listener("0.0.0.0_80", mesh.port, "80"),
        plaintext=f"127.0.0.1:{mesh.server.port}",
    )  # fmt: skip
    mesh.server = again
    again.__enter__()
    while mesh.ask() != "127.0.0.7":
        pass
    mesh.converge()
    assert set(mesh.rejected().values()) == {0}
