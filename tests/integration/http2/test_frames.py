"""Frames of one HTTP/2 body that arrive together leave together over HTTP/1: a chunk, and so a
write, for all of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import h2.events
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from tests.integration.conftest import StartMesh
from tests.support import config, h2peer, tls_config
from tests.support.ports import free_port

_FRAMES = 20
_PIECES = [bytes([65 + n]) * 1500 for n in range(_FRAMES)]
_BODY = b"".join(_PIECES)


@pytest.fixture
def host() -> Iterator[socket.socket]:
    """A listening socket: the upstream is in the test's hands."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


def _start(start: StartMesh, host: socket.socket, *, http2: bool = False) -> int:
    port, admin = free_port(), free_port()
    manager = config.hcm(config.route_config("local", config.route("/", "up")))
    options = tls_config.http2() if http2 else {}
    cluster = config.cluster("up", host.getsockname()[1], **options)
    start(config.bootstrap(admin, [config.listener("web", port, manager)], [cluster]), admin)
    return port


def _accept(host: socket.socket) -> socket.socket:
    sock, _ = host.accept()
    sock.settimeout(20)
    return sock


def _chunks(sock: socket.socket, got: bytes = b"") -> list[bytes]:
    """The chunks of the next message, without the last one, which is empty."""

    def more(size: int) -> None:
        nonlocal got
        while len(got) < size:
            piece = sock.recv(1 << 16)
            assert piece, got
            got += piece

    while b"\r\n\r\n" not in got:
        more(len(got) + 1)
    head, _, got = got.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    found = []
    while True:
        while b"\r\n" not in got:
            more(len(got) + 1)
        line, _, got = got.partition(b"\r\n")
        size = int(line, 16)
        more(size + 2)
        assert got[size : size + 2] == b"\r\n"
        if not size:
            return found
        found.append(got[:size])
        got = got[size + 2 :]


def test_of_a_request(start: StartMesh, host: socket.socket) -> None:
    """The head was there before; the end is in the last frame, and the answer comes through."""
    port = _start(start, host)
    with h2peer.Client(port) as client:
        stream = client.begin(h2peer.get(method="POST"), end=False)
        with _accept(host) as up:
            head = up.recv(1 << 16, socket.MSG_PEEK)
            assert head.startswith(b"POST / HTTP/1.1\r\n")
            for n, piece in enumerate(_PIECES):
                client.h2.send_data(stream.id, piece, end_stream=n == _FRAMES - 1)
            client.flush()
            chunks = _chunks(up)
            assert b"".join(chunks) == _BODY
            assert len(chunks) < _FRAMES // 2
            up.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            assert client.finish(stream).body == b"ok"


def test_of_two_requests_in_turns(start: StartMesh, host: socket.socket) -> None:
    """Each goes to its own connection, and nothing of the other's."""
    port = _start(start, host)
    with h2peer.Client(port) as client:
        streams = [client.begin(h2peer.get(f"/{n}", method="POST"), end=False) for n in range(2)]
        with _accept(host) as first, _accept(host) as second:
            for piece in _PIECES:
                for stream in streams:
                    client.h2.send_data(stream.id, bytes([stream.id]) + piece)
                    client.h2.send_data(stream.id, b"and")
            for stream in streams:
                client.h2.end_stream(stream.id)
            client.flush()
            bodies = {b"".join(_chunks(up)) for up in (first, second)}
            assert bodies == {
                b"".join(bytes([stream.id]) + piece + b"and" for piece in _PIECES)
                for stream in streams
            }


@pytest.mark.parametrize("trailers", [False, True])
def test_of_a_response(start: StartMesh, host: socket.socket, trailers: bool) -> None:
    """The end may be in the last frame, or behind it."""
    port = _start(start, host, http2=True)
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        with _accept(host) as up:
            server = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
            server.initiate_connection()
            up.sendall(server.data_to_send())
            stream = 0
            while not stream:
                for event in server.receive_data(up.recv(1 << 16)):
                    if isinstance(event, h2.events.RequestReceived):
                        stream = event.stream_id or 0
            server.send_headers(stream, [(":status", "200")])
            up.sendall(server.data_to_send())
            head = client.recv(1 << 16)
            for n, piece in enumerate(_PIECES):
                last = n == _FRAMES - 1 and not trailers
                server.send_data(stream, piece, end_stream=last)
            if trailers:
                server.send_headers(stream, [("x-trailer", "1")], end_stream=True)
            up.sendall(server.data_to_send())
            chunks = _chunks(client, head)
            assert b"".join(chunks) == _BODY
            assert len(chunks) < _FRAMES // 2
            # The connection goes on.
            client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            requests = 0
            while not requests:
                events = server.receive_data(up.recv(1 << 16))
                requests += sum(isinstance(e, h2.events.RequestReceived) for e in events)


def test_of_a_body_that_is_not_taken(start: StartMesh, host: socket.socket) -> None:
    """Windows still hold it back: no more is sent than they, and the buffers, allow."""
    port = _start(start, host)
    with h2peer.Client(port) as client:
        stream = client.begin(h2peer.get(method="POST"), end=False)
        with _accept(host) as up:
            sent, total = 0, 64 << 20
            piece = b"x" * 10_000
            while sent < total:
                room = client.h2.local_flow_control_window(stream.id)
                if room < len(piece):
                    if not client.receive(0.5):
                        break
                    continue
                client.h2.send_data(stream.id, piece)
                client.flush()
                sent += len(piece)
            assert 1 << 20 <= sent < total
            client.h2.end_stream(stream.id)
            client.flush()
            tail = b""
            while not tail.endswith(b"\r\n0\r\n\r\n"):
                tail = (tail + up.recv(1 << 20))[-16:]
                client.receive(0.001)
            up.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            assert client.finish(stream).body == b"ok"
