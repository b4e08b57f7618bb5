"""HTTP/2 on both sides: which protocol, heads, bodies, trailers, windows, limits."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.integration.conftest import StartMesh
from tests.integration.http2.bridge import TRAILERS1, Bridge, body
from tests.support import config, h2peer, h2raw, tls_config
from tests.support.certs import Authority, client_context
from tests.support.client import Connection
from tests.support.h2peer import Answer, get
from tests.support.ports import free_port
from tests.support.upstream import Reply
from tests.support.upstream import Upstream as Upstream1

_MIB = 1 << 20
_GET1 = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


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
            received = bytearray()
            while not received.endswith(big[-16:]) and conn.receive():
                received += conn.raw
                conn.raw = b""
            assert received.endswith(big)
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
