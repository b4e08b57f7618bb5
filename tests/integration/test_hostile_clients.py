"""Slow, many, rude: clients that cost more than they should."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Simple
from tests.support.client import Connection
from tests.support.proxies import Proxy
from tests.support.upstream import Reply

_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many open files as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _answers(port: int, times: int = 5) -> None:
    for _ in range(times):
        with Connection(port) as conn:
            assert conn.request(_GET).status == 200


def _open_files(proxy: Proxy) -> int:
    return len(os.listdir(f"/proc/{proxy.pid}/fd"))


def _wait_stat_is(proxy: Proxy, name: str, value: int) -> None:
    end = time.monotonic() + 30
    while proxy.stat(name) != value and time.monotonic() < end:
        time.sleep(0.05)
    assert proxy.stat(name) == value


def test_slowloris_heads(simple: Simple) -> None:
    """Heads that never end are answered 408 and closed; others are served meanwhile."""
    proxy = simple(manager={"request_headers_timeout": "1s"})
    slow = [Connection(simple.port) for _ in range(200)]
    try:
        for conn in slow:
            conn.methods = ["GET"]
            conn.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ")
        _answers(simple.port)
        for conn in slow[:20]:  # a byte now and then does not help
            conn.send(b"a")
        for conn in slow:
            assert conn.wait_closed() != "open"
            assert conn.exchange().last.status == 408
    finally:
        for conn in slow:
            conn.close()
    _answers(simple.port)
    _wait_stat_is(proxy, "http.web.downstream_cx_active", 0)


def test_slow_bodies(simple: Simple) -> None:
    """Bodies that never end fall to the stream's idle timeout; the upstream is let go."""
    proxy = simple(manager={"stream_idle_timeout": "1s"})
    slow = [Connection(simple.port) for _ in range(50)]
    try:
        for conn in slow:
            conn.methods = ["POST"]
            conn.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx")
        for conn in slow:
            assert conn.wait_closed() != "open"
            assert conn.exchange().last.status == 408
    finally:
        for conn in slow:
            conn.close()
    _wait_stat_is(proxy, "cluster.up.upstream_rq_active", 0)


def test_endless_chunk_extensions_and_trailers(simple: Simple) -> None:
    """What has no length of its own is still bounded."""
    proxy = simple()
    before = proxy.rss_kib()
    for start in (b"1;", b"0\r\nx: "):
        with Connection(simple.port) as conn:
            conn.methods = ["POST"]
            conn.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + start)
            conn.sock.settimeout(5)
            with contextlib.suppress(OSError):
                for _ in range(512):
                    conn.sock.sendall(b"a" * 65536)
    assert proxy.rss_kib() - before < 8 * 1024
    _answers(simple.port)


def test_connection_storm(simple: Simple) -> None:
    """Thousands of connections that come and go in every way; nothing is left behind."""
    proxy = simple()
    _answers(simple.port)
    files = _open_files(proxy)

    def storm(kind: int) -> None:
        for _ in range(500):
            conn = Connection(simple.port)
            if kind == 1:
                conn.send(b"GET / HT")
            elif kind == 2:
                conn.send(_GET)
            elif kind == 3:
                conn.request(_GET)
            (conn.reset if kind % 2 else conn.close)()

    threads = [threading.Thread(target=storm, args=(kind,)) for kind in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    _answers(simple.port)
    _wait_stat_is(proxy, "http.web.downstream_cx_active", 0)
    _wait_stat_is(proxy, "cluster.up.upstream_rq_active", 0)
    end = time.monotonic() + 30
    while _open_files(proxy) > files + 40 and time.monotonic() < end:
        time.sleep(0.1)
    assert _open_files(proxy) <= files + 40  # pooled upstream connections


def test_client_gone_frees_the_upstream(simple: Simple) -> None:
    """A client that leaves while the upstream thinks: the upstream's connection goes too."""
    proxy = simple()
    simple.upstream.script([Reply(("hang",))] * 20)
    conns = [Connection(simple.port) for _ in range(20)]
    for conn in conns:
        conn.send(_GET)
    simple.upstream.wait_requests(20)
    for conn in conns:
        conn.reset()
    _wait_stat_is(proxy, "cluster.up.upstream_rq_active", 0)
    _wait_stat_is(proxy, "cluster.up.upstream_cx_active", 0)


def test_small_nofile_limit(simple: Simple) -> None:
    """Out of file descriptors: it survives, and serves again when there are some."""
    proxy = simple(prefix=["prlimit", "--nofile=100:100"])
    _answers(simple.port)
    crowd = []
    for _ in range(200):
        sock = socket.socket()
        sock.setblocking(False)  # those that the backlog has no room for just wait
        sock.connect_ex(("127.0.0.1", simple.port))
        crowd.append(sock)
    time.sleep(1)
    for sock in crowd:
        with contextlib.suppress(OSError):
            sock.send(_GET)
    time.sleep(1)
    assert proxy.process.poll() is None
    for sock in crowd:
        sock.close()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ConnectionError, AssertionError):
            _answers(simple.port)
            break
        time.sleep(0.2)
    _answers(simple.port)


def test_ten_thousand_idle_connections(simple: Simple, many_files: None) -> None:
    """They are held, answer when spoken to, and cost less than Envoy's 16 KiB each."""
    proxy = simple()
    _answers(simple.port)
    before = proxy.rss_kib()
    idle: list[Connection] = []
    try:
        idle.extend(Connection(simple.port) for _ in range(10_000))
        for first in range(0, len(idle), 200):  # in waves: the circuit breaker allows 1024
            wave = idle[first : first + 200]
            for conn in wave:
                conn.methods = ["GET"]
                conn.send(_GET)
            for conn in wave:
                conn.wait_for(1)
                assert conn.exchange().last.status == 200
        assert proxy.wait_stat("http.web.downstream_cx_active", 10_000) == 10_000
        grown = proxy.rss_kib() - before
        print(f"{grown / 10_000:.1f} KiB per idle connection")
        assert grown < 12 * 10_000
        for conn in idle[::100]:
            conn.methods.append("GET")
            conn.send(_GET)
            conn.wait_for(2)
            assert len(conn.exchange().finals) == 2
    finally:
        for conn in idle:
            conn.close()
    _wait_stat_is(proxy, "http.web.downstream_cx_active", 0)
    _answers(simple.port)


def test_garbage_in_bulk(simple: Simple) -> None:
    """Random bytes never end the process and never reach the upstream."""
    proxy = simple()
    for seed in range(200):
        with Connection(simple.port) as conn:
            conn.send(os.urandom(200 + seed) + b"\r\n\r\n")
    _answers(simple.port)
    assert proxy.process.poll() is None
    assert {r.start for r in simple.upstream.requests} == {"GET / HTTP/1.1"}


def test_smuggling_gadgets_reach_nobody(simple: Simple) -> None:
    """After any refused framing the connection is dead: a second request hidden in the body of the
    first is never answered."""
    simple()
    hidden = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
    for head in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        b"Transfer-Encoding: xchunked",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: +5",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\x0bchunked",
        b"X: y\rTransfer-Encoding: chunked",
        b"X: y\nTransfer-Encoding: chunked",
        b" Transfer-Encoding: chunked",
        b"Transfer_Encoding: chunked",
    ):
        with Connection(simple.port) as conn:
            conn.methods = ["POST", "GET"]
            conn.send(b"POST / HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n0\r\n\r\n" + hidden)
            assert conn.wait_closed() != "open", head
            assert conn.exchange().finals[0].status in (400, 501), head
    assert all(r.path != "/hidden" for r in simple.upstream.requests)
