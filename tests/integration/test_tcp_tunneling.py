"""tunneling_config: TCP through HTTP CONNECT or POST, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.integration.test_tcp_proxy import file_log
from tests.support import config, tls_config
from tests.support.certs import Authority
from tests.support.gate import Gate
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, Proxy
from tests.support.tcp import (
    TcpServer,
    ask,
    connect,
    exchange,
    read_all,
    read_exactly,
    reset,
    wait_for,
)

_BIG = bytes(range(256)) * 16384  # 4 MiB
WAYS = [(1, False), (1, True), (2, False), (2, True)]
IDS = ["h1-connect", "h1-post", "h2-connect", "h2-post"]


class Pair:
    """A TCP proxy of ours that tunnels to the stock Envoy, which ends the tunnels."""

    ender: Proxy | None = None

    def __init__(self, start: StartMesh, folder: Path) -> None:
        self._start = start
        self.folder = folder
        self.port, self.gate, self.admin_port = free_port(), free_port(), free_port()
        self.tcp_log, self.gate_log = folder / "tcp.log", folder / "gate.log"

    def __call__(
        self,
        server: TcpServer,
        version: int,
        post: bool,
        more: config.Tree | None = None,
        tls: tuple[config.Tree, config.Tree] | None = None,
        speaks: config.Tree | None = None,
        **tunneling: Any,
    ) -> Proxy:
        """Serve."""
        tunnel: config.Tree = {"hostname": "echo.test:443", **tunneling}
        if post:
            tunnel.update(use_post=True, post_path="/tunnel")
        log = file_log(self.tcp_log, "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT%")
        proxy = tls_config.tcp_proxy(
            "gate", tunneling_config=tunnel, access_log=[log], **more or {}
        )
        action = {
            "cluster": "echo",
            "upgrade_configs": [
                {"upgrade_type": "CONNECT", "connect_config": {"allow_post": True}}
            ],
        }
        match = {"prefix": "/tunnel"} if post else {"connect_matcher": {}}
        routes = config.route_config("local", {"match": match, "route": action})
        fields = "%REQ(:METHOD)% %REQ(:AUTHORITY)% %REQ(:PATH)% %REQ(X-FROM)% %PROTOCOL%"
        manager = config.hcm(
            routes,
            upgrade_configs=[{"upgrade_type": "CONNECT"}],
            access_log=[file_log(self.gate_log, fields)],
        )
        chain = tls_config.chain(tls_config.http_filter(manager), tls=tls[0] if tls else None)
        speaks = speaks or (tls_config.http2() if version == 2 else {})
        gate = config.cluster("gate", self.gate, **speaks)
        if tls:
            gate["transport_socket"] = tls[1]
        gate_admin = free_port()
        listener = tls_config.listener("gate", self.gate, chain)
        text = config.bootstrap(gate_admin, [listener], [config.cluster("echo", server.port)])
        self.ender = Proxy(ENVOY, text, self.folder / "gate", gate_admin)
        self.ender.wait_ready()
        inner = tls_config.listener("in", self.port, tls_config.chain(proxy))
        text = config.bootstrap(self.admin_port, [inner], [gate])
        return self._start(text, self.admin_port)


@pytest.fixture
def pair(start: StartMesh, tmp_path: Path) -> Iterator[Pair]:
    """Not started yet."""
    pair = Pair(start, tmp_path)
    yield pair
    if pair.ender is not None:
        pair.ender.stop()


@pytest.fixture
def server() -> Iterator[TcpServer]:
    """An echo."""
    with TcpServer() as server:
        yield server


@pytest.mark.parametrize(("version", "post"), WAYS, ids=IDS)
def test_bytes_and_ends_pass(pair: Pair, server: TcpServer, version: int, post: bool) -> None:
    """Small and large, and the client's end comes back as the server's."""
    proxy = pair(server, version, post)
    with connect(pair.port) as conn:
        for n in range(50):
            text = b"%d" % n
            conn.sendall(text)
            assert read_exactly(conn, len(text)) == text
    # Envoy ends an HTTP/1.1 tunnel with the client's end.
    assert version == 1 or ask(pair.port, b"once") == b"once"
    with connect(pair.port) as conn:
        assert exchange(conn, _BIG) == _BIG
    wait_for(lambda: proxy.stat("cluster.gate.upstream_rq_active") == 0, "ends")
    assert proxy.stat("cluster.gate.upstream_rq_total") == version + 1
    lines = pair.tcp_log
    wait_for(
        lambda: lines.exists() and len(lines.read_text().splitlines()) == version + 1, "log lines"
    )
    assert f"- {len(_BIG)} {len(_BIG)}" in lines.read_text().splitlines()


@pytest.mark.parametrize(("version", "post"), WAYS, ids=IDS)
def test_the_request(pair: Pair, server: TcpServer, version: int, post: bool) -> None:
    """Host name by a format, further headers, the method and path that were asked for."""
    header = {"header": {"key": "x-from", "value": "%DOWNSTREAM_LOCAL_PORT%"}}
    pair(server, version, post, hostname="h%DOWNSTREAM_LOCAL_PORT%:1", headers_to_add=[header])
    with connect(pair.port) as conn:
        conn.sendall(b"x")
        assert read_exactly(conn, 1) == b"x"
    wait_for(lambda: pair.gate_log.exists() and bool(pair.gate_log.read_text()), "a log line")
    method, authority, path, origin, protocol = pair.gate_log.read_text().split()
    assert (method, path) == (("POST", "/tunnel") if post else ("CONNECT", "-"))
    assert (authority, origin) == (f"h{pair.port}:1", str(pair.port))
    assert protocol == ("HTTP/2" if version == 2 else "HTTP/1.1")


@pytest.mark.parametrize("version", [1, 2])
def test_under_tls(pair: Pair, server: TcpServer, version: int) -> None:
    """Between the two, as sidecars have it."""
    authority = Authority(pair.folder / "ca")
    credential = authority.issue("gate", dns=["gate.test"])
    tls = (
        tls_config.downstream_tls(credential),
        tls_config.upstream_tls(authority.cert, sni="gate.test"),
    )
    proxy = pair(server, version, False, tls=tls)
    with connect(pair.port) as conn:
        assert exchange(conn, _BIG) == _BIG
    assert proxy.stat("cluster.gate.ssl.handshake") == 1


@pytest.mark.parametrize("version", [1, 2])
def test_alpn_tells(pair: Pair, server: TcpServer, version: int) -> None:
    """What the gate speaks; if that is HTTP/2 the next tunnels share a connection."""
    authority = Authority(pair.folder / "ca")
    credential = authority.issue("gate", dns=["gate.test"])
    tls = (
        tls_config.downstream_tls(credential, alpn=[("http/1.1", "h2")[version - 1]]),
        tls_config.upstream_tls(authority.cert, sni="gate.test"),
    )
    proxy = pair(server, version, False, tls=tls, speaks=tls_config.auto_http())
    with connect(pair.port) as first, connect(pair.port) as second:
        for conn in (first, second):
            conn.sendall(b"x")
            assert read_exactly(conn, 1) == b"x"
        with connect(pair.port) as third:
            assert exchange(third, _BIG) == _BIG
    made = proxy.stat(f"cluster.gate.upstream_cx_http{version}_total")
    assert made == proxy.stat("cluster.gate.upstream_cx_total")
    assert made == 3 if version == 1 else made in (1, 2)
    assert proxy.stat("cluster.gate.upstream_rq_total") == 3


def test_streams_share_a_connection(pair: Pair, server: TcpServer) -> None:
    """Of HTTP/2; one that is lost takes nobody with it."""
    proxy = pair(server, 2, False)
    with connect(pair.port) as first:
        first.sendall(b"1")
        assert read_exactly(first, 1) == b"1"
        others = [connect(pair.port) for _ in range(20)]
        for conn in others:
            conn.sendall(b"x")
        for conn in others:
            assert read_exactly(conn, 1) == b"x"
        assert proxy.stat("cluster.gate.upstream_cx_total") == 1
        assert proxy.stat("cluster.gate.upstream_rq_active") == 21
        for conn in others:
            reset(conn)
        wait_for(lambda: proxy.stat("cluster.gate.upstream_rq_active") == 1, "resets")
        first.sendall(b"2")
        assert read_exactly(first, 1) == b"2"
    wait_for(lambda: proxy.stat("cluster.gate.upstream_rq_active") == 0, "the last")


def test_many_at_once_wait_for_one_connection(pair: Pair, server: TcpServer) -> None:
    """Of HTTP/2: like requests they share it before it is there."""
    proxy = pair(server, 2, False)
    conns = [connect(pair.port) for _ in range(50)]
    for number, conn in enumerate(conns):
        conn.sendall(b"%d" % number)
        conn.shutdown(socket.SHUT_WR)
    for number, conn in enumerate(conns):
        with conn:
            assert read_all(conn) == b"%d" % number
    wait_for(lambda: proxy.stat("cluster.gate.upstream_rq_active") == 0, "ends")
    assert proxy.stat("cluster.gate.upstream_cx_total") == 1
    assert proxy.stat("cluster.gate.upstream_rq_total") == 50
    assert proxy.stat("cluster.gate.upstream_rq_pending_active") == 0


def test_a_queue_without_a_connection(start: StartMesh, tmp_path: Path) -> None:
    """Each that waits has failed, and tries again as often as it may; the queue is bounded."""
    port, admin_port, log = free_port(), free_port(), tmp_path / "tcp.log"
    tunnel = {"hostname": "echo.test:443"}
    proxy = tls_config.tcp_proxy(
        "gate",
        tunneling_config=tunnel,
        max_connect_attempts=3,
        access_log=[file_log(log, "%RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%")],
    )
    gate = config.cluster("gate", free_port(), **tls_config.http2())
    chain = tls_config.chain(proxy)
    text = config.bootstrap(admin_port, [tls_config.listener("in", port, chain)], [gate])
    mesh = start(text, admin_port)
    conns = [connect(port) for _ in range(10)]
    for conn in conns:
        with conn:
            assert read_all(conn) == b""
    wait_for(lambda: log.exists() and log.read_text() == "UF,URX 3\n" * 10, "log lines")
    assert mesh.stat("cluster.gate.upstream_rq_pending_active") == 0
    assert mesh.stat("cluster.gate.upstream_cx_active") == 0
    assert mesh.stat("cluster.gate.upstream_rq_pending_failure_eject") == 30


def test_who_waits_may_leave(start: StartMesh) -> None:
    """The connection that was made for it is the next one's."""
    port, admin_port = free_port(), free_port()
    proxy = tls_config.tcp_proxy("gate", tunneling_config={"hostname": "echo.test:443"})
    with socket.create_server(("127.0.0.1", 0)) as listener, Gate(2) as gate:
        # TLS that never comes: whoever wants a stream waits.
        wait = config.cluster("gate", listener.getsockname()[1], **tls_config.http2())
        wait["transport_socket"] = tls_config.upstream_tls(None)
        two = config.cluster("two", gate.port, **tls_config.http2())
        to_two = tls_config.tcp_proxy("two", tunneling_config={"hostname": "echo.test:443"})
        other = free_port()
        listeners = [
            tls_config.listener("in", port, tls_config.chain(proxy)),
            tls_config.listener("other", other, tls_config.chain(to_two)),
        ]
        mesh = start(config.bootstrap(admin_port, listeners, [wait, two]), admin_port)
        conns = [connect(port) for _ in range(3)]
        mesh.wait_stat("cluster.gate.upstream_rq_pending_active", 3)
        for conn in conns:
            reset(conn)
        wait_for(lambda: mesh.stat("cluster.gate.upstream_rq_pending_active") == 0, "they leave")
        assert mesh.stat("cluster.gate.upstream_rq_cancelled") == 3
        assert mesh.stat("cluster.gate.upstream_cx_total") == 1
        assert ask(other, b"still there") == b"still there"


def test_a_host_that_leaves_while_tunnels_wait(start: StartMesh, tmp_path: Path) -> None:
    """For its connection: they get it, and nobody else does."""
    credential = Authority(tmp_path / "ca").issue("gate", dns=["gate.test"])
    context = credential.server_context(alpn=["h2"])
    port, admin_port, hosts = free_port(), free_port(), tmp_path / "eds.yaml"

    def lead_to(gate: Gate) -> None:
        assignment = config.load_assignment("gate", gate.port)
        config.move_in(hosts, config.discovery(config.ENDPOINTS, [assignment]))

    with Gate(2, tls=context) as old, Gate(2, tls=context) as new:
        new.may_shake.set()
        lead_to(old)
        proxy = tls_config.tcp_proxy("gate", tunneling_config={"hostname": "echo.test:1"})
        more = {"connect_timeout": "20s", "transport_socket": tls_config.upstream_tls(None)}
        cluster = config.eds_cluster("gate", hosts, **tls_config.http2(), **more)
        chain = tls_config.chain(proxy)
        text = config.bootstrap(admin_port, [tls_config.listener("in", port, chain)], [cluster])
        mesh = start(text, admin_port)
        conns = [connect(port) for _ in range(3)]
        mesh.wait_stat("cluster.gate.upstream_rq_pending_active", 3)
        lead_to(new)
        wait_for(lambda: f":{new.port}" in mesh.admin("GET", "/clusters")[1], "the new host")
        assert ask(port, b"new") == b"new"
        old.may_shake.set()
        for conn in conns:
            with conn:
                conn.sendall(b"old")
                conn.shutdown(socket.SHUT_WR)
                assert read_all(conn) == b"old"
        assert (old.accepted, new.accepted) == (1, 1)
        wait_for(lambda: mesh.stat("cluster.gate.upstream_cx_active") == 1, "the old one closes")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("mode", ["IMMEDIATE", "ON_DOWNSTREAM_DATA"])
@pytest.mark.parametrize("most", [0, 3, 1 << 20])
def test_early_data(pair: Pair, server: TcpServer, version: int, mode: str, most: int) -> None:
    """Whatever fits, all of it arrives, and once."""
    proxy = pair(
        server, version, False, {"upstream_connect_mode": mode, "max_early_data_bytes": most}
    )
    with connect(pair.port) as conn:
        if mode == "ON_DOWNSTREAM_DATA":
            wait_for(lambda: proxy.stat("tcp.tcp.downstream_cx_total") == 1, "it is there")
            assert proxy.stat("cluster.gate.upstream_cx_total") == 0
        assert exchange(conn, _BIG) == _BIG
    lines = pair.tcp_log
    wait_for(
        lambda: lines.exists() and lines.read_text() == f"- {len(_BIG)} {len(_BIG)}\n", "a line"
    )


@pytest.mark.parametrize("version", [1, 2])
def test_a_slow_reader_holds_the_sender_back(pair: Pair, version: int) -> None:
    """Through both proxies."""
    total = 32 * len(_BIG)
    go, sent = threading.Event(), [0]

    def serve(conn: socket.socket) -> None:
        for _ in range(32):
            conn.sendall(_BIG)
            sent[0] += len(_BIG)
        # The stock Envoy resets a stream whose server ends first, and what it held is gone.
        read_all(conn)

    with TcpServer(serve) as server:
        proxy = pair(server, version, False)
        with connect(pair.port) as conn:
            conn.sendall(b"")
            assert read_exactly(conn, 1) == _BIG[:1]
            before = proxy.rss_kib()
            still = -1
            while still != sent[0]:
                still = sent[0]
                go.wait(0.5)
            assert still < total
            # Two sockets' buffers and the windows of a stream, 16 MiB here.
            assert proxy.rss_kib() - before < 40 * 1024
            left = total - 1
            while left and (data := conn.recv(65536)):
                left -= len(data)
            assert left == 0


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", b"?\r\n"]
)
def test_a_gate_that_does_not_agree(start: StartMesh, tmp_path: Path, answer: bytes) -> None:
    """Is an attempt that failed, and what the client sent stays here."""
    seen: list[bytes] = []

    def serve(conn: socket.socket) -> None:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += conn.recv(4096)
        conn.sendall(answer)
        seen.append(data + read_all(conn))

    port, admin_port, log = free_port(), free_port(), tmp_path / "tcp.log"
    with TcpServer(serve) as gate:
        proxy = tls_config.tcp_proxy(
            "gate",
            tunneling_config={"hostname": "echo.test:443"},
            max_connect_attempts=2,
            access_log=[file_log(log, "%RESPONSE_FLAGS%")],
        )
        text = config.bootstrap(
            admin_port,
            [tls_config.listener("in", port, tls_config.chain(proxy))],
            [config.cluster("gate", gate.port)],
        )
        start(text, admin_port)
        assert ask(port, b"secret") == b""
        wait_for(lambda: len(seen) == 2, "two attempts")
    assert seen == [b"CONNECT echo.test:443 HTTP/1.1\r\nhost: echo.test:443\r\n\r\n"] * 2
    wait_for(lambda: log.exists() and log.read_text() == "UF,URX\n", "a log line")


def test_what_comes_behind_the_answer_is_the_servers(start: StartMesh, tmp_path: Path) -> None:
    """In one packet with the head; interim answers before it are skipped."""

    def serve(conn: socket.socket) -> None:
        conn.recv(4096)
        conn.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nwelcome ")
        conn.sendall(conn.recv(4096))

    port, admin_port = free_port(), free_port()
    with TcpServer(serve) as gate:
        proxy = tls_config.tcp_proxy("gate", tunneling_config={"hostname": "a:1"})
        text = config.bootstrap(
            admin_port,
            [tls_config.listener("in", port, tls_config.chain(proxy))],
            [config.cluster("gate", gate.port)],
        )
        start(text, admin_port)
        with connect(port) as conn:
            conn.sendall(b"back")
            assert read_all(conn) == b"welcome back"
