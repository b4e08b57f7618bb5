"""Plain forwarding, seen by curl, wrk, h2load and raw sockets."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from tests.integration.conftest import Simple
from tests.support.client import DEADLINE, Connection
from tests.support.tools import curl, h2load, wrk
from tests.support.upstream import OK, Reply

_MIB = 1 << 20


def test_curl_get_and_post(simple: Simple) -> None:
    """curl's requests arrive whole; its user agent passes."""
    simple()
    url = f"http://127.0.0.1:{simple.port}/path?q=1"
    assert curl(url).body == b"ok"
    answer = curl("-d", "hello", url)
    assert (answer.code, answer.body) == (200, b"ok")
    request = simple.upstream.requests[-1]
    assert (request.start, request.body) == ("POST /path?q=1 HTTP/1.1", b"hello")
    assert (request.get("user-agent") or "").startswith("curl/")


def test_curl_http10_is_refused(simple: Simple) -> None:
    """426, as Envoy."""
    simple()
    assert curl("--http1.0", f"http://127.0.0.1:{simple.port}/").code == 426


def test_curl_upload_with_expect(simple: Simple, tmp_path: Path) -> None:
    """A big upload for which curl waits for 100 Continue."""
    simple()
    data = os.urandom(4 * _MIB)
    (tmp_path / "data").write_bytes(data)
    answer = curl("-T", str(tmp_path / "data"), "-H", "Expect: 100-continue",
                  f"http://127.0.0.1:{simple.port}/up")  # fmt: skip
    assert answer.code == 200
    assert "100 Continue" in answer.headers
    assert hashlib.sha1(simple.upstream.requests[-1].body).digest() == hashlib.sha1(data).digest()


def test_curl_chunked_upload(simple: Simple, tmp_path: Path) -> None:
    """Chunked in, chunked out, same bytes."""
    simple()
    data = os.urandom(_MIB)
    (tmp_path / "data").write_bytes(data)
    answer = curl("-T", str(tmp_path / "data"), "-H", "Transfer-Encoding: chunked",
                  f"http://127.0.0.1:{simple.port}/up")  # fmt: skip
    assert answer.code == 200
    request = simple.upstream.requests[-1]
    assert (request.framing, request.body == data) == ("chunked", True)


def test_wrk(simple: Simple) -> None:
    """A saturated second without one bad answer."""
    simple()
    result = wrk(f"http://127.0.0.1:{simple.port}/", connections=32)
    assert result.requests > 100
    assert (result.bad_status, result.socket_errors) == (0, 0)


def test_h2load_h1(simple: Simple) -> None:
    """Every request of h2load is answered 2xx, pipelined ones too."""
    simple()
    for args in ((), ("-m", "8")):
        counts = h2load(f"http://127.0.0.1:{simple.port}/", 3000, 16, *args)
        assert (counts["succeeded"], counts["failed"], counts["2xx"]) == (3000, 0, 3000)


def test_several_workers(simple: Simple) -> None:
    """Two workers share the port and the counters add up."""
    proxy = simple("--concurrency", "2")
    counts = h2load(f"http://127.0.0.1:{simple.port}/", 2000, 32)
    assert counts["2xx"] == 2000
    assert proxy.wait_stat("http.web.downstream_rq_2xx", 2000) == 2000
    assert proxy.wait_stat("cluster.up.upstream_rq_2xx", 2000) == 2000


def test_pipelining_keeps_order(simple: Simple) -> None:
    """Three hundred requests in one write; answers in order although the first is slow."""
    simple()
    count = 300
    answers = [
        Reply((0.2 if i == 0 else 0.0, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n%03d" % i))
        for i in range(count)
    ]
    simple.upstream.by_path = {f"/{i}": answer for i, answer in enumerate(answers)}
    with Connection(simple.port) as conn:
        conn.methods = ["GET"] * count
        conn.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i for i in range(count)))
        conn.wait_for(count)
        assert [m.body for m in conn.exchange().finals] == [b"%03d" % i for i in range(count)]


def test_pipelined_bodies(simple: Simple) -> None:
    """Bodies of both framings between pipelined heads end where they should."""
    simple()
    parts = []
    for i in range(50):
        if i % 2:
            parts.append(b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nb%04d" % (i, i))
        else:
            parts.append(
                b"POST /%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"2\r\nb%d\r\n3\r\n%03d\r\n0\r\n\r\n" % (i, 0, i)
            )
    with Connection(simple.port) as conn:
        conn.methods = ["POST"] * 50
        conn.send(b"".join(parts))
        conn.wait_for(50)
        assert {m.status for m in conn.exchange().finals} == {200}
    bodies = {r.path: r.body for r in simple.upstream.requests}
    assert bodies == {f"/{i}": b"b%04d" % i for i in range(50)}


def test_early_response_to_a_big_upload(simple: Simple) -> None:
    """The upstream refuses before it has read the body; the client gets the whole answer."""
    simple()
    body = b"too large" * 1000
    head = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: %d\r\n\r\n" % len(body)
    simple.upstream.script([Reply((head + body, "close"), after="head")])
    with Connection(simple.port) as conn:
        conn.methods = ["POST"]
        conn.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n")
        conn.sock.settimeout(1)
        piece = b"x" * 65536
        for _ in range(20):
            try:
                conn.sock.sendall(piece)
            except OSError:
                break
        conn.wait_for(1)
        answer = conn.exchange().last
    assert (answer.status, answer.body, answer.complete) == (413, body, True)


def test_big_download(simple: Simple) -> None:
    """96 MiB come through unchanged, with length and chunked."""
    simple()
    block = os.urandom(_MIB)
    blocks = [block] * 96
    wanted = hashlib.sha1(block * 96).hexdigest()
    length = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (96 * _MIB)
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    simple.upstream.by_path = {
        "/length": Reply((length, *blocks)),
        "/chunked": Reply((chunked, *[b"100000\r\n" + b + b"\r\n" for b in blocks], b"0\r\n\r\n")),
    }
    for path in ("/length", "/chunked"):
        answer = curl(f"http://127.0.0.1:{simple.port}{path}")
        assert hashlib.sha1(answer.body).hexdigest() == wanted


def test_big_upload(simple: Simple) -> None:
    """96 MiB up, unchanged."""
    simple()
    block = os.urandom(_MIB)
    with Connection(simple.port) as conn:
        conn.methods = ["POST"]
        conn.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (96 * _MIB))
        for _ in range(96):
            assert conn.send(block)
        conn.wait_for(1)
        assert conn.exchange().last.status == 200
    body = simple.upstream.requests[-1].body
    assert hashlib.sha1(body).digest() == hashlib.sha1(block * 96).digest()


def test_slow_reader_does_not_fill_memory(simple: Simple) -> None:
    """A client that does not read: the proxy stops reading from the upstream."""
    proxy = simple()
    with Connection(simple.port) as conn:
        conn.request(b"GET /warm HTTP/1.1\r\nHost: h\r\n\r\n")
    before = proxy.rss_kib()
    size = 128 * _MIB
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size
    simple.upstream.by_path = {"/big": Reply((head, *[b"z" * _MIB] * 128))}
    readers = [Connection(simple.port, rcvbuf=4096) for _ in range(4)]
    try:
        for conn in readers:
            conn.methods = ["GET"]
            conn.send(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
        simple.upstream.wait_requests(5)
        time.sleep(2)
        grown = proxy.rss_kib() - before
        assert grown < 4 * 4 * 1024, f"4 stalled downloads cost {grown} KiB"
        # And one of them may still have all of it.
        got = 0
        conn = readers[0]
        conn.sock.settimeout(DEADLINE)
        while got < size + len(head):
            data = conn.sock.recv(_MIB)
            assert data, f"ended after {got} bytes"
            got += len(data)
    finally:
        for conn in readers:
            conn.close()


def test_slow_upstream_does_not_fill_memory(simple: Simple) -> None:
    """An upstream that does not read: the proxy stops reading from the client."""
    proxy = simple()
    simple.upstream.script([Reply((3.0, OK), after="head")])
    with Connection(simple.port) as conn:
        before = proxy.rss_kib()
        conn.methods = ["POST"]
        conn.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (256 * _MIB))
        conn.sock.settimeout(1)
        pushed = 0
        try:
            for _ in range(256):
                conn.sock.sendall(b"y" * _MIB)
                pushed += 1
        except TimeoutError:
            pass
        assert pushed < 64, "nothing pushes back"
        assert proxy.rss_kib() - before < 16 * 1024


def test_upstream_closing_mid_body_closes_the_client(simple: Simple) -> None:
    """A cut response is never made to look complete."""
    simple()
    for head in (b"content-length: 100", b"transfer-encoding: chunked"):
        body = b"abc" if b"length" in head else b"3\r\nabc\r\n"
        simple.upstream.script(
            [Reply((b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body, "close"))]
        )
        with Connection(simple.port) as conn:
            conn.methods = ["GET"]
            conn.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert conn.wait_closed() != "open"
            assert not conn.exchange().last.complete


def test_keep_alive_to_the_upstream(simple: Simple) -> None:
    """Requests one after the other share one upstream connection."""
    simple()
    with Connection(simple.port) as conn:
        for _ in range(20):
            assert conn.request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").status == 200
    assert simple.upstream.accepted == 1


def test_upstream_restart_between_requests(simple: Simple) -> None:
    """Pooled connections that the upstream has closed are not used again."""
    simple()
    with Connection(simple.port) as conn:
        for _ in range(10):
            assert conn.request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").status == 200
            simple.upstream.drop_connections()
            time.sleep(0.1)


def test_max_requests_per_upstream_connection(simple: Simple) -> None:
    """max_requests_per_connection of the cluster's common options is kept."""
    key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {
        "@type": f"type.googleapis.com/{key}",
        "common_http_protocol_options": {"max_requests_per_connection": 2},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    simple(cluster={"typed_extension_protocol_options": {key: options}})
    with Connection(simple.port) as conn:
        for _ in range(6):
            assert conn.request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").status == 200
    assert simple.upstream.accepted == 3
