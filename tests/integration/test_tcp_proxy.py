"""tcp_proxy: bytes both ways, ends, limits, attempts, clusters, TLS, statistics and logs."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, tls_config
from tests.support.certs import Authority, client_context
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import (
    TcpServer,
    ask,
    connect,
    echo,
    exchange,
    read_all,
    read_exactly,
    reset,
    say,
    wait_for,
)

_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_LIMIT = "type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit"
_BIG = bytes(range(256)) * 32768  # 8 MiB


def file_log(path: Path, text: str) -> config.Tree:
    """A text log."""
    form = {"text_format_source": {"inline_string": text + "\n"}}
    return {"name": "file", "typed_config": {"@type": _LOG, "path": str(path), "log_format": form}}


class Site:
    """A process whose one listener proxies TCP."""

    def __init__(self, start: StartMesh, folder: Path) -> None:
        self._start = start
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.log = folder / "tcp.log"

    def __call__(
        self,
        *clusters: config.Tree,
        flags: tuple[str, ...] = (),
        filters: tuple[config.Tree, ...] = (),
        chain: config.Tree | None = None,
        listener: config.Tree | None = None,
        **proxy: Any,
    ) -> Proxy:
        """Serve; `proxy` are fields of the TcpProxy, whose cluster is the first by default."""
        if "cluster" not in proxy and "weighted_clusters" not in proxy:
            proxy["cluster"] = clusters[0]["name"]
        terminal = tls_config.tcp_proxy(**proxy)
        chains = [tls_config.chain(*filters, terminal, **(chain or {}))]
        tree = tls_config.listener("in", self.port, *chains, **(listener or {}))
        text = config.bootstrap(self.admin_port, [tree], list(clusters))
        return self._start(text, self.admin_port, *flags)

    def logged(self, count: int) -> list[str]:
        """The log's lines, once there are so many."""
        wait_for(lambda: len(self._lines()) >= count, f"{count} log lines, have {self._lines()}")
        return self._lines()

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def site(start: StartMesh, tmp_path: Path) -> Site:
    """Not started yet."""
    return Site(start, tmp_path)


@pytest.fixture
def server() -> Iterator[TcpServer]:
    """An echo."""
    with TcpServer() as server:
        yield server


def up(*servers: TcpServer, **more: Any) -> config.Tree:
    """The cluster of these."""
    return config.cluster("up", *(each.port for each in servers), **more)


def _background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_small_messages_go_both_ways(site: Site, server: TcpServer) -> None:
    """Each as soon as it is there."""
    site(up(server))
    with connect(site.port) as conn:
        for n in range(200):
            text = b"%d" % n
            conn.sendall(text)
            assert read_exactly(conn, len(text)) == text


def test_bulk_goes_both_ways_at_once(site: Site, server: TcpServer) -> None:
    """Through pipes; every byte arrives, in order."""
    proxy = site(up(server))
    with connect(site.port) as conn:
        sender = _background(lambda: (conn.sendall(_BIG * 4), conn.shutdown(socket.SHUT_WR))[1])
        got = read_all(conn)
        sender.join()
    assert got == _BIG * 4
    assert proxy.wait_stat("tcp.tcp.downstream_cx_rx_bytes_total", len(got)) == len(got)
    assert proxy.stat("tcp.tcp.downstream_cx_tx_bytes_total") == len(got)
    assert proxy.stat("cluster.up.upstream_cx_rx_bytes_total") == len(got)
    assert proxy.stat("cluster.up.upstream_cx_tx_bytes_total") == len(got)
    wait_for(lambda: proxy.stat("cluster.up.upstream_cx_active") == 0, "an end")


def test_a_server_may_speak_first(site: Site) -> None:
    """And end first: the client gets all of it, then the end, and may go on sending."""
    received: list[bytes] = []

    def serve(conn: socket.socket) -> None:
        conn.sendall(b"220 hello")
        conn.shutdown(socket.SHUT_WR)
        received.append(read_all(conn))

    with TcpServer(serve) as server:
        site(up(server))
        with connect(site.port) as conn:
            assert read_all(conn) == b"220 hello"
            conn.sendall(b"late")
            conn.shutdown(socket.SHUT_WR)
        wait_for(lambda: received == [b"late"], f"what the server got: {received}")


def test_a_client_may_end_first(site: Site) -> None:
    """Its end reaches the server, whose answer still comes."""

    def serve(conn: socket.socket) -> None:
        conn.sendall(b"%d bytes" % len(read_all(conn)))

    with TcpServer(serve) as server:
        site(up(server))
        assert ask(site.port, b"x" * 100_000) == b"100000 bytes"


def test_a_client_that_ends_at_once_is_still_served(site: Site) -> None:
    """Data and end may be there before the server is."""
    with TcpServer(lambda conn: conn.sendall(b"got " + read_all(conn))) as server:
        site(up(server))
        for _ in range(50):
            assert ask(site.port, b"now") == b"got now"


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_slow_reader_holds_the_sender_back(site: Site, way: str) -> None:
    """Nothing piles up in the proxy; once it reads, everything comes."""
    go, total, sent, got = threading.Event(), 64 * len(_BIG) // 4, [0], [0]

    def send(conn: socket.socket) -> None:
        for _ in range(total // 65536):
            conn.sendall(_BIG[:65536])
            sent[0] += 65536
        conn.shutdown(socket.SHUT_WR)

    def receive(conn: socket.socket) -> None:
        go.wait(60)
        while data := conn.recv(1 << 20):
            got[0] += len(data)

    with TcpServer(receive if way == "up" else send) as server:
        proxy = site(up(server))
        with connect(site.port) as conn:
            before = proxy.rss_kib()
            other = _background(lambda: (send if way == "up" else receive)(conn))
            still = -1
            while still != sent[0]:
                still = sent[0]
                time.sleep(0.5)  # the only way to see that nothing happens
            assert still < total // 2
            assert proxy.rss_kib() - before < 4096
            go.set()
            other.join(60)
            wait_for(lambda: got[0] == total, f"{total} bytes, have {got[0]}")
        paused = (
            "tcp.tcp.downstream_flow_control_paused_reading_total"
            if way == "up"
            else "cluster.up.upstream_flow_control_paused_reading_total"
        )
        assert proxy.stat(paused)
        wait_for(lambda: proxy.stat("tcp.tcp.downstream_cx_tx_bytes_buffered") == 0, "empty")
        wait_for(lambda: proxy.stat("cluster.up.upstream_cx_tx_bytes_buffered") == 0, "empty")


def test_a_small_buffer_limit_still_lets_bulk_through(site: Site, server: TcpServer) -> None:
    """The limit bounds what is held, not what passes."""
    limit = {"per_connection_buffer_limit_bytes": 4096}
    site(up(server, **limit), listener=limit)
    with connect(site.port) as conn:
        sender = _background(lambda: (conn.sendall(_BIG), conn.shutdown(socket.SHUT_WR))[1])
        assert read_all(conn) == _BIG
        sender.join()


def test_a_buffer_limit_of_0_is_none(site: Site, server: TcpServer) -> None:
    """As in Envoy."""
    limit = {"per_connection_buffer_limit_bytes": 0}
    site(up(server, **limit), listener=limit)
    with connect(site.port) as conn:
        assert exchange(conn, _BIG) == _BIG


def test_a_servers_reset_reaches_the_client(site: Site) -> None:
    """Behind what the server said before it."""

    def serve(conn: socket.socket) -> None:
        conn.recv(1)
        conn.sendall(b"part")
        conn.recv(1)
        reset(conn)

    with TcpServer(serve) as server:
        log = file_log(site.log, "%RESPONSE_FLAGS% %BYTES_SENT%")
        site(up(server), access_log=[log])
        with connect(site.port) as conn:
            conn.sendall(b"a")
            assert read_exactly(conn, 4) == b"part"
            conn.sendall(b"b")
            with pytest.raises(ConnectionResetError):
                conn.recv(1)
        assert site.logged(1) == ["UR 4"]


def test_a_lost_server_ends_the_client(site: Site) -> None:
    """After everything that it had sent."""

    def serve(conn: socket.socket) -> None:
        conn.sendall(b"x" * 300_000)
        conn.recv(1)
        reset(conn)

    with TcpServer(serve) as server:
        proxy = site(up(server))
        with connect(site.port) as conn:
            assert len(read_exactly(conn, 300_000)) == 300_000
            conn.sendall(b"1")
            assert read_all(conn) == b""
        proxy.wait_stat("cluster.up.upstream_cx_destroy_remote_with_active_rq", 1)


def test_a_lost_client_ends_the_server(site: Site) -> None:
    """Which is Envoy's `destroy_local`."""
    ended = threading.Event()

    def serve(conn: socket.socket) -> None:
        read_all(conn)
        ended.set()

    with TcpServer(serve) as server:
        proxy = site(up(server))
        conn = connect(site.port)
        conn.sendall(b"x")
        proxy.wait_stat("cluster.up.upstream_cx_tx_bytes_total", 1)
        reset(conn)
        assert ended.wait(20)
        proxy.wait_stat("cluster.up.upstream_cx_destroy_local_with_active_rq", 1)


def test_the_next_host_is_tried(site: Site, server: TcpServer) -> None:
    """Up to max_connect_attempts; flags and counters say what happened."""
    dead = [free_port(), free_port()]
    cluster = config.cluster("up", *dead, server.port)
    log = file_log(site.log, "%RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %BYTES_SENT%")
    proxy = site(cluster, max_connect_attempts=3, access_log=[log])
    for n in range(6):
        assert ask(site.port, b"hi") == b"hi"
        assert site.logged(n + 1)[n] in {"- 1 2", "UF 2 2", "UF 3 2"}
    tried = sum(int(line.split()[1]) for line in site.logged(6))
    assert proxy.stat("cluster.up.upstream_cx_connect_fail") == tried - 6
    assert proxy.stat("cluster.up.upstream_cx_connect_attempts_exceeded") == 0


def test_attempts_are_counted(site: Site) -> None:
    """One by default."""
    reason = "%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%"
    proxy = site(config.cluster("up", free_port()), access_log=[file_log(site.log, reason)])
    assert ask(site.port, b"x") == b""
    assert site.logged(1) == ["UF,URX delayed_connect_error:_Connection_refused"]
    assert proxy.stat("cluster.up.upstream_cx_connect_attempts_exceeded") == 1


def test_a_connect_that_takes_too_long(site: Site) -> None:
    """The host's queue of connections is full: nobody answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        held = [socket.socket() for _ in range(4)]
        for each in held:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        cluster = config.cluster("up", port, connect_timeout="0.2s")
        proxy = site(cluster, access_log=[file_log(site.log, "%RESPONSE_FLAGS%")])
        assert ask(site.port, b"x") == b""
        assert site.logged(1) == ["UF,URX"]
        assert proxy.stat("cluster.up.upstream_cx_connect_timeout") == 1
        for each in held:
            each.close()


def test_nobody_there(site: Site) -> None:
    """A cluster without hosts; one that does not exist."""
    empty = config.cluster("up")
    empty["load_assignment"] = {"cluster_name": "up", "endpoints": []}
    proxy = site(empty, access_log=[file_log(site.log, "%RESPONSE_FLAGS%")])
    assert ask(site.port) == b""
    assert site.logged(1) == ["UH"]
    assert proxy.stat("cluster.up.upstream_cx_none_healthy") == 1


def test_circuit_breakers(site: Site, server: TcpServer) -> None:
    """A connection too many is refused; when one ends there is room again."""
    limits = {"circuit_breakers": {"thresholds": [{"max_connections": 1}]}}
    log = file_log(site.log, "%RESPONSE_FLAGS%")
    proxy = site(up(server, **limits), access_log=[log])
    with connect(site.port) as first:
        first.sendall(b"1")
        assert read_exactly(first, 1) == b"1"
        assert ask(site.port, b"2") == b""
        assert site.logged(1) == ["UO"]
        assert proxy.stat("cluster.up.upstream_cx_overflow") == 1
    wait_for(lambda: proxy.stat("cluster.up.upstream_cx_active") == 0, "an end")
    assert ask(site.port, b"3") == b"3"


def test_idle_timeout(site: Site, server: TcpServer) -> None:
    """Both ends are closed; a tunnel that moves bytes lives on."""
    proxy = site(up(server), idle_timeout="0.5s")
    with connect(site.port) as busy, connect(site.port) as idle:
        idle.sendall(b"x")
        assert read_exactly(idle, 1) == b"x"
        for _ in range(8):
            time.sleep(0.15)
            busy.sendall(b"y")
            assert read_exactly(busy, 1) == b"y"
        assert read_all(idle) == b""
    assert proxy.stat("tcp.tcp.idle_timeout") == 1


def test_longest_duration(site: Site, server: TcpServer) -> None:
    """However busy."""
    log = file_log(site.log, "%RESPONSE_FLAGS%")
    proxy = site(up(server), max_downstream_connection_duration="0.4s", access_log=[log])
    with connect(site.port) as conn:
        conn.sendall(b"x")
        assert read_all(conn) == b"x"
    assert site.logged(1) == ["DT"]
    assert proxy.stat("tcp.tcp.max_downstream_connection_duration") == 1


def test_weighted_clusters(site: Site) -> None:
    """By their weights, roughly."""
    with TcpServer(say(b"a")) as a, TcpServer(say(b"b")) as b:
        clusters = [config.cluster("a", a.port), config.cluster("b", b.port)]
        weights = [{"name": "a", "weight": 1}, {"name": "b", "weight": 3}]
        site(*clusters, weighted_clusters={"clusters": weights})
        got = Counter(ask(site.port) for _ in range(200))
    assert got[b"a"] + got[b"b"] == 200
    assert 20 < got[b"a"] < 90


def test_connection_limit(site: Site, server: TcpServer) -> None:
    """Over all workers; a surplus connection is held for the delay, then closed."""
    typed = {"@type": _LIMIT, "stat_prefix": "few", "max_connections": 2, "delay": "0.3s"}
    limit = tls_config.network_filter("envoy.filters.network.connection_limit", typed)
    proxy = site(up(server), filters=(limit,), flags=("--concurrency", "2"))
    with connect(site.port) as a, connect(site.port) as b:
        for conn in (a, b):
            conn.sendall(b"x")
            assert read_exactly(conn, 1) == b"x"
        begin = time.monotonic()
        with connect(site.port) as surplus:
            assert read_all(surplus) == b""
        assert time.monotonic() - begin > 0.2
        assert proxy.stat("connection_limit.few.limited_connections") == 1
        active = "connection_limit.few.active_connections"
        wait_for(lambda: proxy.stat(active) == 2, "the surplus gone")
    wait_for(lambda: proxy.stat("connection_limit.few.active_connections") == 0, "room")
    assert ask(site.port, b"again") == b"again"
    name = f"listener.127.0.0.1_{site.port}.downstream_cx_active"
    wait_for(lambda: proxy.stat(name) == 0, "all counted off")


def test_tls_on_both_sides(site: Site) -> None:
    """Terminated and originated; ends pass as close_notify, which is not the end of the socket."""
    authority = Authority(site.folder / "ca")
    credential = authority.issue("server", dns=["localhost"])
    with TcpServer(echo, tls=credential.server_context()) as server:
        socket_tls = tls_config.upstream_tls(authority.cert, sni="localhost")
        cluster = up(server, transport_socket=socket_tls)
        proxy = site(cluster, chain={"tls": tls_config.downstream_tls(credential, alpn=())})
        context = client_context(authority.cert)
        with context.wrap_socket(connect(site.port), server_hostname="localhost") as conn:
            conn.sendall(b"small")
            assert read_exactly(conn, 5) == b"small"
            assert exchange(conn, _BIG) == _BIG
            raw = conn.unwrap()
            raw.close()
        wait_for(lambda: proxy.stat("cluster.up.upstream_cx_active") == 0, "an end")
        assert proxy.stat("cluster.up.ssl.handshake") == 1


def test_tls_that_fails_is_a_failed_attempt(site: Site, server: TcpServer) -> None:
    """The echo of a ClientHello is no ServerHello."""
    authority = Authority(site.folder / "ca")
    cluster = up(server, transport_socket=tls_config.upstream_tls(authority.cert))
    log = file_log(site.log, "%RESPONSE_FLAGS%")
    proxy = site(cluster, access_log=[log], max_connect_attempts=2)
    assert ask(site.port, b"x") == b""
    assert site.logged(1) == ["UF,URX"]
    assert proxy.stat("cluster.up.ssl.connection_error") == 2


def test_tls_passes_through(site: Site) -> None:
    """What is encrypted end to end is bytes like others."""
    authority = Authority(site.folder / "ca")
    credential = authority.issue("server", dns=["localhost"])
    with TcpServer(echo, tls=credential.server_context()) as server:
        site(up(server))
        context = client_context(authority.cert)
        with context.wrap_socket(connect(site.port), server_hostname="localhost") as conn:
            assert conn.version() == "TLSv1.3"
            conn.sendall(b"hello")
            assert read_exactly(conn, 5) == b"hello"


def test_the_cluster_by_server_name(site: Site) -> None:
    """sni_cluster, of the ClientHello that is passed on."""
    authority = Authority(site.folder / "ca")
    sni = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.sni_cluster.v3.SniCluster"
    }
    by_name = tls_config.network_filter("envoy.filters.network.sni_cluster", sni)
    a, b = (authority.issue(name, dns=[name]) for name in ("a.test", "b.test"))
    with (
        TcpServer(say(b"a"), tls=a.server_context()) as one,
        TcpServer(say(b"b"), tls=b.server_context()) as two,
    ):
        clusters = [config.cluster("a.test", one.port), config.cluster("b.test", two.port)]
        log = file_log(site.log, "%RESPONSE_FLAGS% %UPSTREAM_CLUSTER%")
        inspect = {"listener_filters": [tls_config.tls_inspector()]}
        site(*clusters, filters=(by_name,), listener=inspect, access_log=[log])
        context = client_context(authority.cert)
        for name, text in (("a.test", b"a"), ("b.test", b"b")):
            with context.wrap_socket(connect(site.port), server_hostname=name) as conn:
                assert read_all(conn) == text
        with pytest.raises((ssl.SSLError, OSError)):
            context.wrap_socket(connect(site.port), server_hostname="c.test")
        assert site.logged(3) == ["- a.test", "- b.test", "NC -"]


def test_a_removed_listener_gives_tunnels_the_drain_time(start: StartMesh, tmp_path: Path) -> None:
    """Then they are cut; until then they work."""
    lds, port, admin_port = tmp_path / "lds.yaml", free_port(), free_port()
    with TcpServer() as server:
        tree = tls_config.listener("in", port, tls_config.chain(tls_config.tcp_proxy("up")))
        lds.write_text(config.discovery(config.LISTENER, [tree]))
        text = config.bootstrap(admin_port, lds, [up(server)])
        proxy = start(text, admin_port, "--drain-time-s", "2")
        with connect(port) as conn:
            conn.sendall(b"x")
            assert read_exactly(conn, 1) == b"x"
            config.move_in(lds, config.discovery(config.LISTENER, []))
            proxy.wait_stat("listener_manager.listener_removed", 1)
            conn.sendall(b"still")
            assert read_exactly(conn, 5) == b"still"
            assert read_all(conn) == b""


def test_sigterm_lets_tunnels_finish(site: Site, server: TcpServer) -> None:
    """The process waits for them, within the drain time."""
    proxy = site(up(server), flags=("--drain-time-s", "20"))
    with connect(site.port) as conn:
        conn.sendall(b"x")
        assert read_exactly(conn, 1) == b"x"
        proxy.terminate()
        proxy.wait_stat("server.state", 1)
        conn.sendall(b"still")
        assert read_exactly(conn, 5) == b"still"
    assert proxy.wait_exit() == 0


def test_log_lines(site: Site, server: TcpServer) -> None:
    """When the host is there, at intervals, at the end."""
    text = (
        "%ACCESS_LOG_TYPE% %PROTOCOL% %RESPONSE_CODE% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_HOST%"
    )
    log = file_log(site.log, text + " %UPSTREAM_CLUSTER% %DOWNSTREAM_LOCAL_ADDRESS%")
    options = {"flush_access_log_on_connected": True, "access_log_flush_interval": "0.2s"}
    site(up(server), access_log=[log], access_log_options=options)
    with connect(site.port) as conn:
        conn.sendall(b"12345")
        assert read_exactly(conn, 5) == b"12345"
        site.logged(2)
    where = f"127.0.0.1:{server.port} up 127.0.0.1:{site.port}"
    wait_for(lambda: site.logged(1)[-1].startswith("TcpConnectionEnd"), "the end")
    lines = site.logged(3)
    assert lines[0] == f"TcpUpstreamConnected - 0 0 0 {where}"
    assert set(lines[1:-1]) == {f"TcpPeriodic - 0 5 5 {where}"}
    assert lines[-1] == f"TcpConnectionEnd - 0 5 5 {where}"


def test_an_idle_tunnel_is_small(site: Site) -> None:
    """Two sockets and their state: Envoy has 18 KB of heap a pair."""
    with TcpServer(lambda conn: (conn.sendall(b"x"), conn.recv(1))[0]) as server:
        proxy = site(up(server, circuit_breakers={"thresholds": [{"max_connections": 5000}]}))
        with connect(site.port) as first:
            assert read_exactly(first, 1) == b"x"
            before = proxy.rss_kib()
            conns = [connect(site.port) for _ in range(800)]
            for conn in conns:
                assert read_exactly(conn, 1) == b"x"
            assert proxy.rss_kib() - before < 800 * 4
            for conn in conns:
                conn.close()
