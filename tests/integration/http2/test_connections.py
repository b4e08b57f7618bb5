"""HTTP/2 on both sides: connections, when there is another one, how they fail and how they end."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.integration.http2.bridge import CANCEL, NO_ERROR, REFUSED, Bridge
from tests.support import config, h2peer, h2raw, tls_config
from tests.support.client import Connection
from tests.support.h2peer import Answer, get
from tests.support.waiting import until

_GET1 = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


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
