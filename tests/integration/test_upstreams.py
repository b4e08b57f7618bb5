"""Choosing an upstream: balancing, priorities, DNS, circuit breakers, pools."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, h2raw
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import TcpServer, wait_for
from tests.support.upstream import OK, Reply, Upstream

_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Fleet:
    """Three upstreams and a process with one cluster over them."""

    def __init__(self, start: StartMesh) -> None:
        self._start = start
        self.ups = [Upstream() for _ in range(3)]
        self.port, self.admin_port = free_port(), free_port()

    def endpoint(self, number: int, host: str = "127.0.0.1", **more: Any) -> config.Tree:
        """An LbEndpoint."""
        return {"endpoint": {"address": config.address(self.ups[number].port, host)}, **more}

    def start(self, *endpoints: config.Tree, **cluster: Any) -> Proxy:
        """Serve a cluster of these endpoints."""
        assignment = {"cluster_name": "up", "endpoints": [{"lb_endpoints": list(endpoints)}]}
        tree = config.cluster("up", **{"load_assignment": assignment, **cluster})
        routes = config.route_config("local", config.route("/", "up"))
        text = config.bootstrap(
            self.admin_port, [config.listener("web", self.port, config.hcm(routes))], [tree]
        )
        return self._start(text, self.admin_port)

    def ask(self, times: int) -> list[int]:
        """How many requests each upstream got of so many."""
        with Connection(self.port) as conn:
            for _ in range(times):
                assert conn.request(_GET).status == 200
        return [len(up.requests) for up in self.ups]


@pytest.fixture
def fleet(start: StartMesh) -> Iterator[Fleet]:
    """Not started yet."""
    fleet = Fleet(start)
    yield fleet
    for up in fleet.ups:
        up.stop()


def test_round_robin_is_even(fleet: Fleet) -> None:
    """Exactly, with one worker."""
    fleet.start(*map(fleet.endpoint, range(3)))
    assert fleet.ask(30) == [10, 10, 10]


def test_round_robin_with_weights(fleet: Fleet) -> None:
    """3:2:1, exactly, and not in blocks."""
    fleet.start(*(fleet.endpoint(i, load_balancing_weight=w) for i, w in enumerate((3, 2, 1))))
    assert fleet.ask(60) == [30, 20, 10]


def test_random_reaches_all(fleet: Fleet) -> None:
    """Roughly even: no upstream is left out of 200 requests."""
    fleet.start(*map(fleet.endpoint, range(3)), lb_policy="RANDOM")
    assert min(fleet.ask(200)) > 20


def test_least_request_avoids_the_busy(fleet: Fleet) -> None:
    """With all choices compared, one that hangs gets no more than a few."""
    fleet.start(*map(fleet.endpoint, range(3)), lb_policy="LEAST_REQUEST",
                least_request_lb_config={"choice_count": 3})  # fmt: skip
    fleet.ups[0].by_path["/"] = Reply(("hang",))
    held = [Connection(fleet.port) for _ in range(12)]
    for conn in held:
        conn.methods = ["GET"]
        conn.send(_GET)
        conn.receive(0.1)
    counts = Counter(len(up.requests) for up in fleet.ups)
    assert len(fleet.ups[0].requests) < 6, counts
    for conn in held:
        conn.close()


def test_least_request_with_weights(fleet: Fleet) -> None:
    """Unequal weights are kept when nobody is busy."""
    fleet.start(
        *(fleet.endpoint(i, load_balancing_weight=w) for i, w in enumerate((3, 2, 1))),
        lb_policy="LEAST_REQUEST",
    )
    assert fleet.ask(60) == [30, 20, 10]


def test_health_status_is_respected(fleet: Fleet) -> None:
    """UNHEALTHY and DRAINING endpoints get nothing while enough others are well."""
    fleet.start(
        fleet.endpoint(0),
        fleet.endpoint(1),
        fleet.endpoint(2, health_status="UNHEALTHY"),
    )
    assert fleet.ask(20) == [10, 10, 0]


def test_panic_uses_all(fleet: Fleet) -> None:
    """Under half healthy: everybody is used."""
    fleet.start(
        fleet.endpoint(0),
        fleet.endpoint(1, health_status="UNHEALTHY"),
        fleet.endpoint(2, health_status="UNHEALTHY"),
    )
    assert fleet.ask(30) == [10, 10, 10]


def test_strict_dns(fleet: Fleet) -> None:
    """Names are resolved; every address is an endpoint."""
    fleet.start(
        fleet.endpoint(0, "localhost"), fleet.endpoint(1, "localhost"),
        type="STRICT_DNS", dns_lookup_family="V4_ONLY",
    )  # fmt: skip
    assert fleet.ask(20) == [10, 10, 0]


def test_logical_dns(fleet: Fleet) -> None:
    """One name, one endpoint."""
    fleet.start(fleet.endpoint(0, "localhost"), type="LOGICAL_DNS", dns_lookup_family="V4_ONLY")
    assert fleet.ask(5) == [5, 0, 0]


def _hold(fleet: Fleet, count: int) -> list[Connection]:
    """So many clients, each with a request that the upstream holds for a second."""
    fleet.ups[0].by_path["/slow"] = Reply((1.0, OK))
    held = []
    for _ in range(count):
        conn = Connection(fleet.port)
        conn.methods = ["GET"]
        conn.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        held.append(conn)
    return held


def _limits(**limits: int) -> dict[str, Any]:
    return {"circuit_breakers": {"thresholds": [limits]}}


def test_max_requests_overflows(fleet: Fleet) -> None:
    """The request over the limit is 503 at once, the others are served, and it recovers."""
    proxy = fleet.start(fleet.endpoint(0), **_limits(max_requests=2))
    held = _hold(fleet, 2)
    fleet.ups[0].wait_requests(2)
    with Connection(fleet.port) as conn:
        answer = conn.request(_GET)
        assert (answer.status, answer.get("x-envoy-overloaded")) == (503, "true")
        for other in held:
            other.wait_for(1)
            assert other.exchange().last.status == 200
            other.close()
        assert conn.request(_GET).status == 200
    assert proxy.wait_stat("cluster.up.circuit_breakers.default.rq_open", 0) == 0


def test_max_connections_makes_requests_wait(fleet: Fleet) -> None:
    """One connection: the second request waits for it and is served."""
    fleet.start(fleet.endpoint(0), **_limits(max_connections=1))
    held = _hold(fleet, 3)
    for conn in held:
        conn.wait_for(1)
        assert conn.exchange().last.status == 200
        conn.close()
    assert fleet.ups[0].accepted == 1


def test_max_pending_overflows(fleet: Fleet) -> None:
    """One connection, one place to wait: the third request is 503."""
    proxy = fleet.start(fleet.endpoint(0), **_limits(max_connections=1, max_pending_requests=1))
    held = _hold(fleet, 1)
    fleet.ups[0].wait_requests(1)
    held += _hold(fleet, 1)
    proxy.wait_stat("cluster.up.upstream_rq_pending_active", 1)
    with Connection(fleet.port) as conn:
        assert conn.request(_GET).status == 503
    for conn in held:
        conn.wait_for(1)
        assert conn.exchange().last.status == 200
        conn.close()
    assert proxy.wait_stat("cluster.up.upstream_rq_pending_overflow", 1) == 1


def test_waiting_client_leaves(fleet: Fleet) -> None:
    """A client that gives up while its request waits for a connection frees its place."""
    proxy = fleet.start(fleet.endpoint(0), **_limits(max_connections=1))
    held = _hold(fleet, 1)
    fleet.ups[0].wait_requests(1)
    waiting = _hold(fleet, 1)
    proxy.wait_stat("cluster.up.upstream_rq_pending_active", 1)
    waiting[0].reset()
    held[0].wait_for(1)
    assert held[0].exchange().last.status == 200
    held[0].close()
    assert fleet.ask(1)[0] == 2


class HalfWay:
    """A host of requests that are given up when half of them is there."""

    def __init__(self, start: StartMesh, *, answers: bool) -> None:
        self._answers = answers
        self._arrived = threading.Semaphore(0)
        self._may_read = threading.Event()
        self.bodies: list[bytes] = []
        self.ends: list[str] = []
        self.port, admin_port = free_port(), free_port()
        self._server = TcpServer(self._serve)
        routes = config.route_config("local", config.route("/", "up"))
        listener = config.listener("web", self.port, config.hcm(routes))
        clusters = [config.cluster("up", self._server.port)]
        start(config.bootstrap(admin_port, [listener], clusters), admin_port)

    def __enter__(self) -> HalfWay:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def give_up(self, peer: h2raw.Peer, stream: int) -> None:
        """Half a request; the host answers it, or its client resets it."""
        head = h2raw.headers(stream, h2raw.request("POST"), end_stream=False)
        peer.send(head + h2raw.data(stream, b"abc"))
        assert self._arrived.acquire(timeout=20)
        if self._answers:
            assert peer.wait_for(lambda: peer.statuses.get(stream) == "200")
        else:
            peer.send(h2raw.rst_stream(stream))
        assert peer.wait_pong(b"%08d" % stream), peer.closed

    def read_ends(self, count: int) -> None:
        """Now the hosts read what was left to them."""
        self._may_read.set()
        wait_for(lambda: len(self.ends) == count, f"{count} ends, saw {self.ends}")

    def _serve(self, conn: socket.socket) -> None:
        data = b""
        while b"\r\nabc" not in data:
            # The body stays where it is: only what has been read survives a reset.
            data = conn.recv(4096, socket.MSG_PEEK)
        conn.recv(data.index(b"\r\n\r\n") + 4)
        if self._answers:
            conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        self._arrived.release()
        self._may_read.wait(20)
        try:
            body = b""
            while more := conn.recv(4096):
                body += more
            self.bodies.append(body)
            self.ends.append("in order")
        except ConnectionResetError:
            self.ends.append("reset")


@pytest.mark.parametrize("answers", [True, False])
def test_a_flood_of_half_requests_leaves_few_ports_behind(start: StartMesh, answers: bool) -> None:
    """The first of a client are closed in order and lose nothing, the others are reset."""
    with HalfWay(start, answers=answers) as host:
        with h2raw.Peer(host.port) as peer:
            peer.handshake()
            for number in range(40):
                host.give_up(peer, 1 + 2 * number)
        with h2raw.Peer(host.port) as other:  # does not pay for the first
            other.handshake()
            host.give_up(other, 1)
        host.read_ends(41)
        in_order = host.ends.count("in order")
        # A window may have ended in between.
        assert 11 <= in_order <= 21, host.ends
        assert host.bodies == [b"3\r\nabc\r\n"] * in_order


def test_upstream_idle_timeout(fleet: Fleet) -> None:
    """A pooled connection is closed after the cluster's idle timeout."""
    key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {
        "@type": f"type.googleapis.com/{key}",
        "common_http_protocol_options": {"idle_timeout": "0.2s"},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    proxy = fleet.start(fleet.endpoint(0), typed_extension_protocol_options={key: options})
    fleet.ask(1)
    proxy.wait_stat("cluster.up.upstream_cx_destroy", 1)
    assert proxy.stat("cluster.up.upstream_cx_active") == 0
    fleet.ask(1)
    assert fleet.ups[0].accepted == 2
