"""What one HTTP/2 connection can make us hold: little for each stream, and a limit for all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from itertools import count

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, h2raw
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.upstream import Reply, Upstream

_STREAMS = 200
_BIG = 64 << 10
_BIG_REPLY = Reply([b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % _BIG + b"b" * _BIG])
#: What all of it together may take; a buffer of each stream would take more.
_GROWTH_KIB = 4 << 10
_CONNECTION_WINDOW = 2 << 20
_FRAME = 16_384


class Uploader(h2raw.Peer):
    """Keeps to the connection's window."""

    window = 65_535

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        super()._take(kind, flags, stream, payload)
        if kind == h2raw.WINDOW_UPDATE and stream == 0:
            self.window += int.from_bytes(payload, "big")


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a host that takes connections and reads nothing."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen(4 * _STREAMS)
        yield listening.getsockname()[1]


def test_answers_that_the_windows_keep_back(start: StartMesh, upstream: Upstream) -> None:
    upstream.script([_BIG_REPLY] * _STREAMS)
    proxy, port = _serve(start, upstream.port)
    streams = range(1, 2 * _STREAMS, 2)
    before = proxy.rss_kib()
    with h2raw.Peer(port) as peer:
        peer.handshake((h2raw.INITIAL_WINDOW, 0))
        peer.send(_gets(0, _STREAMS))
        assert peer.wait_for(lambda: len(peer.statuses) == _STREAMS), len(peer.statuses)
        assert peer.wait_pong(b"all seen")
        assert proxy.rss_kib() - before < _GROWTH_KIB
        # And all of it comes once there is room, by parts.
        peer.send(h2raw.window_update(0, _STREAMS * _BIG))
        for part in (1, 1000, _BIG - 1001):
            peer.send(b"".join(h2raw.window_update(s, part) for s in streams))
        assert peer.wait_for(lambda: len(peer.ended) == _STREAMS), len(peer.ended)
        assert all(peer.bodies[s] == _BIG for s in streams)


def test_answers_that_nobody_reads(start: StartMesh, upstream: Upstream) -> None:
    # All requests before the first answer: a client that does not read is not heard for long.
    go, sent = threading.Event(), threading.Semaphore(0)
    upstream.script([Reply([go.wait, *_BIG_REPLY.parts, sent.release])] * _STREAMS)
    proxy, port = _serve(start, upstream.port)
    before = proxy.rss_kib()
    with h2raw.Peer(port, rcvbuf=4096) as peer, h2raw.Peer(port) as other:
        other.handshake()
        peer.handshake((h2raw.INITIAL_WINDOW, (1 << 31) - 1))
        peer.send(h2raw.window_update(0, 1 << 30))
        peer.send(_gets(0, _STREAMS), read=False)
        upstream.wait_requests(_STREAMS)
        go.set()
        # Their sockets have room for the answers, the client's has not: together they are 12 MiB.
        for n in range(_STREAMS):
            assert sent.acquire(timeout=h2raw.DEADLINE), n
        assert other.wait_pong(b"answered")
        assert proxy.rss_kib() - before < _GROWTH_KIB
        # What it asks for now waits in its socket; others are served.
        peer.send(_gets(_STREAMS, 1), read=False)
        assert other.wait_pong(b"one more")
        assert proxy.stat("http.web.downstream_rq_total") == _STREAMS
        # And all of it comes once it reads.
        assert peer.wait_for(lambda: len(peer.ended) == _STREAMS + 1), len(peer.ended)
        assert sum(peer.bodies.values()) == _STREAMS * _BIG + len(b"ok")


def test_uploads_that_the_host_does_not_take(start: StartMesh, silent: int) -> None:
    proxy, port = _serve(start, silent)
    before = proxy.rss_kib()
    peer = Uploader(port)
    with peer:
        peer.handshake()
        post = h2raw.request("POST", "/")
        streams = range(1, 2 * _STREAMS, 2)
        peer.send(b"".join(h2raw.headers(s, post, end_stream=False) for s in streams))
        sent = 0
        for turn in count():
            for s in streams:
                size = min(peer.window, _FRAME)
                if size > 0:
                    peer.send(h2raw.data(s, b"u" * size))
                    peer.window -= size
                    sent += size
            assert peer.wait_pong(b"%08d" % turn)
            if peer.window < _FRAME:
                break
            assert turn < 1000
        assert sent >= _CONNECTION_WINDOW
        assert proxy.rss_kib() - before < _GROWTH_KIB


def _gets(first: int, count: int) -> bytes:
    streams = range(2 * first + 1, 2 * (first + count), 2)
    return b"".join(h2raw.headers(s, h2raw.request("GET", "/")) for s in streams)


def _serve(start: StartMesh, upstream_port: int) -> tuple[Proxy, int]:
    port, admin = free_port(), free_port()
    # No timeout: answers that nobody reads wait for as long as the machine is slow.
    routes = config.route_config("local", config.route("/", "up", timeout="0s"))
    listener = config.listener("web", port, config.hcm(routes))
    text = config.bootstrap(admin, [listener], [config.cluster("up", upstream_port)])
    proxy = start(text, admin)
    with h2raw.Peer(port) as peer:
        peer.handshake()
    return proxy, port
