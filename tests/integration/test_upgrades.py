"""Upgrades and CONNECT: what becomes a tunnel, what must not, and how tunnels end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h2.events
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings

from tests.integration.conftest import StartMesh
from tests.support import config, h2peer, tls_config
from tests.support import websocket as ws
from tests.support.ports import free_port
from tests.support.proxies import Proxy

_SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
_CONNECT = b"CONNECT target.test:443 HTTP/1.1\r\nHost: target.test:443\r\n\r\n"
_DEADLINE = 10.0


class Host:
    """An upstream in the test's hands: `accept` gives its next connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_DEADLINE)
        self._accepted: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def accept(self) -> socket.socket:
        sock, _ = self._listener.accept()
        sock.settimeout(_DEADLINE)
        self._accepted.append(sock)
        return sock

    def close(self) -> None:
        for sock in [self._listener, *self._accepted]:
            sock.close()


@pytest.fixture
def host() -> Iterator[Host]:
    """One upstream."""
    up = Host()
    yield up
    up.close()


def _until(sock: socket.socket, end: bytes) -> bytes:
    got = b""
    while end not in got:
        piece = sock.recv(1 << 16)
        if not piece:
            raise ConnectionError(f"closed after {got!r}")
        got += piece
    return got


def _exactly(sock: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size and (piece := sock.recv(size - len(got))):
        got += piece
    return got


@contextmanager
def _client(port: int, request: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), _DEADLINE) as sock:
        sock.sendall(request)
        yield sock


def _proxy(
    start: StartMesh, host: Host, *routes: dict[str, Any], **manager: Any
) -> tuple[Proxy, int]:
    port, admin = free_port(), free_port()
    table = config.route_config("local", *(routes or (config.route("/", "up"),)))
    listener = config.listener("web", port, config.hcm(table, **manager))
    text = config.bootstrap(admin, [listener], [config.cluster("up", host.port)])
    return start(text, admin), port


def _connect_route(**more: Any) -> dict[str, Any]:
    upgrade = {"upgrade_type": "CONNECT", **more}
    return {
        "match": {"connect_matcher": {}},
        "route": {"cluster": "up", "upgrade_configs": [upgrade]},
    }


_WEBSOCKET: dict[str, Any] = {"upgrade_configs": [{"upgrade_type": "websocket"}]}


def test_early_bytes_wait_for_the_101(start: StartMesh, host: Host) -> None:
    """Bytes behind the request reach the upstream after its 101, not before; half-closes pass."""
    proxy, port = _proxy(start, host, **_WEBSOCKET)
    with _client(port, ws.upgrade_request() + b"early") as client:
        up = host.accept()
        head = _until(up, b"\r\n\r\n")
        assert head.endswith(b"\r\n\r\n")
        assert b"\r\nconnection: Upgrade\r\n" in head
        up.sendall(_SWITCH + b"behind")
        assert b" 101 " in _until(client, b"behind")
        assert _exactly(up, 5) == b"early"
        assert proxy.stat("http.web.downstream_cx_upgrades_active") == 1
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)
        assert _exactly(up, 100) == b"last"
        up.sendall(b"answer after your end")
        up.close()
        assert _exactly(client, 100) == b"answer after your end"
    proxy.wait_stat("http.web.downstream_cx_upgrades_total", 1)
    assert proxy.stat("http.web.downstream_cx_upgrades_active") == 0


def test_early_bytes_while_an_http2_host_is_silent(start: StartMesh, host: Host) -> None:
    """Its SETTINGS say whether it takes upgrades; what the client says until then is kept."""
    port, admin = free_port(), free_port()
    table = config.route_config("local", config.route("/", "up"))
    listener = config.listener("web", port, config.hcm(table, **_WEBSOCKET))
    up = config.cluster("up", host.port, **tls_config.http2())
    start(config.bootstrap(admin, [listener], [up]), admin)
    with _client(port, ws.upgrade_request()) as client:
        peer = host.accept()
        client.sendall(b"early")
        server = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        allows = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
        server.local_settings = Settings(client=False, initial_values=allows)
        server.initiate_connection()
        peer.sendall(server.data_to_send())
        got = b""
        while got != b"early":
            for event in server.receive_data(peer.recv(1 << 16)):
                match event:
                    case h2.events.RequestReceived():
                        assert (":protocol", "websocket") in (event.headers or [])
                        server.send_headers(event.stream_id or 0, [(":status", "200")])
                    case h2.events.DataReceived():
                        got += event.data or b""
                        server.send_data(event.stream_id or 0, b"late")
            peer.sendall(server.data_to_send())
        assert b" 101 " in _until(client, b"late")


def test_the_upstream_may_end_first(start: StartMesh, host: Host) -> None:
    """The client reads the end and goes on sending."""
    _, port = _proxy(start, host, **_WEBSOCKET)
    with _client(port, ws.upgrade_request()) as client:
        up = host.accept()
        _until(up, b"\r\n\r\n")
        up.sendall(_SWITCH + b"bye")
        up.shutdown(socket.SHUT_WR)
        assert _until(client, b"bye").endswith(b"bye")
        assert client.recv(1) == b""
        client.sendall(b"more")
        assert _exactly(up, 4) == b"more"
        client.close()
        assert up.recv(1) == b""


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "426 Upgrade Required"])
def test_other_answers_are_no_tunnel(start: StartMesh, host: Host, status: str) -> None:
    """They end the connection, and what follows the request goes nowhere."""
    _, port = _proxy(start, host, **_WEBSOCKET)
    with _client(port, ws.upgrade_request() + b"smuggled") as client:
        up = host.accept()
        _until(up, b"\r\n\r\n")
        up.sendall(f"HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno".encode())
        got = _until(client, b"\r\n\r\n")
        assert got.startswith(f"HTTP/1.1 {status}\r\n".encode())
        assert b"connection: close" in got
        assert up.recv(1) == b""


@pytest.mark.parametrize("upgrade", ["spaghetti", "websocket, spaghetti"])
def test_other_upgrades_are_refused(start: StartMesh, host: Host, upgrade: str) -> None:
    """What upgrade_configs does not name is 403, counted, and ends the connection."""
    proxy, port = _proxy(start, host, **_WEBSOCKET)
    with _client(port, ws.upgrade_request("/", upgrade)) as client:
        got = _until(client, b"\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 403 ")
        assert client.recv(1) == b""
    assert proxy.stat("http.web.downstream_rq_ws_on_non_ws_route") == 1


def test_an_upgrade_with_a_body_is_refused(start: StartMesh, host: Host) -> None:
    """Nobody could say where its tunnel begins."""
    _, port = _proxy(start, host, **_WEBSOCKET)
    request = (
        b"POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Content-Length: 3\r\n\r\nabc"
    )
    with _client(port, request) as client:
        assert _until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def test_the_route_timeout_ends_with_the_101(start: StartMesh, host: Host) -> None:
    """Before it, 504; an open tunnel has no such limit."""
    short = config.route("/", "up", timeout="0.3s")
    _, port = _proxy(start, host, short, **_WEBSOCKET)
    with _client(port, ws.upgrade_request()) as client:
        assert _until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 504 ")
    host.accept()
    with _client(port, ws.upgrade_request()) as tunnel, _client(port, ws.upgrade_request()) as late:
        up = host.accept()
        _until(up, b"\r\n\r\n")
        up.sendall(_SWITCH)
        _until(tunnel, b"\r\n\r\n")
        # The other one's timeout has passed, so this one's has.
        assert _until(late, b"\r\n\r\n").startswith(b"HTTP/1.1 504 ")
        tunnel.sendall(b"still here")
        assert _exactly(up, 10) == b"still here"


def test_connect_is_refused_unless_configured(start: StartMesh, host: Host) -> None:
    """404 without a route for it, 403 with one that does not say so."""
    plain = {"match": {"connect_matcher": {}}, "route": {"cluster": "up"}}
    _, port = _proxy(start, host, plain)
    with _client(port, _CONNECT) as client:
        assert _until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 403 ")
        assert client.recv(1) == b""
    _, port = _proxy(start, host)
    with _client(port, _CONNECT) as client:
        assert _until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
def test_connect_is_forwarded(start: StartMesh, host: Host, status: str) -> None:
    """As CONNECT; bytes flow after a 2xx."""
    _, port = _proxy(start, host, _connect_route())
    with _client(port, _CONNECT + b"early") as client:
        up = host.accept()
        head = _until(up, b"\r\n\r\n")
        assert head.startswith(b"CONNECT target.test:443 HTTP/1.1\r\n")
        assert head.endswith(b"\r\n\r\n")
        up.sendall(f"HTTP/1.1 {status}\r\n\r\nhello".encode())
        got = _until(client, b"hello")
        assert got.startswith(f"HTTP/1.1 {status}".encode())
        assert b"content-length" not in got
        assert b"transfer-encoding" not in got
        assert _exactly(up, 5) == b"early"


def test_connect_that_is_refused_upstream(start: StartMesh, host: Host) -> None:
    """An answer like others; nothing of the client's goes on."""
    _, port = _proxy(start, host, _connect_route())
    with _client(port, _CONNECT + b"early") as client:
        up = host.accept()
        _until(up, b"\r\n\r\n")
        up.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\nno")
        assert _until(client, b"\r\n\r\nno").startswith(b"HTTP/1.1 502 ")
        assert up.recv(1) == b""


def test_connect_ends_here(start: StartMesh, host: Host) -> None:
    """With connect_config the host gets a TCP connection and the bytes, and no HTTP."""
    proxy, port = _proxy(start, host, _connect_route(connect_config={}))
    with _client(port, _CONNECT + b"early") as client:
        up = host.accept()
        assert _exactly(up, 5) == b"early"
        up.sendall(b"hello")
        got = _until(client, b"hello")
        assert got.startswith(b"HTTP/1.1 200 ")
        client.shutdown(socket.SHUT_WR)
        assert up.recv(1) == b""
        up.sendall(b"bye")
        up.close()
        assert _exactly(client, 10) == b"bye"
    proxy.wait_stat("http.web.downstream_rq_2xx", 1)
    proxy.wait_stat("cluster.up.upstream_cx_destroy", 1)


def test_post_is_taken_for_connect(start: StartMesh, host: Host) -> None:
    """allow_post: the body's bytes without their framing, the host's in chunks."""
    upgrade = {"upgrade_type": "CONNECT", "connect_config": {"allow_post": True}}
    route = config.route("/", "up", upgrade_configs=[upgrade])
    _, port = _proxy(start, host, route)
    request = (
        b"POST /t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    with _client(port, request) as client:
        up = host.accept()
        assert _exactly(up, 10) == b"abc"
        up.sendall(b"answer")
        up.close()
        got = _until(client, b"0\r\n\r\n")
        assert b"6\r\nanswer\r\n0\r\n\r\n" in got


@pytest.mark.parametrize("length", [b"Content-Length: 0\r\n", b""])
def test_post_without_a_body_half_closes(start: StartMesh, host: Host, length: bytes) -> None:
    """allow_post: the host is told that the client has nothing to say, and may answer."""
    upgrade = {"upgrade_type": "CONNECT", "connect_config": {"allow_post": True}}
    _, port = _proxy(start, host, config.route("/", "up", upgrade_configs=[upgrade]))
    with _client(port, b"POST /t HTTP/1.1\r\nHost: h\r\n" + length + b"\r\n") as client:
        up = host.accept()
        assert up.recv(1) == b""
        up.sendall(b"answer")
        up.close()
        assert b"6\r\nanswer\r\n0\r\n\r\n" in _until(client, b"0\r\n\r\n")


def test_post_without_a_body_half_closes_over_http2(start: StartMesh, host: Host) -> None:
    """END_STREAM on the head."""
    upgrade = {"upgrade_type": "CONNECT", "connect_config": {"allow_post": True}}
    _, port = _proxy(start, host, config.route("/", "up", upgrade_configs=[upgrade]))
    with h2peer.Client(port) as client:
        stream = client.begin(h2peer.get("/t", method="POST"))
        up = host.accept()
        assert up.recv(1) == b""
        up.sendall(b"answer")
        up.close()
        assert client.finish(stream).body == b"answer"


def test_no_host_to_connect_to(start: StartMesh, host: Host) -> None:
    """503, as for any request."""
    host.close()
    proxy, port = _proxy(start, host, _connect_route(connect_config={}))
    with _client(port, _CONNECT) as client:
        assert _until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 503 ")
    assert proxy.stat("cluster.up.upstream_cx_active") == 0


def test_the_log_line_comes_at_the_end(start: StartMesh, host: Host) -> None:
    """With 101 and the bytes of the tunnel."""
    stdout = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
    line = "LOG %RESPONSE_CODE% %BYTES_RECEIVED% %BYTES_SENT%\n"
    log = {
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": stdout,
            "log_format": {"text_format_source": {"inline_string": line}},
        },
    }
    proxy, port = _proxy(start, host, access_log=[log], **_WEBSOCKET)
    with _client(port, ws.upgrade_request()) as client:
        up = host.accept()
        _until(up, b"\r\n\r\n")
        up.sendall(_SWITCH + b"12345")
        _until(client, b"12345")
        client.sendall(b"123")
        _exactly(up, 3)
        assert "LOG" not in proxy.log()
        up.close()
    proxy.wait_stat("http.web.downstream_cx_destroy", 1)
    proxy.terminate()
    proxy.wait_exit()
    assert "LOG 101 3 5" in proxy.log()
