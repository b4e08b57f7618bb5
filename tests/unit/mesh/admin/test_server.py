"""mesh.admin.server"""

from __future__ import annotations

import re
import socket
from typing import Self

import pytest

from mesh.admin import server
from mesh.admin.endpoints import ENDPOINTS
from mesh.admin.server import Connection, Router, Server, is_local_name
from tests.unit.mesh import fake
from tests.unit.mesh.admin.helpers import FakeProcess, get, router

READY = b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n"


def feed(*pieces: bytes) -> Connection:
    connection = Connection(router(FakeProcess()), 0.0)
    for piece in pieces:
        connection.feed(piece, 0.0)
    return connection


def test_a_request_in_pieces() -> None:
    connection = feed(READY[:10])
    assert connection.out == b""
    connection.feed(READY[10:], 0.0)
    assert connection.out.startswith(b"HTTP/1.1 200 OK\r\n")
    assert connection.out.endswith(b"content-length: 5\r\n\r\nLIVE\n")
    assert not connection.close_after


def test_pipelined_requests_are_answered_in_order() -> None:
    connection = feed(READY + b"GET /nope HTTP/1.1\r\nhost: x\r\n\r\n" + READY)
    codes = re.findall(rb"HTTP/1.1 (\d+)", bytes(connection.out))
    assert codes == [b"200", b"404", b"200"]


def test_a_body_is_skipped_even_in_pieces() -> None:
    head = b"POST /healthcheck/ok HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"
    connection = feed(head + b"0123", b"456789" + READY)
    assert connection.out.count(b"HTTP/1.1 200 OK") == 2


def test_head_has_no_body() -> None:
    assert feed(READY.replace(b"GET", b"HEAD")).out.endswith(b"content-length: 5\r\n\r\n")


def test_connection_close_is_obeyed() -> None:
    connection = feed(READY.replace(b"host: x", b"host: x\r\nConnection: close"))
    assert connection.close_after
    assert b"connection: close\r\n" in connection.out


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * server.MAX_HEAD, b"431"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", b"413"),
    ],
)
def test_what_is_not_served_is_refused_and_closed(request_bytes: bytes, status: bytes) -> None:
    connection = feed(request_bytes)
    assert connection.out.split()[1] == status
    assert connection.close_after


def test_a_mutation_needs_post() -> None:
    process = FakeProcess()
    for path, endpoint in ENDPOINTS.items():
        if endpoint.mutates:
            assert get(process, path) == (405, "Method GET not allowed, POST required.")
    assert process.calls == []
    assert router(process).answer("OPTIONS", "/ready", "").status == 200


def test_unknown_paths_get_the_help() -> None:
    status, body = get(FakeProcess(), "/nope")
    assert status == 404
    assert body.startswith("invalid path. admin commands are:\n")
    assert "\n  /quitquitquit (POST): exit the server\n" in body


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:99", "[::1]:99", "[::1]"])
def test_own_names(host: str) -> None:
    assert is_local_name(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9901", "", "localhost.evil.example"]
)
def test_a_web_page_cannot_lend_its_name_to_a_loopback_port(host: str) -> None:
    assert not is_local_name(host)
    process = FakeProcess()
    answer = router(process, check_host=True).answer("POST", "/quitquitquit", host)
    assert (answer.status, process.calls) == (403, [])


def test_a_defect_of_an_endpoint_is_logged_and_answered() -> None:
    process = FakeProcess()
    del process.core
    status, body = get(process, "/clusters")
    assert status == 500
    assert body == "AttributeError in /clusters; see the log\n"
    assert fake.LOG[-1][:2] == ("error", "admin")


class Client:
    """A blocking client of a running server."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, 10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, data: bytes, size: int) -> bytes:
        self.socket.sendall(data)
        got = b""
        while len(got) < size and (more := self.socket.recv(65536)):
            got += more
        return got


def test_over_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    running = Server(("127.0.0.1", 0), FakeProcess(), ENDPOINTS)  # type: ignore[arg-type]
    running.start()
    closing = READY.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    try:
        with Client(running.address) as first, Client(running.address) as second:
            assert first.ask(READY, 200).endswith(b"LIVE\n")
            assert second.ask(READY, 200).endswith(b"LIVE\n")
            assert first.ask(READY, 200).endswith(b"LIVE\n")
            with Client(running.address) as third:
                assert third.socket.recv(1) == b""
            assert second.ask(closing, 9999).endswith(b"LIVE\n")
    finally:
        running.close()


def test_late_connections_are_dropped() -> None:
    running = Server(("127.0.0.1", 0), FakeProcess(), ENDPOINTS, lambda: clock[0])  # type: ignore[arg-type]
    clock = [0.0]
    with Client(running.address) as client:
        running._accept()
        assert len(running._open) == 1
        clock[0] = server.READ_SECONDS
        running._drop_late()
        assert running._open == {}
        assert client.socket.recv(1) == b""
    running.discard()


def test_an_address_in_use_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            Server(taken.getsockname(), FakeProcess(), ENDPOINTS)  # type: ignore[arg-type]


def test_the_router_needs_no_endpoint() -> None:
    assert Router(FakeProcess(), {}).answer("GET", "/", "").status == 404  # type: ignore[arg-type]
