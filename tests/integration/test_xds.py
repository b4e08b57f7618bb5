"""Configuration from an xDS server over gRPC: what is ACKed and NACKed, what changes under load."""

from __future__ import annotations

import json
import os
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from mesh import api
from tests.integration.conftest import StartMesh
from tests.support import config, tls_config
from tests.support.certs import Authority, Credential, client_context
from tests.support.client import Connection
from tests.support.load import Load
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.scripted_xds import ScriptedXds
from tests.support.upstream import Reply, Upstream
from tests.support.waiting import refuses, serves, until
from tests.support.xds_config import MODES, Sources, server_cluster

_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class World:
    """An xDS server with a listener, its routes, two clusters, one with endpoints by EDS."""

    def __init__(self, mode: str, start: StartMesh, one: Upstream, two: Upstream) -> None:
        self.sources = Sources(mode)
        self._start = start
        self.one, self.two = one, two
        self.port, self.admin_port = free_port(), free_port()
        self.server = ScriptedXds()
        self.server.__enter__()
        self.proxy: Proxy
        for up, name in ((one, b"a"), (two, b"b")):
            up.by_path["/"] = Reply((b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + name,))
        self.server.set(
            api.CLUSTER, self.sources.eds_cluster("one"), config.cluster("two", two.port)
        )
        self.endpoints(one.port)
        self.server.set(api.LISTENER, self.sources.listener("web", self.port))
        self.routes("one")

    def start(self, *flags: str, **more: Any) -> Proxy:
        text = self.sources.bootstrap(self.admin_port, self.server.port, [], **more)
        self.proxy = self._start(text, self.admin_port, "--drain-time-s", "2", *flags)
        return self.proxy

    def routes(self, to: str, **more: Any) -> None:
        self.server.set(api.ROUTE, config.route_config("routes", config.route("/", to), **more))

    def endpoints(self, *ports: int) -> None:
        self.server.set(api.ENDPOINT, config.load_assignment("one", *ports))

    def restart_server(self) -> ScriptedXds:
        """Another server with nothing, on the same port."""
        port = self.server.port
        self.server.stop()
        self.server = ScriptedXds(port, epoch="again-")
        self.server.__enter__()
        return self.server

    def get(self) -> tuple[int, bytes]:
        with Connection(self.port) as conn:
            answer = conn.request(_GET)
            return answer.status, answer.body

    def text(self, stat_name: str) -> str:
        for line in self.proxy.admin("GET", "/stats")[1].splitlines():
            name, _, value = line.partition(": ")
            if name == stat_name:
                return value.strip('"')
        return ""

    def dump(self) -> dict[str, Any]:
        sections = json.loads(self.proxy.admin("GET", "/config_dump?include_eds")[1])["configs"]
        return {one["@type"].rpartition(".")[2]: one for one in sections}


@pytest.fixture(params=list(MODES))
def world(
    request: pytest.FixtureRequest, start: StartMesh, upstream: Upstream, upstream_b: Upstream
) -> Iterator[World]:
    made = World(request.param, start, upstream, upstream_b)
    yield made
    made.server.stop()


@pytest.fixture
def of_mode(
    start: StartMesh, upstream: Upstream, upstream_b: Upstream
) -> Iterator[Callable[[str], World]]:
    """The world in a mode of the test's own."""
    made: list[World] = []

    def make(mode: str) -> World:
        made.append(World(mode, start, upstream, upstream_b))
        return made[-1]

    yield make
    for one in made:
        one.server.stop()


def test_everything_comes_from_the_server(world: World) -> None:
    """LDS, CDS, EDS and RDS; each is ACKed, and its statistics are Envoy's."""
    proxy = world.start()
    assert serves(world.port)
    assert world.get() == (200, b"a")
    for type_url in (api.CLUSTER, api.ENDPOINT, api.LISTENER, api.ROUTE):
        world.server.wait_ack(type_url)
    assert world.server.nacks == []
    for scope in ("cluster_manager.cds", "listener_manager.lds", "http.web.rds.routes"):
        assert world.text(f"{scope}.version_text") == "1", scope
        assert proxy.stat(f"{scope}.update_success") == 1, scope
        assert proxy.stat(f"{scope}.update_rejected") == 0, scope
    assert proxy.stat("cluster.one.update_success") == 1
    if world.sources.shared:
        assert proxy.stat("control_plane.connected_state") == 1
        assert world.text("control_plane.identifier") == "test-server"
    dump = world.dump()
    assert dump["ClustersConfigDump"]["version_info"] == "1"
    assert {
        c["cluster"]["name"] for c in dump["ClustersConfigDump"]["dynamic_active_clusters"]
    } == {
        "one",
        "two",
    }
    assert dump["RoutesConfigDump"]["dynamic_route_configs"][0]["version_info"] == "1"
    assert dump["EndpointsConfigDump"]["dynamic_endpoint_configs"]


def test_who_asks_is_said(world: World) -> None:
    """The node: whole in the first message of a stream, and with `once` in no other."""
    world.start("--service-zone", "here")
    assert serves(world.port)
    world.server.wait_ack(api.ROUTE)
    for stream in world.server.streams:
        first, *others = stream.requests
        assert (first.node.id, first.node.cluster) == ("test-node", "test-cluster")
        assert (first.node.user_agent_name, first.node.locality.zone) == ("fastmesh", "here")
        assert not any(one.HasField("node") for one in others)
    method = "DeltaAggregatedResources" if world.sources.delta else "StreamAggregatedResources"
    if world.sources.shared:
        assert [stream.method for stream in world.server.streams] == [method]
    else:
        assert len({stream.method for stream in world.server.streams}) == 4


def test_make_before_break_is_the_order_of_requests(of_mode: Callable[[str], World]) -> None:
    """One stream: clusters, their endpoints, then listeners and their routes."""
    for mode in ("ads-sotw", "ads-delta"):
        world = of_mode(mode)
        world.start()
        assert serves(world.port)
        (stream,) = world.server.streams
        order = list(dict.fromkeys(one.type_url for one in stream.requests))
        assert order == [api.CLUSTER, api.ENDPOINT, api.LISTENER, api.ROUTE], mode


@pytest.mark.parametrize("workers", ["1", "4"])
def test_everything_changes_under_load(world: World, workers: str) -> None:
    """Routes, endpoints, clusters and listeners change while requests run: none is lost."""
    world.start("--concurrency", workers)
    with Load(world.port) as load:
        load.wait_body("a")
        world.routes("two")
        load.wait_only("b")
        world.routes("one")
        load.wait_only("a")
        world.endpoints(world.two.port)
        load.wait_only("b")
        world.endpoints(world.one.port, world.two.port)
        load.wait_body("a")
        world.endpoints(world.one.port)
        load.wait_only("a")
        clusters = [world.sources.eds_cluster("one", lb_policy="RANDOM")]
        world.server.set(api.CLUSTER, *clusters, config.cluster("three", world.two.port))
        world.server.wait_ack(api.CLUSTER)
        world.routes("three")
        load.wait_only("b")
        world.server.set(api.LISTENER, world.sources.listener("web", world.port, server_name="x"))
        world.server.wait_ack(api.LISTENER)
        load.wait(100)
    assert (load.lost, load.statuses()) == ([], {200})
    assert world.server.nacks == []


def test_listeners_come_and_go(world: World) -> None:
    """A listener that is no longer there is closed; one that is new serves."""
    proxy = world.start()
    second = free_port()
    first = world.sources.listener("web", world.port)
    with Load(world.port) as load:
        load.wait(20)
        world.server.set(api.LISTENER, first, world.sources.listener("second", second))
        assert serves(second)
        world.server.set(api.LISTENER, first)
        assert refuses(second)
        load.wait(20)
    assert (load.lost, load.statuses(), load.reconnects) == ([], {200}, 0)
    assert proxy.stat("listener_manager.listener_removed") == 1


def test_a_bad_cluster_is_refused_and_the_good_ones_are_used(world: World) -> None:
    """Partial application: NACK with every reason, the last good version of the bad one serves."""
    proxy = world.start()
    assert serves(world.port)
    bad = world.sources.eds_cluster("one", lb_policy="CLUSTER_PROVIDED")
    why = (
        "cluster manager: cluster provided LB specified but cluster 'one' did not provide one. "
        "Check cluster documentation."
    )
    world.server.set(api.CLUSTER, bad, config.cluster("four", world.two.port))
    text = world.server.wait_nack(api.CLUSTER)
    assert "cluster 'one'" in text
    assert f"lb_policy: {why}" in text
    assert world.get() == (200, b"a")
    world.routes("four")
    with Load(world.port) as load:
        load.wait_only("b")
    assert proxy.stat("cluster_manager.cds.update_rejected") == 1
    assert world.text("cluster_manager.cds.version_text") == "1"
    failed = [
        one["error_state"]["details"]
        for one in world.dump()["ClustersConfigDump"]["dynamic_active_clusters"]
        if "error_state" in one
    ]
    assert failed == [f"lb_policy: {why}"]
    world.server.set(api.CLUSTER, world.sources.eds_cluster("one"))
    world.server.wait_ack(api.CLUSTER)
    assert len(world.server.nacks) == 1


def test_a_bad_route_is_refused(world: World) -> None:
    """A NACK of RDS; the old routes serve."""
    proxy = world.start()
    assert serves(world.port)
    action = {"match": {"safe_regex": {"regex": "("}}, "route": {"cluster": "two"}}
    world.server.set(api.ROUTE, config.route_config("routes", action))
    assert "route 'routes'" in world.server.wait_nack(api.ROUTE)
    assert world.get() == (200, b"a")
    assert proxy.stat("http.web.rds.routes.update_rejected") == 1
    world.routes("two")
    world.server.wait_ack(api.ROUTE)
    assert world.get() == (200, b"b")


def test_resources_of_the_wrong_type_are_refused(of_mode: Callable[[str], World]) -> None:
    """Nothing of such a response is used."""
    world = of_mode("ads-sotw")
    world.start()
    assert serves(world.port)
    stream = world.server.streams[0]
    from envoy.service.discovery.v3 import discovery_pb2 as pb

    response = pb.DiscoveryResponse(version_info="x", type_url=api.CLUSTER, nonce="wrong")
    response.resources.add(type_url=api.LISTENER, value=b"")
    world.server.inject(stream, response)
    assert "does not match the message-wide type URL" in world.server.wait_nack(api.CLUSTER)
    assert world.get() == (200, b"a")


@pytest.mark.parametrize("flag", [[], ["--ignore-unknown-dynamic-fields"]])
def test_fields_of_a_newer_api(of_mode: Callable[[str], World], flag: list[str]) -> None:
    """Refused by number, or left out if asked for."""
    world = of_mode("ads-delta")
    world.start(*flag)
    assert serves(world.port)
    bodies = {name: one[1] for name, one in world.server._resources[api.ROUTE].items()}
    # Field 1000, a varint.
    world.server.put(api.ROUTE, {name: body + b"\xc0\x3e\x01" for name, body in bodies.items()})
    if flag:
        world.server.wait_ack(api.ROUTE)
        assert world.server.nacks == []
    else:
        assert "field number 1000" in world.server.wait_nack(api.ROUTE)


def test_removed_cluster_that_routes_name(world: World) -> None:
    """The server's order is the server's business: 503 with NC, and nothing worse."""
    world.start()
    assert serves(world.port)
    world.server.set(api.CLUSTER, config.cluster("two", world.two.port))
    world.server.wait_ack(api.CLUSTER)
    until(lambda: world.get()[0] == 503)
    world.server.set(api.CLUSTER, world.sources.eds_cluster("one"))
    until(lambda: world.get() == (200, b"a"))


def test_server_goes_and_comes_back(world: World) -> None:
    """What is there serves meanwhile; the new server is told what is there, and its own holds."""
    proxy = world.start()
    with Load(world.port) as load:
        load.wait_body("a")
        world.server.stop()
        proxy.wait_stat("cluster_manager.cds.update_failure", 1)
        load.wait(50)
        server = world.restart_server()
        world.server.set(api.CLUSTER, world.sources.eds_cluster("one"))
        world.endpoints(world.two.port)
        server.set(api.LISTENER, world.sources.listener("web", world.port))
        world.routes("one")
        load.wait_only("b")
    assert (load.lost, load.statuses(), load.reconnects) == ([], {200}, 0)
    for type_url in (api.CLUSTER, api.LISTENER):
        server.wait_ack(type_url)
        first = server.requests(type_url)[0]
        assert not first.response_nonce
        if world.sources.delta:
            known = "one" if type_url == api.CLUSTER else "web"
            assert first.initial_resource_versions[known] == "1"
        else:
            assert first.version_info == "1"
    until(lambda: "\ntwo::default" not in "\n" + proxy.admin("GET", "/clusters")[1])


class Tls:
    """A listener that shows a certificate and asks for one; both secrets come from the server."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.authority = Authority(folder / "pki")
        self.client = self.authority.workload("client")
        tls = tls_config.downstream_tls(
            common={
                "tls_certificate_sds_secret_configs": [world.sources.secret("default")],
                "validation_context_sds_secret_config": world.sources.secret("ROOTCA"),
            },
            require_client_certificate=True,
        )
        tree = world.sources.listener("web", world.port)
        tree["filter_chains"][0]["transport_socket"] = tls
        world.server.set(api.LISTENER, tree)
        self.show("first")

    def show(self, name: str) -> Credential:
        credential = self.authority.server(name)
        ca = {"trusted_ca": {"inline_string": self.authority.cert.read_text()}}
        pair = {
            "certificate_chain": {"inline_string": credential.pem},
            "private_key": {"inline_string": credential.key_pem},
        }
        self.world.server.set(
            api.SECRET,
            {"name": "default", "tls_certificate": pair},
            {"name": "ROOTCA", "validation_context": ca},
        )
        return credential

    def connect(self) -> Connection:
        context = client_context(self.authority.cert, self.client)
        return Connection(self.world.port, tls=context)

    def shown(self) -> bytes:
        """The certificate that a new connection is shown."""
        with self.connect() as conn:
            assert isinstance(conn.sock, ssl.SSLSocket)
            return conn.sock.getpeercert(binary_form=True) or b""


def test_secrets_come_from_the_server(world: World, tmp_path: Path) -> None:
    """SDS: mutual TLS; a rotation holds for new connections and drops none."""
    tls = Tls(world, tmp_path)
    proxy = world.start()
    with tls.connect() as conn:
        assert conn.request(_GET).body == b"a"
        for type_url in (api.LISTENER, api.SECRET):
            world.server.wait_ack(type_url)
        second = tls.show("second")
        world.server.wait_ack(api.SECRET)
        until(lambda: tls.shown() == second.leaf.public_bytes(serialization.Encoding.DER))
        conn.raw, conn.methods = b"", []
        assert conn.request(_GET).body == b"a"
    assert proxy.stat("sds.default.update_success") == 2
    text = proxy.admin("GET", "/config_dump")[1]
    assert "PRIVATE KEY" not in text
    assert world.text("sds.default.version_text") == "2"


def test_snapshot_holds_no_secrets(of_mode: Callable[[str], World], tmp_path: Path) -> None:
    """Those by SDS are not written, nor a listener with a key in it."""
    world = of_mode("ads-sotw")
    tls = Tls(world, tmp_path)
    by_name = tls.world.sources.listener("web", world.port)
    credential = tls.authority.server("inline")
    inline = world.sources.listener("inline", free_port())
    inline["filter_chains"][0]["transport_socket"] = tls_config.downstream_tls(
        common={"tls_certificates": [tls_config.tls_certificate(credential, inline=True)]},
    )
    by_name["filter_chains"][0]["transport_socket"] = tls_config.downstream_tls(
        common={"tls_certificate_sds_secret_configs": [world.sources.secret("default")]}
    )
    world.server.set(api.LISTENER, by_name, inline)
    path = tmp_path / "last-good"
    world.start("--snapshot-path", str(path))
    until(path.exists)
    content = path.read_bytes()
    assert b"web" in content
    assert b"PRIVATE" not in content
    assert b"inline" not in content


def test_no_answer_in_time(of_mode: Callable[[str], World]) -> None:
    """initial_fetch_timeout: the proxy goes on without."""
    world = of_mode("ads-sotw")
    world.server.put(api.ENDPOINT, {})
    source = world.sources.source(initial_fetch_timeout="0.3s")
    cluster = {**world.sources.eds_cluster("one"), "eds_cluster_config": {"eds_config": source}}
    world.server.set(api.CLUSTER, cluster)
    proxy = world.start()
    assert proxy.stat("cluster.one.init_fetch_timeout") == 1
    until(lambda: world.get() == (503, b"no healthy upstream"))
    world.endpoints(world.one.port)
    until(lambda: world.get() == (200, b"a"))


def test_nothing_is_live_before_the_server_has_answered(
    of_mode: Callable[[str], World], tmp_path: Path
) -> None:
    """/init_dump says what is waited for."""
    world = of_mode("ads-delta")
    world.server.put(api.ROUTE, {})
    text = world.sources.bootstrap(world.admin_port, world.server.port, [])
    from tests.support.proxies import OURS

    proxy = Proxy(OURS, text, tmp_path / "waiting", world.admin_port)
    try:
        world.server.wait_ack(api.LISTENER)
        assert proxy.admin("GET", "/ready")[0] == 503
        targets = json.loads(proxy.admin("GET", "/init_dump")[1])["unready_targets_dumps"]
        assert {"name": "routes", "target_names": [api.ROUTE]} in targets
        world.routes("one")
        proxy.wait_ready()
    finally:
        proxy.stop()


def test_time_to_live(of_mode: Callable[[str], World]) -> None:
    """A listener whose TTL is over goes (heartbeats: tests/differential/test_xds_ttl.py)."""
    world = of_mode("ads-delta")
    world.start()
    assert serves(world.port)
    second = free_port()
    tree = world.sources.listener("second", second)
    world.server.set(api.LISTENER, world.sources.listener("web", world.port), tree, ttl=1.0)
    assert serves(second)
    assert refuses(second)
    assert world.text("listener_manager.lds.version_text") == "2"


def test_snapshot_serves_while_the_server_is_down(world: World, tmp_path: Path) -> None:
    """--snapshot-path: a restart without a server serves what it sent last; then its answer."""
    path = tmp_path / "last-good"
    proxy = world.start("--snapshot-path", str(path))
    assert serves(world.port)
    until(path.exists)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    proxy.stop()
    world.server.stop()
    proxy = world.start("--snapshot-path", str(path))
    assert world.get() == (200, b"a")
    assert "of the snapshot" in proxy.log()
    with Load(world.port) as load:
        load.wait_body("a")
        server = world.restart_server()
        server.set(api.CLUSTER, config.cluster("two", world.two.port))
        server.set(api.LISTENER, world.sources.listener("web", world.port))
        world.routes("two")
        load.wait_only("b")
    assert (load.lost, load.statuses() <= {200, 503}) == ([], True)
    until(lambda: "\none::default" not in "\n" + proxy.admin("GET", "/clusters")[1])


def test_xds_over_tls(of_mode: Callable[[str], World], tmp_path: Path) -> None:
    """The server's cluster has TLS like any other."""
    import grpc

    world = of_mode("ads-sotw")
    authority = Authority(tmp_path / "pki")
    credential = authority.server("xds")
    port, old = free_port(), world.server
    credentials = grpc.ssl_server_credentials(
        [(credential.key_pem.encode(), credential.pem.encode())]
    )
    world.server = ScriptedXds(port, credentials)
    world.server._resources, world.server._version = old._resources, old._version
    world.server.__enter__()
    old.stop()
    tls = tls_config.upstream_tls(ca=authority.cert, sni="xds.test")
    world.start(xds_cluster=server_cluster("xds", port, transport_socket=tls))
    assert serves(world.port)
