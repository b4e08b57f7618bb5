"""SIGTERM: nothing that has begun is lost, nothing new is taken, the process ends by itself."""

from __future__ import annotations

import signal
import time

import pytest

from tests.integration.conftest import Simple
from tests.support.client import Connection
from tests.support.upstream import OK, Reply
from tests.support.waiting import refuses

_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def test_requests_in_flight_finish(simple: Simple) -> None:
    """Each gets its whole answer, with `connection: close`; then the process ends with 0."""
    proxy = simple("--drain-time-s", "20")
    simple.upstream.script([Reply((1.0, OK))] * 16)
    conns = [Connection(simple.port) for _ in range(16)]
    for conn in conns:
        conn.methods = ["GET"]
        conn.send(_GET)
    simple.upstream.wait_requests(16)
    proxy.terminate()
    for conn in conns:
        conn.wait_for(1)
        answer = conn.exchange().last
        assert (answer.status, answer.body, answer.complete) == (200, b"ok", True)
        assert answer.get("connection") == "close"
        assert conn.wait_closed() != "open"
        conn.close()
    assert proxy.wait_exit() == 0


def test_bodies_in_flight_finish(simple: Simple) -> None:
    """A download half done and an upload half done are both done to the end."""
    proxy = simple("--drain-time-s", "20")
    big = b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n"
    simple.upstream.by_path = {"/down": Reply((big, b"a" * 1_000_000, 1.0, b"b" * 1_000_000))}
    with Connection(simple.port) as down, Connection(simple.port) as up:
        down.methods, up.methods = ["GET"], ["POST"]
        down.send(b"GET /down HTTP/1.1\r\nHost: h\r\n\r\n")
        up.send(b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
        simple.upstream.wait_requests(2)
        proxy.terminate()
        assert refuses(simple.port)
        up.send(b"def")
        up.wait_for(1)
        down.wait_for(1)
        assert up.exchange().last.status == 200
        assert len(down.exchange().last.body) == 2_000_000
    assert proxy.wait_exit() == 0
    assert next(r for r in simple.upstream.requests if r.path == "/up").body == b"abcdef"


def test_idle_connections_do_not_hold_it_up(simple: Simple) -> None:
    """Idle keep-alive connections are closed and the process ends before the deadline."""
    proxy = simple("--drain-time-s", "600")
    with Connection(simple.port) as conn, Connection(simple.port) as virgin:
        conn.request(_GET)
        proxy.terminate()
        assert proxy.wait_exit() == 0
        assert conn.wait_closed() == "eof"
        assert virgin.wait_closed() != "open"


def test_new_connections_are_refused(simple: Simple) -> None:
    """While the last request is still at work."""
    proxy = simple("--drain-time-s", "20")
    simple.upstream.script([Reply((1.5, OK))])
    with Connection(simple.port) as conn:
        conn.methods = ["GET"]
        conn.send(_GET)
        simple.upstream.wait_requests(1)
        proxy.terminate()
        assert refuses(simple.port)
        conn.wait_for(1)
        assert conn.exchange().last.status == 200
    assert proxy.wait_exit() == 0


def test_the_deadline_ends_what_hangs(simple: Simple) -> None:
    """A request that never ends is cut at --drain-time-s."""
    proxy = simple("--drain-time-s", "1")
    simple.upstream.script([Reply(("hang",))])
    with Connection(simple.port) as conn:
        conn.send(_GET)
        simple.upstream.wait_requests(1)
        proxy.terminate()
        proxy.wait_exit()
        assert conn.wait_closed() != "open"


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_idle_process_ends_with_zero(simple: Simple, way: signal.Signals) -> None:
    """Nothing to drain."""
    proxy = simple()
    proxy.process.send_signal(way)
    assert proxy.wait_exit() == 0


def test_quitquitquit(simple: Simple) -> None:
    """The admin's way to end it."""
    proxy = simple()
    assert proxy.admin("POST", "/quitquitquit") == (200, "OK\n")
    assert proxy.wait_exit() == 0


def test_pipelined_requests_before_the_signal(simple: Simple) -> None:
    """The second request of a pipeline, already here, is answered or cleanly not begun: never a cut
    response."""
    proxy = simple("--drain-time-s", "20")
    simple.upstream.script([Reply((0.7, OK)), Reply((OK,))])
    with Connection(simple.port) as conn:
        conn.methods = ["GET", "GET"]
        conn.send(_GET + _GET)
        simple.upstream.wait_requests(1)
        proxy.terminate()
        conn.wait_closed()
        exchange = conn.exchange()
        assert all(m.complete for m in exchange.finals)
        assert exchange.finals[0].status == 200
        assert exchange.leftover == b""
    assert proxy.wait_exit() == 0


def test_drain_listeners(simple: Simple) -> None:
    """/drain_listeners closes the listeners; the process and its admin port stay."""
    proxy = simple()
    with Connection(simple.port) as conn:
        conn.request(_GET)
        assert proxy.admin("POST", "/drain_listeners") == (200, "OK\n")
        assert refuses(simple.port)
    assert proxy.admin("GET", "/ready")[0] == 200


def test_healthcheck_fail_says_close(simple: Simple) -> None:
    """After /healthcheck/fail answers still come; connections are asked to end, ever more often
    until --drain-time-s, then always."""
    proxy = simple("--drain-time-s", "1")
    proxy.admin("POST", "/healthcheck/fail")
    assert proxy.admin("GET", "/ready") == (503, "DRAINING\n")
    end = time.monotonic() + 20
    closes = False
    while not closes and time.monotonic() < end:
        with Connection(simple.port) as conn:
            answer = conn.request(_GET)
            assert answer.status == 200
            closes = answer.get("connection") == "close"
    assert closes
    proxy.admin("POST", "/healthcheck/ok")
    assert proxy.admin("GET", "/ready") == (200, "LIVE\n")
    with Connection(simple.port) as conn:
        assert conn.request(_GET).get("connection") is None
