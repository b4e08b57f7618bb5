"""The network filter rbac: what gets through, what does not, and what a refused client costs."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, tls_config
from tests.support.certs import Authority, client_context
from tests.support.gate import Gate
from tests.support.h2peer import Client, get
from tests.support.ports import free_port
from tests.support.proxies import Proxy
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

Tree = config.Tree
_RBAC = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"
_BIG = bytes(range(256)) * 16384  # 4 MiB
_TWO = {"remote_ip": {"address_prefix": "127.0.0.2", "prefix_len": 32}}
NOBODY: Tree = {"rules": {}}
CONTINUOUS: Tree = {"enforcement_type": "CONTINUOUS"}


def rbac(**fields: Any) -> Tree:
    """The filter."""
    typed = {"@type": _RBAC, "stat_prefix": "in", **fields}
    return tls_config.network_filter("envoy.filters.network.rbac", typed)


def rules(principal: Tree | None = None, action: str = "ALLOW") -> Tree:
    """Rules with one policy, for anybody by default."""
    who = principal or {"any": True}
    return {
        "action": action,
        "policies": {"p": {"permissions": [{"any": True}], "principals": [who]}},
    }


class Recorder:
    """A server that keeps what each connection brought, and answers `OK` to CONNECT."""

    def __init__(self) -> None:
        self.got: list[bytearray] = []
        self.server = TcpServer(self._serve)

    def _serve(self, conn: socket.socket) -> None:
        heard = bytearray()
        self.got.append(heard)
        while data := conn.recv(65536):
            if data.startswith(b"CONNECT "):
                conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                data = data.partition(b"\r\n\r\n")[2]
            heard += data


class Site:
    """A process whose one listener has these filters before its last one."""

    def __init__(self, start: StartMesh) -> None:
        self._start = start
        self.port, self.admin_port = free_port(), free_port()

    def tcp(
        self,
        server: TcpServer | Gate,
        *filters: Tree,
        tls: Tree | None = None,
        cluster: Tree | None = None,
        **proxy: Any,
    ) -> Proxy:
        """A TCP proxy to this server; `cluster`: further fields of it."""
        last = tls_config.tcp_proxy("up", **proxy)
        return self._serve([*filters, last], tls, server.port, **cluster or {})

    def http(self, *filters: Tree, tls: Tree | None = None, **manager: Any) -> Proxy:
        """A connection manager that answers itself."""
        direct = {"match": {"prefix": "/"}, "direct_response": {"status": 204}}
        routes = config.route_config("r", direct)
        return self._serve(
            [*filters, tls_config.http_filter(config.hcm(routes, **manager))], tls, free_port()
        )

    def _serve(self, filters: list[Tree], tls: Tree | None, port: int, **up: Any) -> Proxy:
        tree = tls_config.listener("in", self.port, tls_config.chain(*filters, tls=tls))
        text = config.bootstrap(self.admin_port, [tree], [config.cluster("up", port, **up)])
        return self._start(text, self.admin_port)

    @property
    def active(self) -> str:
        """The gauge of its connections."""
        return f"listener.127.0.0.1_{self.port}.downstream_cx_active"


@pytest.fixture
def site(start: StartMesh) -> Site:
    """Not started yet."""
    return Site(start)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Hears what gets through."""
    recorder = Recorder()
    with recorder.server:
        yield recorder


def test_nothing_of_a_refused_client_reaches_the_host(site: Site, recorder: Recorder) -> None:
    """The host is connected, as with Envoy, and gets not a byte."""
    proxy = site.tcp(recorder.server, rbac(**NOBODY))
    for size in (1, 1000, 1_000_000):
        with connect(site.port) as conn, contextlib.suppress(ConnectionError):
            conn.sendall(b"x" * size)
            assert read_all(conn) == b""
    wait_for(lambda: proxy.stat(site.active) == 0, "all closed")
    assert proxy.stat("in.rbac.denied") == 3
    wait_for(lambda: proxy.stat("cluster.up.upstream_cx_active") == 0, "hosts let go")
    recorder.server.wait_accepted(3)
    assert not any(recorder.got)


def test_nothing_goes_into_a_tunnel_either(site: Site, recorder: Recorder) -> None:
    """CONNECT is sent, and then no more."""
    tunnel = {"hostname": "a:1"}
    proxy = site.tcp(recorder.server, rbac(**NOBODY), tunneling_config=tunnel)
    assert ask(site.port, b"secret") == b""
    wait_for(lambda: proxy.stat(site.active) == 0, "closed")
    recorder.server.wait_accepted(1)
    assert not any(recorder.got)


def test_tunnel_of_one_who_may(site: Site, recorder: Recorder) -> None:
    """The first bytes, and those that follow."""
    tunnel = {"hostname": "a:1"}
    site.tcp(recorder.server, rbac(rules=rules(), **CONTINUOUS), tunneling_config=tunnel)
    with connect(site.port) as conn:
        conn.sendall(b"first")
        wait_for(lambda: recorder.got == [b"first"], "the first bytes")
        conn.sendall(b" and more")
        wait_for(lambda: recorder.got == [b"first and more"], "more")


@pytest.mark.parametrize("more", [{}, CONTINUOUS], ids=["once", "continuous"])
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_bulk_passes_whole(site: Site, tmp_path: Path, more: Tree, is_tls: bool) -> None:
    """Both ways at once, with a host that is slower than the client."""
    authority = Authority(tmp_path / "ca")
    tls = tls_config.downstream_tls(authority.server(), alpn=()) if is_tls else None
    with TcpServer() as server:
        proxy = site.tcp(server, rbac(rules=rules(), **more), tls=tls)
        conn = connect(site.port)
        if is_tls:
            conn = client_context(authority.cert).wrap_socket(conn, server_hostname="localhost")
        with conn:
            assert exchange(conn, _BIG) == _BIG
    allowed = proxy.stat("in.rbac.allowed")
    assert allowed == 1 if not more else allowed > 1


_WAITS: Tree = {"upstream_connect_mode": "ON_DOWNSTREAM_DATA", "max_early_data_bytes": 65536}


def test_early_data_is_asked_about_before_there_is_a_host(site: Site, recorder: Recorder) -> None:
    """So that one who may not costs the host nothing."""
    proxy = site.tcp(recorder.server, rbac(**NOBODY), **_WAITS)
    with contextlib.suppress(ConnectionError):
        assert ask(site.port, b"secret") == b""
    wait_for(lambda: proxy.stat(site.active) == 0, "closed")
    assert proxy.stat("in.rbac.denied") == 1
    assert proxy.stat("cluster.up.upstream_cx_total") == 0
    assert not recorder.got


@pytest.mark.parametrize("more", [{}, CONTINUOUS], ids=["once", "continuous"])
def test_early_data_that_may_pass(site: Site, more: Tree) -> None:
    """Once, with what follows, and with the end."""
    with TcpServer() as server:
        proxy = site.tcp(server, rbac(rules=rules(), **more), **_WAITS)
        assert ask(site.port, b"hello") == b"hello"
        with connect(site.port) as conn:
            assert exchange(conn, _BIG) == _BIG
    wait_for(lambda: proxy.stat("tcp.tcp.downstream_cx_rx_bytes_total") == len(_BIG) + 5, "all")


@pytest.mark.parametrize("more", [{}, CONTINUOUS], ids=["once", "continuous"])
@pytest.mark.parametrize("early", [{}, _WAITS], ids=["later", "early"])
def test_tunnels_over_http2(site: Site, more: Tree, early: Tree) -> None:
    """All that may pass does, and the end."""
    big = _BIG[: 1 << 20]
    tunnel: Tree = {"hostname": "echo.test:1"}
    with Gate(2) as gate:
        filters = rbac(rules=rules(), **more)
        site.tcp(gate, filters, cluster=tls_config.http2(), tunneling_config=tunnel, **early)
        assert ask(site.port, b"hello") == b"hello"
        with connect(site.port) as conn:
            assert exchange(conn, big) == big
            conn.shutdown(socket.SHUT_WR)
            assert read_all(conn) == b""
        assert [seen.end for seen in gate.seen] == ["end", "end"]
        assert [len(seen.data) for seen in gate.seen] == [5, len(big)]


def test_ends_pass(site: Site) -> None:
    """A client that has said all hears the answer; one that says nothing is asked about, too."""
    with TcpServer() as server:
        proxy = site.tcp(server, rbac(rules=rules()))
        assert ask(site.port, b"hello") == b"hello"
        assert ask(site.port, b"") == b""
        assert proxy.wait_stat("in.rbac.allowed", 2) == 2


def test_a_silent_client_is_not_asked_about(site: Site) -> None:
    """Not before it says something or ends."""
    with TcpServer() as server:
        proxy = site.tcp(server, rbac(rules=rules()))
        with connect(site.port):
            wait_for(lambda: proxy.stat("cluster.up.upstream_cx_active") == 1, "the host")
            assert proxy.stat("in.rbac.allowed") == 0


def test_a_client_that_breaks_off_unasked(site: Site) -> None:
    """RST before a byte: nothing is left of it."""
    with TcpServer() as server:
        proxy = site.tcp(server, rbac(rules=rules()))
        conn = connect(site.port)
        wait_for(lambda: proxy.stat("cluster.up.upstream_cx_active") == 1, "the host")
        reset(conn)
        wait_for(lambda: proxy.stat(site.active) == 0, "the client's end")
        wait_for(lambda: proxy.stat("cluster.up.upstream_cx_active") == 0, "the host's")


def test_delay_of_tcp(site: Site, recorder: Recorder) -> None:
    """Held, and what it sends meanwhile goes nowhere."""
    proxy = site.tcp(recorder.server, rbac(rules={}, delay_deny="0.5s"))
    with connect(site.port) as conn:
        conn.sendall(b"secret")
        proxy.wait_stat("in.rbac.denied", 1)
        conn.sendall(b"more of it")
        assert read_all(conn) == b""
    wait_for(lambda: proxy.stat(site.active) == 0, "closed")
    recorder.server.wait_accepted(1)
    assert not any(recorder.got)


def test_delay_before_http(site: Site) -> None:
    """Held and counted until its client goes."""
    proxy = site.http(rbac(rules={}, delay_deny="3600s"))
    with connect(site.port) as conn:
        conn.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        proxy.wait_stat("in.rbac.denied", 1)
        assert proxy.stat(site.active) == 1
        assert proxy.stat("http.web.downstream_cx_active") == 1
        conn.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    wait_for(lambda: proxy.stat(site.active) == 0, "closed")
    assert proxy.stat("http.web.downstream_cx_active") == 0
    assert proxy.stat("http.web.downstream_rq_total") == 0


def test_requests_one_after_the_other(site: Site) -> None:
    """CONTINUOUS is asked about each."""
    proxy = site.http(rbac(rules=rules(), **CONTINUOUS))
    with connect(site.port) as conn:
        for _ in range(3):
            conn.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            heard = b""
            while not heard.endswith(b"\r\n\r\n"):
                heard += read_exactly(conn, 1)
            assert heard.startswith(b"HTTP/1.1 204")
    assert proxy.stat("in.rbac.allowed") == 3
    assert proxy.stat("http.web.downstream_rq_total") == 3


@pytest.mark.parametrize("is_tls", [False, True], ids=["h2c", "h2"])
def test_http2(site: Site, tmp_path: Path, is_tls: bool) -> None:
    """With prior knowledge and by ALPN; the connection manager gets all of the first bytes."""
    authority = Authority(tmp_path / "ca")
    tls = tls_config.downstream_tls(authority.server()) if is_tls else None
    proxy = site.http(rbac(rules=rules(), **CONTINUOUS), tls=tls)
    context = client_context(authority.cert, alpn=["h2"]) if is_tls else None
    with Client(site.port, tls=context) as client:
        for _ in range(3):
            assert client.request(get()).status == 204
    assert proxy.stat("in.rbac.allowed") >= 3
    assert proxy.stat("http.web.downstream_cx_http2_total") == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_has_its_name(
    site: Site, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """The certificate is not sent again, and still says who it is."""
    authority = Authority(tmp_path / "ca")
    tls = tls_config.downstream_tls(authority.server(), client_ca=authority.cert, alpn=())
    uri = "spiffe://cluster.local/ns/default/sa/web"
    principal = {"authenticated": {"principal_name": {"exact": uri}}}
    context = client_context(authority.cert, authority.workload("web"))
    context.maximum_version = version
    with TcpServer() as server:
        proxy = site.tcp(server, rbac(rules=rules(principal)), tls=tls)
        session = None
        for turn in range(2):
            conn = context.wrap_socket(
                connect(site.port), server_hostname="localhost", session=session
            )
            with conn:
                conn.sendall(b"x")
                assert read_exactly(conn, 1) == b"x"
                assert conn.session_reused == bool(turn)
                session = conn.session
    assert proxy.stat("in.rbac.allowed") == 2


def test_rules_change(start: StartMesh, tmp_path: Path) -> None:
    """New connections get the new rules; those that were let in stay."""
    port, admin_port, lds = free_port(), free_port(), tmp_path / "lds.yaml"

    def serve(which: Tree) -> None:
        filters = rbac(rules=which), tls_config.tcp_proxy("up")
        tree = tls_config.listener("in", port, tls_config.chain(*filters))
        config.move_in(lds, config.discovery(config.LISTENER, [tree]))

    with TcpServer() as server:
        serve(rules())
        text = config.bootstrap(admin_port, lds, [config.cluster("up", server.port)])
        proxy = start(text, admin_port)
        wait_for(lambda: proxy.stat("listener_manager.total_listeners_active") == 1, "it")
        with connect(port) as old:
            old.sendall(b"a")
            assert read_exactly(old, 1) == b"a"
            serve(rules(_TWO))
            wait_for(lambda: proxy.stat("listener_manager.listener_modified") == 1, "the change")
            wait_for(lambda: ask(port, b"b") == b"", "the new rules")
            old.sendall(b"c")
            assert read_exactly(old, 1) == b"c"
        conn = socket.create_connection(("127.0.0.1", port), 20, source_address=("127.0.0.2", 0))
        with conn:
            conn.sendall(b"d")
            assert read_exactly(conn, 1) == b"d"
