"""HTTP/2 on both sides: streams, windows, trailers, limits, and how connections end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, h2peer, h2raw, tls_config
from tests.support.certs import Authority, client_context
from tests.support.client import Connection
from tests.support.h2peer import Answer, Client, get
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.upstream import Reply
from tests.support.upstream import Upstream as Upstream1

_MIB = 1 << 20
_GET1 = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, REFUSED, CANCEL = 0, 1, 7, 8
TRAILERS1 = tls_config.http_options(
    explicit_http_config={"http_protocol_options": {"enable_trailers": True}}
)


class Bridge:
    """A process between clients and one upstream of either protocol."""

    def __init__(self, start: StartMesh, folder: Path) -> None:
        self._start = start
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.log = folder / "access.log"
        self.proxy: Proxy
        self._up2: h2peer.Upstream | None = None
        self._up1: Upstream1 | None = None

    @property
    def up(self) -> h2peer.Upstream:
        """The upstream that speaks HTTP/2."""
        if self._up2 is None:
            self._up2 = h2peer.Upstream()
        return self._up2

    @up.setter
    def up(self, upstream: h2peer.Upstream) -> None:
        self._up2 = upstream

    @property
    def up1(self) -> Upstream1:
        """The upstream that speaks HTTP/1."""
        if self._up1 is None:
            self._up1 = Upstream1()
        return self._up1

    def __call__(
        self,
        *flags: str,
        to: int = 2,
        manager: dict[str, Any] | None = None,
        cluster: dict[str, Any] | None = None,
        route: dict[str, Any] | None = None,
        tls: config.Tree | None = None,
        **listener: Any,
    ) -> Proxy:
        """Serve: everything to the upstream of that version."""
        more = (tls_config.http2() if to == 2 else {}) | (cluster or {})
        port = self.up.port if to == 2 else self.up1.port
        fields = ("REQ(:PATH)", "PROTOCOL", "RESPONSE_CODE", "RESPONSE_FLAGS")
        fields += ("RESPONSE_CODE_DETAILS",)
        kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
        text = {"inline_string": "\t".join(f"%{f}%" for f in fields) + "\n"}
        log = {"@type": kind, "path": str(self.log), "log_format": {"text_format_source": text}}
        hcm = config.hcm(
            config.route_config("local", config.route("/", "up", **(route or {}))),
            access_log=[{"name": "log", "typed_config": log}],
            **(manager or {}),
        )
        chain = tls_config.chain(tls_config.http_filter(hcm), tls=tls)
        tree = tls_config.listener("web", self.port, chain, **listener)
        text = config.bootstrap(self.admin_port, [tree], [config.cluster("up", port, **more)])
        self.proxy = self._start(text, self.admin_port, *flags)
        return self.proxy

    def client(self, **more: Any) -> Client:
        return Client(self.port, **more)

    def stop(self) -> None:
        for up in (self._up1, self._up2):
            if up is not None:
                up.stop()

    def logged(self, count: int) -> list[list[str]]:
        """Lines of the access log, when there are so many."""
        until(lambda: self.log.exists() and self.log.read_text().count("\n") >= count)
        return [line.split("\t") for line in self.log.read_text().splitlines()]


@pytest.fixture
def bridge(start: StartMesh, tmp_path: Path) -> Iterator[Bridge]:
    """Not started yet."""
    bridge = Bridge(start, tmp_path)
    yield bridge
    bridge.stop()


def until(holds: Callable[[], bool], deadline: float = 20.0) -> None:
    end = time.monotonic() + deadline
    while not holds():
        assert time.monotonic() < end, "it never did"
        time.sleep(0.01)


def body(size: int) -> bytes:
    """Bytes of which each piece differs."""
    return b"".join(i.to_bytes(8, "big") for i in range(size // 8))


# -- which protocol -------------------------------------------------------------------------------


def test_prior_knowledge_and_http1_on_one_port(bridge: Bridge) -> None:
    """AUTO looks at the first bytes."""
    proxy = bridge()
    with bridge.client() as client:
        assert client.request(get("/two")).status == 200
    with Connection(bridge.port) as conn:
        assert conn.request(_GET1).status == 200
    assert [line[:2] for line in bridge.logged(2)] == [["/two", "HTTP/2"], ["/", "HTTP/1.1"]]
    assert proxy.stat("http.web.downstream_cx_http2_total") == 1
    assert proxy.stat("http.web.downstream_cx_http1_total") == 1
    assert proxy.stat("http.web.downstream_rq_http2_total") == 1
    assert proxy.stat("cluster.up.upstream_cx_http2_total") == 1


def test_codec_type_is_obeyed(start: StartMesh, bridge: Bridge) -> None:
    """HTTP2 does not serve HTTP/1, HTTP1 does not serve HTTP/2."""
    bridge(manager={"codec_type": "HTTP2"})
    with bridge.client() as client:
        assert client.request(get()).status == 200
    with Connection(bridge.port) as conn:
        conn.send(_GET1)
        assert conn.wait_closed() != "open"
        assert b"HTTP/1.1 200" not in conn.raw
    bridge.port, bridge.admin_port = free_port(), free_port()
    bridge(manager={"codec_type": "HTTP1"})
    with h2raw.Peer(bridge.port) as peer:
        peer.send(h2raw.PREFACE + h2raw.settings())
        assert peer.wait_closed() != "open"
        assert peer.frames[h2raw.SETTINGS] == 0
    with Connection(bridge.port) as conn:
        assert conn.request(_GET1).status == 200


def test_alpn_decides(bridge: Bridge) -> None:
    """Downstream by what the client agreed to; upstream (auto_config) by what the host did."""
    ca = Authority(bridge.folder / "ca")
    server = ca.server()
    bridge.up = h2peer.Upstream(tls=server.server_context(alpn=["h2"]))
    with Upstream1(tls=server.server_context(alpn=["http/1.1"])) as up1:
        endpoints = [
            {"endpoint": {"address": config.address(port)}} for port in (bridge.up.port, up1.port)
        ]
        proxy = bridge(
            tls=tls_config.downstream_tls(server),
            cluster={
                **tls_config.auto_http(),
                "transport_socket": tls_config.upstream_tls(ca.cert, sni="localhost"),
                "load_assignment": {
                    "cluster_name": "up",
                    "endpoints": [{"lb_endpoints": endpoints}],
                },
            },
        )
        with bridge.client(tls=client_context(ca.cert, alpn=["h2"])) as client:
            for _ in range(4):
                assert client.request(get()).status == 200
        with Connection(bridge.port, tls=client_context(ca.cert, alpn=["http/1.1"])) as conn:
            for _ in range(4):
                assert conn.request(_GET1).status == 200
        assert (len(bridge.up.requests), len(up1.requests)) == (4, 4)
    assert proxy.stat("cluster.up.upstream_cx_http1_total") == 1
    assert proxy.stat("cluster.up.upstream_cx_http2_total") == 1


def test_the_upstream_speaks_what_the_client_does(start: StartMesh, bridge: Bridge) -> None:
    """use_downstream_protocol_config."""
    options = {"http_protocol_options": {}, "http2_protocol_options": {}}
    with Upstream1() as up1:
        both = tls_config.http_options(use_downstream_protocol_config=options)
        bridge(cluster=both)
        with bridge.client() as client:
            assert client.request(get()).status == 200
        assert bridge.up.requests[0].get(":method") == "GET"
        bridge.port, bridge.admin_port = free_port(), free_port()
        bridge._up1 = up1
        bridge(to=1, cluster=both)
        with Connection(bridge.port) as conn:
            assert conn.request(_GET1).status == 200
        assert up1.requests[0].start == "GET / HTTP/1.1"


# -- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [1, 2])
def test_many_streams_at_once(bridge: Bridge, to: int) -> None:
    """Each gets its own answer."""
    bridge(to=to)
    for n in range(100):
        text = f"answer {n}".encode()
        if to == 2:
            bridge.up.by_path[f"/{n}"] = Answer(([(":status", "200")], text))
        else:
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(text)}\r\n\r\n".encode()
            bridge.up1.by_path[f"/{n}"] = Reply((head, text))
    with bridge.client() as client:
        streams = [client.begin(get(f"/{n}")) for n in range(100)]
        for n, stream in enumerate(streams):
            assert client.finish(stream).body == f"answer {n}".encode()
            assert stream.ended


@pytest.mark.parametrize("to", [1, 2])
@pytest.mark.parametrize("down", [1, 2])
def test_big_bodies_both_ways(bridge: Bridge, down: int, to: int) -> None:
    """8 MiB up and 8 MiB down, on every bridge."""
    bridge(to=to)
    big = body(8 * _MIB)
    if to == 2:
        length = ("content-length", str(len(big)))
        bridge.up.by_path["/"] = Answer(([(":status", "200"), length], big))
    else:
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(big)}\r\n\r\n".encode()
        bridge.up1.by_path["/"] = Reply((head, big))
    if down == 2:
        with bridge.client() as client:
            stream = client.request(get(method="POST"), big)
            assert stream.ended
            assert stream.body == big
    else:
        with Connection(bridge.port) as conn:
            head = f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {len(big)}\r\n\r\n".encode()
            conn.methods = ["POST"]
            sender = threading.Thread(target=conn.send, args=(head + big,))
            sender.start()
            sender.join()
            chunks = []
            while sum(map(len, chunks)) < len(big) and conn.receive():
                chunks.append(conn.raw)
                conn.raw = b""
            assert b"".join(chunks).endswith(big)
    got = bridge.up.requests[0].body if to == 2 else bridge.up1.requests[0].body
    assert got == big


def test_a_slow_reader_holds_the_upstream_back(bridge: Bridge) -> None:
    """64 MiB for a client that gives no credit: the proxy holds no more than its buffers.

    Without a timeout of the route: on a busy machine this may take longer than its 15 s.
    """
    proxy = bridge(per_connection_buffer_limit_bytes=65536, route={"timeout": "0s"},
                   cluster={**tls_config.http2(initial_stream_window_size=65536,
                                               initial_connection_window_size=65536),
                            "per_connection_buffer_limit_bytes": 65536})  # fmt: skip
    big = body(64 * _MIB)
    bridge.up.by_path["/"] = Answer(([(":status", "200")], big))
    before = proxy.rss_kib()
    with bridge.client(window=65535) as client:
        client.auto_window = client.keep_bodies = False
        stream = client.begin(get())
        assert client.wait_for(lambda: stream.size >= 60_000)
        for _ in range(16):
            client.open_window(stream.id, 65535)
            at = stream.size + 60_000
            assert client.wait_for(lambda at=at: stream.size >= at)
            assert proxy.rss_kib() - before < 4096
        client.reset(stream)
        # The connection is well: what was given up is not owed for ever.
        client.auto_window = True
        client.h2.increment_flow_control_window(_MIB)
        client.flush()
        assert client.request(get("/other")).status == 200


def test_a_slow_upstream_holds_the_client_back(bridge: Bridge) -> None:
    """An upstream that takes nothing: the client's window runs out, the proxy stays small."""
    bridge.up = h2peer.Upstream(window=65535)
    bridge.up.auto_window = False
    small = {"initial_stream_window_size": 65536, "initial_connection_window_size": 65536}
    proxy = bridge(manager={"http2_protocol_options": small},
                   per_connection_buffer_limit_bytes=65536,
                   cluster={"per_connection_buffer_limit_bytes": 65536})  # fmt: skip
    before = proxy.rss_kib()
    with bridge.client() as client:
        stream = client.begin(get(method="POST"), end=False)
        sent = 0
        while True:
            room = client.h2.local_flow_control_window(stream.id)
            if room == 0 and not client.receive(0.3):
                break
            if room > 0:
                client.h2.send_data(stream.id, b"x" * min(room, 16384))
                client.flush()
                sent += min(room, 16384)
            assert sent < 4 * _MIB, "nothing holds the client back"
        assert proxy.rss_kib() - before < 4096
        assert bridge.up.requests[0].size <= 65535


@pytest.mark.parametrize("to", [1, 2])
@pytest.mark.parametrize("down", [1, 2])
def test_trailers_both_ways(bridge: Bridge, down: int, to: int) -> None:
    """HTTP/1 has them where `enable_trailers` says so."""
    one = {"http_protocol_options": {"enable_trailers": True}}
    bridge(to=to, manager=one, cluster=TRAILERS1 if to == 1 else {})
    if to == 2:
        bridge.up.by_path["/"] = Answer(([(":status", "200")], b"abc", [("x-end", "down")]))
    else:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n"
        bridge.up1.by_path["/"] = Reply((head, b"3\r\nabc\r\n0\r\nx-end: down\r\n\r\n"))
    if down == 2:
        with bridge.client() as client:
            stream = client.request(get(method="POST"), b"hello", [("x-end", "up")])
            assert (stream.body, stream.trailers) == (b"abc", [("x-end", "down")])
            assert stream.ended
    else:
        head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        with Connection(bridge.port) as conn:
            answer = conn.request(head + b"5\r\nhello\r\n0\r\nx-end: up\r\n\r\n", "POST")
            assert (answer.body, answer.trailers) == (b"abc", [("x-end", "down")])
    got = bridge.up.requests[0] if to == 2 else bridge.up1.requests[0]
    assert (got.body, got.trailers) == (b"hello", [("x-end", "up")])


@pytest.mark.parametrize("to", [1, 2])
def test_answers_without_a_body(bridge: Bridge, to: int) -> None:
    """HEAD keeps the length, 204 and 304 have none; the connection goes on."""
    bridge(to=to)
    for path, status, length in (("/head", "200", "5"), ("/204", "204", ""), ("/304", "304", "")):
        fields = [(":status", status), *([("content-length", length)] if length else [])]
        if to == 2:
            bridge.up.by_path[path] = Answer((fields,))
        else:
            line = f"content-length: {length}\r\n" if length else ""
            bridge.up1.by_path[path] = Reply((f"HTTP/1.1 {status} X\r\n{line}\r\n".encode(),))
    with bridge.client() as client:
        head = client.request(get("/head", method="HEAD"))
        assert (head.status, head.get("content-length"), head.body) == (200, "5", b"")
        for status in (204, 304):
            seen = client.request(get(f"/{status}"))
            assert (seen.status, seen.body, seen.ended) == (status, b"", True)
        assert client.request(get()).status == 200


def test_interim_responses(bridge: Bridge) -> None:
    """100 for who expects it; 103 goes nowhere, as with Envoy."""
    bridge()
    interim = ([(":status", "103"), ("link", "</a>")], h2peer.OK, b"ok")
    bridge.up.by_path["/early"] = Answer(interim)
    with bridge.client() as client:
        stream = client.begin(get("/", ("expect", "100-continue"), method="POST"), end=False)
        assert client.wait_for(lambda: bool(stream.informational))
        assert stream.informational[0][0] == (":status", "100")
        client.send_body(stream.id, b"body")
        assert client.finish(stream).status == 200
        assert bridge.up.requests[0].get("expect") is None
        early = client.request(get("/early"))
        assert (early.status, early.body, early.informational) == (200, b"ok", [])


@pytest.mark.parametrize("to", [1, 2])
def test_an_early_answer_ends_the_upload(bridge: Bridge, to: int) -> None:
    """The answer is whole before the request is: it is passed on, and the connection lives."""
    bridge(to=to)
    bridge.up.by_path["/"] = Answer(([(":status", "413")], b"too big"), after="head")
    bridge.up1.by_path["/"] = Reply(
        (b"HTTP/1.1 413 X\r\ncontent-length: 7\r\n\r\ntoo big",), after="head"
    )
    with bridge.client() as client:
        stream = client.begin(get(method="POST"), end=False)
        assert client.wait_for(lambda: stream.over)
        assert (stream.status, stream.body) == (413, b"too big")
        other = client.request(get("/other"))
        assert other.status == 200


def test_cookies_are_joined_and_kept(bridge: Bridge) -> None:
    """Crumbs become one line (RFC 9113 section 8.2.3), on the way to either protocol."""
    crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]
    bridge()
    with bridge.client() as client:
        client.request(get("/", *crumbs))
    assert bridge.up.requests[0].all("cookie") == ["a=1; b=2; c=3"]
    bridge.port, bridge.admin_port = free_port(), free_port()
    bridge(to=1)
    with bridge.client() as client:
        client.request(get("/", *crumbs))
    assert bridge.up1.requests[0].all("cookie") == ["a=1; b=2; c=3"]


# -- limits ---------------------------------------------------------------------------------------


def test_headers_are_limited(bridge: Bridge) -> None:
    """Size and count: 431 for a request, 503 for a response; the connection goes on."""
    bridge(
        manager={
            "max_request_headers_kb": 8,
            "common_http_protocol_options": {"max_headers_count": 20},
        },
        cluster=tls_config.http_options(
            explicit_http_config={"http2_protocol_options": {}},
            common_http_protocol_options={"max_headers_count": 20},
        ),
    )
    many = [(f"x-{i}", "1") for i in range(30)]
    bridge.up.by_path["/many"] = Answer(([(":status", "200"), *many],))
    with bridge.client() as client:
        for extra in ([("x-big", "b" * 9000)], many):
            seen = client.request(get("/", *extra))
            assert seen.status == 431 or seen.reset is not None, seen
        assert client.request(get("/many")).status == 502
    with bridge.client() as client:
        assert client.request(get("/fine")).status == 200
    assert {r.path for r in bridge.up.requests} == {"/many", "/fine"}


def test_concurrent_streams_are_limited(bridge: Bridge) -> None:
    """One more than allowed is refused, not lost: the client may try again."""
    bridge(manager={"http2_protocol_options": {"max_concurrent_streams": 2}})
    bridge.up.by_path["/slow"] = Answer((0.5, h2peer.OK, b"ok"))
    with h2raw.Peer(bridge.port) as peer:
        peer.handshake()
        assert peer.settings[h2raw.MAX_STREAMS] == 2
        block = h2raw.request("GET", "/slow", "h")
        for stream in (1, 3, 5):
            peer.send(h2raw.headers(stream, block))
        assert peer.wait_for(lambda: {1, 3} <= peer.ended and 5 in peer.resets)
        assert peer.resets == {5: h2raw.REFUSED_STREAM}
        peer.send(h2raw.headers(7, block))
        assert peer.wait_for(lambda: 7 in peer.ended)


# -- upstream connections -------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [1, 10])
def test_upstream_stream_limits_make_more_connections(bridge: Bridge, streams: int) -> None:
    """Twenty requests at once for a host that takes so many a connection: none is refused."""
    bridge.up = h2peer.Upstream(settings={h2raw.MAX_STREAMS: streams})
    bridge.up.by_path["/slow"] = Answer((0.4, h2peer.OK, b"ok"))
    bridge()
    with bridge.client() as client:
        # The host's limit is known from its SETTINGS on.
        assert client.request(get()).status == 200
        started = [client.begin(get("/slow")) for _ in range(20)]
        assert client.wait_for(lambda: all(s.over for s in started))
        assert {s.status for s in started} == {200}
    by_connection: dict[int, int] = {}
    for request in bridge.up.requests[1:]:
        by_connection[request.connection] = by_connection.get(request.connection, 0) + 1
    assert len(by_connection) >= 2, by_connection


def test_requests_per_connection_are_limited(bridge: Bridge) -> None:
    """The connection is replaced after so many, and told so."""
    proxy = bridge(
        cluster=tls_config.http_options(
            explicit_http_config={"http2_protocol_options": {}},
            common_http_protocol_options={"max_requests_per_connection": 3},
        )
    )
    with bridge.client() as client:
        for _ in range(9):
            assert client.request(get()).status == 200
    assert [r.connection for r in bridge.up.requests] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert proxy.stat("cluster.up.upstream_cx_max_requests") == 3
    assert bridge.up.connections[0].goaway is not None


def test_idle_upstream_connections_are_closed(bridge: Bridge) -> None:
    proxy = bridge(
        cluster=tls_config.http_options(
            explicit_http_config={"http2_protocol_options": {}},
            common_http_protocol_options={"idle_timeout": "0.2s"},
        )
    )
    with bridge.client() as client:
        assert client.request(get()).status == 200
        proxy.wait_stat("cluster.up.upstream_cx_idle_timeout", 1)
        assert proxy.stat("cluster.up.upstream_cx_active") == 0
        assert client.request(get()).status == 200
    assert bridge.up.accepted == 2


def test_idle_clients_are_told_to_go(bridge: Bridge) -> None:
    """GOAWAY with NO_ERROR, then the end."""
    proxy = bridge(
        manager={
            "common_http_protocol_options": {"idle_timeout": "0.2s"},
            "drain_timeout": "0.1s",
        }
    )
    with bridge.client() as client:
        assert client.request(get()).status == 200
        assert client.wait_closed() == "eof"
        assert client.goaway is not None
        assert client.goaway.error_code == NO_ERROR
    assert proxy.stat("http.web.downstream_cx_idle_timeout") == 1


def test_a_mute_upstream_is_given_up(bridge: Bridge) -> None:
    """PINGs without an answer: 503 for what waits, and a new connection for the next."""
    keepalive = {"interval": "0.1s", "timeout": "0.2s"}
    mute = _Mute()
    endpoints = {"endpoint": {"address": config.address(mute.port)}}
    proxy = bridge(
        cluster={
            **tls_config.http2(connection_keepalive=keepalive),
            "load_assignment": {
                "cluster_name": "up",
                "endpoints": [{"lb_endpoints": [endpoints]}],
            },
        }
    )
    try:
        with bridge.client() as client:
            assert client.request(get()).status == 503
        assert (proxy.stat("cluster.up.http2.keepalive_timeout") or 0) >= 1
        (line,) = bridge.logged(1)
        assert line[3] == "UC"
    finally:
        mute.stop()


class _Mute:
    """Takes HTTP/2 connections, sends SETTINGS and then nothing."""

    def __init__(self) -> None:
        import socket

        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._held: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.sendall(h2raw.settings() + h2raw.settings_ack())
            self._held.append(sock)

    def stop(self) -> None:
        self._listener.close()
        for sock in self._held:
            sock.close()


# -- upstreams that fail --------------------------------------------------------------------------


def test_upstream_failures_before_the_answer(bridge: Bridge) -> None:
    """RST_STREAM, REFUSED_STREAM, GOAWAY, a closed connection: 503, with Envoy's flags."""
    bridge()
    steps: dict[str, Any] = {
        "/rst": (("reset", CANCEL),),
        "/internal": (("reset", 2),),
        "/refused": (("reset", REFUSED),),
        "/close": ("close",),
        "/goaway-close": (("goaway", 0), "close"),
        "/tcp-rst": ("rst",),
    }
    flags = {"/rst": "UR", "/internal": "UR", "/refused": "UR"}
    for path, what in steps.items():
        bridge.up.by_path[path] = Answer(what)
    with bridge.client() as client:
        for path in steps:
            seen = client.request(get(path))
            assert (seen.status, seen.ended) == (503, True), path
            assert client.request(get("/fine")).status == 200, path
    lines = [line for line in bridge.logged(2 * len(steps)) if line[0] != "/fine"]
    assert {p: f for p, _, _, f, _ in lines} == {p: flags.get(p, "UC") for p in steps}


def test_upstream_goaway_spares_what_it_takes(bridge: Bridge) -> None:
    """Streams up to the last of GOAWAY are answered; the next request has a new connection."""
    bridge()
    bridge.up.by_path["/"] = Answer((("goaway", 0, 1), 0.1, h2peer.OK, b"ok"))
    with bridge.client() as client:
        first = client.request(get("/"))
        assert (first.status, first.body) == (200, b"ok")
        assert client.request(get("/next")).status == 200
    assert [r.connection for r in bridge.up.requests] == [1, 2]


@pytest.mark.parametrize("how", ["close", "rst", ("reset", 2)], ids=["close", "rst", "reset"])
def test_upstreams_that_end_in_the_middle(bridge: Bridge, how: Any) -> None:
    """A body that stops short is a reset stream for HTTP/2, a broken chunk for HTTP/1."""
    bridge()
    bridge.up.by_path["/"] = Answer(([(":status", "200")], b"half", 0.05, how))
    with bridge.client() as client:
        seen = client.request(get())
        assert (seen.status, seen.body, seen.ended) == (200, b"half", False)
        assert seen.reset is not None
        assert client.request(get("/fine")).status == 200
    with Connection(bridge.port) as conn:
        conn.methods = ["GET"]
        conn.send(_GET1)
        assert conn.wait_closed() != "open"
        assert not conn.exchange().messages[0].complete


def test_a_cancelled_request_is_cancelled_upstream(bridge: Bridge) -> None:
    """RST_STREAM goes through; the connections on both sides stay."""
    bridge()
    bridge.up.by_path["/hang"] = Answer(("hang",))
    with bridge.client() as client:
        stream = client.begin(get("/hang"))
        bridge.up.wait_requests(1)
        client.reset(stream)
        until(lambda: bridge.up.requests[0].reset is not None)
        assert bridge.up.requests[0].reset == CANCEL
        assert client.request(get("/fine")).status == 200
    assert bridge.up.accepted == 1


# -- draining -------------------------------------------------------------------------------------


def test_sigterm_loses_nothing(bridge: Bridge) -> None:
    """Requests in flight on many connections are answered; GOAWAY says not to send more."""
    proxy = bridge("--drain-time-s", "20", manager={"drain_timeout": "0.2s"})
    bridge.up.by_path["/slow"] = Answer((1.0, h2peer.OK, b"ok"))
    clients = [bridge.client() for _ in range(8)]
    streams = [[client.begin(get("/slow")) for _ in range(10)] for client in clients]
    bridge.up.wait_requests(80)
    proxy.terminate()
    for client, started in zip(clients, streams, strict=True):
        for stream in started:
            seen = client.finish(stream)
            assert (seen.status, seen.body, seen.ended) == (200, b"ok", True)
        assert client.wait_closed() != "open"
        assert client.goaway is not None
        assert client.goaway.error_code == NO_ERROR
        client.close()
    assert proxy.wait_exit() == 0


def test_a_changed_listener_drains(start: StartMesh, bridge: Bridge) -> None:
    """LDS: who is connected to the old one finishes there and is told to go."""
    lds = bridge.folder / "lds.yaml"

    def listener(drain: str) -> config.Tree:
        hcm = config.hcm(config.route_config("local", config.route("/", "up")), drain_timeout=drain)
        return config.listener("web", bridge.port, hcm)

    config.move_in(lds, config.discovery(config.LISTENER, [listener("0.1s")]))
    cluster = config.cluster("up", bridge.up.port, **tls_config.http2())
    text = config.bootstrap(bridge.admin_port, lds, [cluster])
    proxy = start(text, bridge.admin_port, "--drain-time-s", "5")
    bridge.up.by_path["/slow"] = Answer((1.0, h2peer.OK, b"ok"))
    with bridge.client() as client:
        streams = [client.begin(get("/slow")) for _ in range(10)]
        bridge.up.wait_requests(10)
        config.move_in(lds, config.discovery(config.LISTENER, [listener("0.2s")]))
        proxy.wait_stat("listener_manager.listener_modified", 1)
        for stream in streams:
            seen = client.finish(stream)
            assert (seen.status, seen.body, seen.ended) == (200, b"ok", True)
        assert client.wait_closed() != "open"
        assert client.goaway is not None
        assert client.goaway.error_code == NO_ERROR
    with bridge.client() as client:
        assert client.request(get()).status == 200


def test_http1_requests_for_an_http2_upstream_share_a_connection(bridge: Bridge) -> None:
    """Many clients, one connection to the host."""
    bridge()
    bridge.up.by_path["/"] = Answer((0.2, h2peer.OK, b"ok"))
    conns = [Connection(bridge.port) for _ in range(10)]
    for conn in conns:
        conn.methods = ["GET"]
        conn.send(_GET1)
    for conn in conns:
        conn.wait_for(1)
        assert conn.exchange().last.status == 200
        conn.close()
    assert bridge.up.accepted == 1


def test_bytes_of_a_connection_are_those_of_the_wire(bridge: Bridge) -> None:
    """Frames, and not bodies alone: what the client counts on its socket."""
    proxy = bridge()
    sent = b"".join((
        h2raw.PREFACE, h2raw.settings(), h2raw.headers(1, h2raw.request("GET", "/")),
        h2raw.ping(), h2raw.goaway(),
    ))  # fmt: skip
    with socket.create_connection(("127.0.0.1", bridge.port), 20) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        received = 0
        while piece := sock.recv(1 << 16):
            received += len(piece)
    assert received > 50  # settings, its acknowledgement, a pong at least
    proxy.wait_stat("http.web.downstream_cx_destroy", 1)
    assert proxy.stat("http.web.downstream_cx_rx_bytes_total") == len(sent)
    assert proxy.stat("http.web.downstream_cx_tx_bytes_total") == received
