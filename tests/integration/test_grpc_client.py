"""The core's gRPC client: calls to a cluster of the configuration, against real gRPC servers."""

from __future__ import annotations

import select
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh import api, engine
from tests.support import config, pipes, tls_config
from tests.support.certs import Authority
from tests.support.grpc_echo import SERVICE, Server
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.support.xds_config import server_cluster

_UNARY, _BOTH, _HANG = (f"/{SERVICE}/{method}" for method in ("Unary", "Both", "Hang"))
Event = tuple[int, str, bytes, int, str]


class Client:
    """A data plane with one worker, and its calls."""

    def __init__(self) -> None:
        self.core = engine.Engine(1, 1.0, "node", "cluster", 1.0, False)
        self.calls = self.core.grpc_calls()

    def cluster(self, tree: config.Tree) -> None:
        text = config.discovery(config.CLUSTER, [tree]).encode()
        _, bodies, _ = engine.load_discovery_response(text, "test.yaml", api.CLUSTER, False)
        applied = self.core.apply(api.CLUSTER, bodies, [], False)
        assert applied.rejected == []

    def open(self, path: str, cluster: str = "up", **more: Any) -> int:
        options = {"authority": "", "metadata": [], "timeout": 0.0, "max_message": None, **more}
        return self.calls.open(cluster, path, **options)

    def events(self, until: str, count: int = 1, deadline: float = 20.0) -> list[Event]:
        """What comes, up to so many events of a kind."""
        found: list[Event] = []
        end = time.monotonic() + deadline
        while sum(what == until for _, what, _, _, _ in found) < count:
            assert time.monotonic() < end, f"no {until} came, but {[e[1:] for e in found]}"
            select.select([self.calls.fileno()], [], [], 0.5)
            found += self.calls.read()
        return found

    def closed(self, call: int) -> tuple[int, str]:
        """How a call ended."""
        (*_, (number, what, _, status, text)) = self.events("closed")
        assert (number, what) == (call, "closed")
        return status, text

    def stat(self, name: str) -> int:
        for line in self.core.stats_text(None, False, "All").splitlines():
            key, _, value = line.partition(": ")
            if key == name:
                return int(value)
        return -1


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    yield made
    made.core.shutdown(0.0)


@pytest.fixture
def server(client: Client) -> Iterator[Server]:
    with Server() as made:
        client.cluster(server_cluster("up", made.port))
        yield made


def messages(events: list[Event]) -> list[bytes]:
    return [message for _, what, message, _, _ in events if what == "message"]


def test_a_unary_call(client: Client, server: Server) -> None:
    """Request, response, status; the cluster counts it."""
    call = client.open(_UNARY, metadata=[("x-mine", "yes")], timeout=20.0)
    assert client.calls.send(call, b"hello", True)
    events = client.events("closed")
    assert [what for _, what, _, _, _ in events] == ["open", "message", "closed"]
    assert messages(events) == [b"hello"]
    assert events[-1][3:] == (0, "")
    assert not client.calls.send(call, b"more", False), "it is over"
    (metadata,) = server.metadata
    assert metadata["x-mine"] == "yes"
    assert metadata["user-agent"].startswith("grpc-fastmesh/")
    assert client.stat("cluster.up.upstream_rq_total") == 1
    # Who called is told before the stream is taken out of the accounts.
    until(lambda: client.stat("cluster.up.upstream_rq_active") == 0)
    assert client.stat("cluster.up.upstream_cx_http2_total") == 1
    assert client.stat("cluster.up.upstream_rq_200") == 1
    assert client.stat("cluster.up.internal.upstream_rq_200") == 1


def test_what_a_server_says_when_it_fails(client: Client, server: Server) -> None:
    """Status and text, decoded."""
    call = client.open(_UNARY)
    client.calls.send(call, b"fail:PERMISSION_DENIED", True)
    assert client.closed(call) == (7, "as asked: é")
    call = client.open("/test.Echo/Nothing")
    client.calls.send(call, b"", True)
    assert client.closed(call)[0] == 12


def test_a_conversation_in_both_directions(client: Client, server: Server) -> None:
    """Messages of all sizes, more than the windows have room for at once."""
    call = client.open(_BOTH)
    sizes = [0, 1, 70_000, 3_000_000, 5, 100_000]
    for size in sizes:
        assert client.calls.send(call, b"x" * size, False)
    assert [len(one) for one in messages(client.events("message", len(sizes)))] == sizes
    client.calls.finish(call)
    assert client.closed(call) == (0, "")


def test_many_calls_share_a_connection(client: Client, server: Server) -> None:
    """Each gets its own answer."""
    calls = {client.open(_UNARY): b"%d" % number for number in range(50)}
    for call, message in calls.items():
        client.calls.send(call, message, True)
    events = client.events("closed", 50)
    got = {call: message for call, what, message, _, _ in events if what == "message"}
    assert got == calls
    assert client.stat("cluster.up.upstream_cx_total") == 1


def test_a_call_that_is_given_up(client: Client, server: Server) -> None:
    """The server is told; nothing more is heard."""
    call = client.open(_HANG)
    client.calls.send(call, b"x", True)
    assert server.hanging.wait(20)
    client.calls.cancel(call)
    assert server.cancelled.wait(20)
    other = client.open(_UNARY)
    client.calls.send(other, b"x", True)
    assert {event[0] for event in client.events("closed")} == {other}


def test_a_deadline(client: Client, server: Server) -> None:
    """DEADLINE_EXCEEDED, and the server is told how long it has."""
    call = client.open(_HANG, timeout=0.2)
    client.calls.send(call, b"x", True)
    status, _ = client.closed(call)
    assert status == 4
    server.cancelled.set()


def test_a_message_that_is_too_large(client: Client, server: Server) -> None:
    """RESOURCE_EXHAUSTED by its head."""
    call = client.open(_UNARY, max_message=1000)
    client.calls.send(call, b"x" * 1001, True)
    assert client.closed(call) == (
        8,
        "a message of 1001 bytes is more than the 1000 that are taken",
    )


def test_what_is_not_read_is_not_sent(client: Client, server: Server) -> None:
    """Back-pressure: an owner that does not read stops the server."""
    call = client.open(_BOTH)
    sent = 0
    # Each message comes back. What is on its way is bounded: 1 MiB unread, and windows.
    for _ in range(200):
        assert client.calls.send(call, b"x" * 100_000, False)
        sent += 1
    first = messages(client.events("message", 1))
    end = time.monotonic() + 20
    got = len(first)
    while got < sent:
        assert time.monotonic() < end
        select.select([client.calls.fileno()], [], [], 0.5)
        got += len(messages(client.calls.read()))
    client.calls.finish(call)
    assert client.closed(call)[0] == 0


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        (config.cluster("up", 1), "does not speak HTTP/2"),
        (server_cluster("up", 0, load_assignment={"cluster_name": "up"}), "no healthy upstream"),
        (server_cluster("other", 1), "there is no cluster 'up'"),
    ],
)
def test_calls_that_cannot_be(client: Client, tree: config.Tree, says: str) -> None:
    """UNAVAILABLE, with the reason."""
    client.cluster(tree)
    call = client.open(_UNARY)
    status, text = client.closed(call)
    assert status == 14
    assert says in text


def test_nobody_there(client: Client) -> None:
    """A refused connection."""
    client.cluster(server_cluster("up", free_port()))
    call = client.open(_UNARY)
    status, text = client.closed(call)
    assert status == 14
    assert "Connection_refused" in text
    assert client.stat("cluster.up.upstream_cx_connect_fail") == 1
    assert client.stat("cluster.up.upstream_rq_pending_active") == 0


def test_a_server_that_ends(client: Client) -> None:
    """UNAVAILABLE for a call that was open; the next one finds the next server."""
    with Server() as server:
        client.cluster(server_cluster("up", server.port))
        call = client.open(_BOTH)
        client.calls.send(call, b"x", False)
        client.events("message")
    assert client.closed(call)[0] == 14
    assert client.stat("cluster.up.upstream_rq_active") == 0


def _raw_server(sock: socket.socket, frames: bytes) -> None:
    conn, _ = sock.accept()
    conn.settimeout(20)
    conn.recv(65536)
    conn.sendall(frames)
    conn.recv(65536)
    conn.close()


@pytest.mark.parametrize(
    ("headers", "data", "expected"),
    [
        # :status 200, content-type text/plain: nothing of gRPC's.
        (b"\x88\x0f\x10\x0atext/plain", b"", (2, "no gRPC")),
        # :status 503
        (b"\x08\x03503", b"", (14, "HTTP status 503")),
        # :status 404
        (b"\x8d", b"", (12, "HTTP status 404")),
        # A message that says it is compressed.
        (b"\x88\x0f\x10\x10application/grpc", b"\x01\x00\x00\x00\x01x", (13, "compresses")),
        # A body that ends without trailers.
        (b"\x88\x0f\x10\x10application/grpc", b"\x00\x00\x00\x00\x01x", (2, "without a status")),
    ],
    ids=["content-type", "503", "404", "compressed", "no trailers"],
)
def test_answers_that_break_the_rules(
    client: Client, headers: bytes, data: bytes, expected: tuple[int, str]
) -> None:
    """gRPC's own table of what they mean."""

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return (
            struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
        )

    frames = frame(4, 0, 0, b"") + frame(1, 4 if data else 5, 1, headers)
    if data:
        frames += frame(0, 1, 1, data)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=_raw_server, args=(sock, frames), daemon=True)
        thread.start()
        client.cluster(server_cluster("up", sock.getsockname()[1]))
        call = client.open(_UNARY)
        client.calls.send(call, b"x", False)
        status, text = client.closed(call)
        assert (status, expected[1] in text) == (expected[0], True), text
        thread.join(20)


def test_over_mutual_tls_with_alpn(client: Client, tmp_path: Path) -> None:
    """The cluster's transport socket holds for calls; ALPN may choose the protocol."""
    import grpc

    authority = Authority(tmp_path)
    own, peer = authority.server("server"), authority.workload("client")
    credentials = grpc.ssl_server_credentials(
        [(own.key_pem.encode(), own.pem.encode())], authority.cert.read_bytes(), True
    )
    with Server(credentials) as server:
        tls = tls_config.upstream_tls(authority.cert, peer, sni="server.test", alpn=("h2",))
        tree = config.cluster("up", server.port, transport_socket=tls, **tls_config.auto_http())
        client.cluster(tree)
        call = client.open(_UNARY, authority="named.example")
        client.calls.send(call, b"hello", True)
        assert messages(client.events("closed")) == [b"hello"]
        assert client.stat("cluster.up.ssl.handshake") == 1


def test_over_a_pipe(client: Client) -> None:
    """A unix socket, as Istio's agent has one."""
    # The path of a socket is short.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "XDS"
        with Server(address=f"unix:{path}"):
            client.cluster(pipes.cluster("up", path, **tls_config.http2()))
            call = client.open(_UNARY)
            client.calls.send(call, b"hello", True)
            assert messages(client.events("closed")) == [b"hello"]
