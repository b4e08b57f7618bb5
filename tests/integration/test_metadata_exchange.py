"""`istio.metadata_exchange` on connections: introductions never get among what is passed on."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import Struct

from tests.integration.conftest import StartMesh
from tests.support import config, tls_config
from tests.support.certs import Authority, client_context
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import TcpServer, echo, read_all, read_exactly, wait_for

PROTOCOL = "istio-peer-exchange"
MAGIC = 0x3D230467
EXCHANGE = {
    "name": "istio.metadata_exchange",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange",
        "protocol": PROTOCOL,
    },
}
STATS = {
    "name": "istio.stats",
    "typed_config": {"@type": "type.googleapis.com/stats.PluginConfig"},
}
Serve = Callable[[socket.socket], None]


def introduction(**metadata: str) -> bytes:
    """What a sidecar says first."""
    said = Struct()
    said.update({"x-envoy-peer-metadata": metadata, "x-envoy-peer-metadata-id": "sidecar~x"})
    message = AnyMessage(type_url="type.googleapis.com/google.protobuf.Struct")
    message.value = said.SerializeToString()
    body = message.SerializeToString()
    return struct.pack(">II", MAGIC, len(body)) + body


def hear(conn: socket.socket) -> Struct:
    """Reads an introduction to its end."""
    magic, size = struct.unpack(">II", read_exactly(conn, 8))
    assert magic == MAGIC
    message = AnyMessage.FromString(read_exactly(conn, size))
    return Struct.FromString(message.value)


def read_until(conn: socket.socket, end: bytes) -> bytes:
    """To this, or to the peer's end."""
    data = b""
    while not data.endswith(end) and (more := conn.recv(65536)):
        data += more
    return data


class Site:
    """A proxy whose listener ends TLS, where both sides introduce themselves."""

    def __init__(self, start: StartMesh, folder: Path) -> None:
        authority = Authority(folder, "site")
        self.credential = authority.server()
        self.authority = authority
        self.port, self.admin_port = free_port(), free_port()
        self._start = start

    def downstream(self, server: TcpServer) -> Proxy:
        """With clients."""
        tls = tls_config.downstream_tls(self.credential, alpn=(PROTOCOL,))
        chain = tls_config.chain(EXCHANGE, STATS, tls_config.tcp_proxy("up"), tls=tls)
        return self._run(chain, config.cluster("up", server.port), "INBOUND")

    def upstream(self, server: TcpServer, manager: config.Tree | None = None) -> Proxy:
        """With hosts; `manager`: for requests."""
        tls = tls_config.upstream_tls(self.authority.cert, alpn=(PROTOCOL,), sni="localhost")
        cluster = config.cluster("up", server.port, transport_socket=tls, filters=[EXCHANGE])
        forward = [STATS, tls_config.tcp_proxy("up")]
        if manager is not None:
            forward = [tls_config.http_filter(manager)]
        return self._run(tls_config.chain(*forward), cluster, "OUTBOUND")

    def _run(self, chain: config.Tree, cluster: config.Tree, direction: str) -> Proxy:
        tree = tls_config.listener("in", self.port, chain, traffic_direction=direction)
        text = config.bootstrap(self.admin_port, [tree], [cluster])
        return self._start(text, self.admin_port)

    def connect(self, *alpn: str) -> ssl.SSLSocket:
        """A client."""
        context = client_context(self.authority.cert, alpn=alpn)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return context.wrap_socket(plain, server_hostname="localhost")

    def serve(self, work: Serve, *alpn: str) -> TcpServer:
        """A host."""
        return TcpServer(work, tls=self.credential.server_context(alpn=alpn))


def opened(proxy: Proxy) -> str:
    """Istio's metric of connections, which comes a moment after the connection."""
    found = ""

    def there() -> bool:
        nonlocal found
        _, found = proxy.admin("GET", "/stats/prometheus?filter=tcp_connections_opened")
        return bool(found)

    wait_for(there, "istio_tcp_connections_opened_total")
    return found


@pytest.fixture
def site(start: StartMesh, tmp_path: Path) -> Site:
    """Not started yet."""
    return Site(start, tmp_path)


def test_a_client_introduces_itself_byte_by_byte(site: Site) -> None:
    with TcpServer(echo) as server:
        proxy = site.downstream(server)
        with site.connect(PROTOCOL) as conn:
            # It is told who we are before it has said a word.
            assert hear(conn)["x-envoy-peer-metadata"] is not None
            for byte in introduction(WORKLOAD_NAME="client-v1", NAMESPACE="shop"):
                conn.sendall(bytes([byte]))
            conn.sendall(b"hello")
            assert read_exactly(conn, 5) == b"hello"
        proxy.wait_stat("metadata_exchange.alpn_protocol_found", 1)
        assert proxy.stat("metadata_exchange.metadata_added") == 1
        metrics = opened(proxy)
        assert 'source_workload="client-v1"' in metrics
        assert 'source_workload_namespace="shop"' in metrics


def test_what_follows_in_one_piece_is_passed_on(site: Site) -> None:
    with TcpServer(echo) as server:
        site.downstream(server)
        with site.connect(PROTOCOL) as conn:
            conn.sendall(introduction(NAMESPACE="shop") + b"hello")
            hear(conn)
            assert read_exactly(conn, 5) == b"hello"


def test_a_client_that_begins_with_something_else(site: Site) -> None:
    with TcpServer(echo) as server:
        proxy = site.downstream(server)
        with site.connect(PROTOCOL) as conn:
            conn.sendall(b"GET / HTTP/1.1")
            hear(conn)
            assert read_exactly(conn, 14) == b"GET / HTTP/1.1"
        assert proxy.wait_stat("metadata_exchange.initial_header_not_found", 1) == 1


def test_without_the_protocol_there_are_no_introductions(site: Site) -> None:
    with TcpServer(echo) as server:
        proxy = site.downstream(server)
        with site.connect() as conn:
            conn.sendall(introduction(NAMESPACE="shop"))
            # Then they are what the application gets.
            assert hear(conn)["x-envoy-peer-metadata-id"] == "sidecar~x"
        assert proxy.wait_stat("metadata_exchange.alpn_protocol_not_found", 1) == 1


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        (introduction(NAMESPACE="shop")[:-1], b""),
        (introduction(NAMESPACE="shop")[:4], b""),
        # It could be anything.
        (introduction(NAMESPACE="shop")[:3], b"=#\x04"),
        (b"", b""),
    ],
)
def test_half_an_introduction_is_nobodys_data(site: Site, sent: bytes, passed: bytes) -> None:
    got: list[bytes] = []
    with TcpServer(lambda conn: got.append(read_all(conn))) as server:
        site.downstream(server)
        with site.connect(PROTOCOL) as conn:
            hear(conn)
            conn.sendall(sent)
            conn.unwrap().close()
        wait_for(lambda: len(got) == 1, "the application's end")
    assert got == [passed]


def test_nobody_says_too_much(site: Site) -> None:
    with TcpServer(echo) as server:
        site.downstream(server)
        with site.connect(PROTOCOL) as conn:
            hear(conn)
            conn.sendall(struct.pack(">II", MAGIC, 1 << 30))
            assert read_all(conn) == b""


def test_a_host_introduces_itself_before_what_it_says(site: Site) -> None:
    heard: list[Struct] = []

    def serve(conn: socket.socket) -> None:
        # A server that speaks first, behind a sidecar.
        conn.sendall(introduction(WORKLOAD_NAME="host-v1") + b"welcome")
        heard.append(hear(conn))
        echo(conn)

    with site.serve(serve, PROTOCOL) as server:
        proxy = site.upstream(server)
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as conn:
            assert read_exactly(conn, 7) == b"welcome"
            conn.sendall(b"hello")
            assert read_exactly(conn, 5) == b"hello"
        assert "x-envoy-peer-metadata" in heard[0]
        proxy.wait_stat("metadata_exchange.metadata_added", 1)
        assert 'destination_workload="host-v1"' in opened(proxy)


def test_requests_wait_for_introductions(site: Site) -> None:
    def serve(conn: socket.socket) -> None:
        hear(conn)
        conn.sendall(introduction(WORKLOAD_NAME="host-v1"))
        while read_until(conn, b"\r\n\r\n"):
            conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with site.serve(serve, PROTOCOL) as server:
        site.upstream(server, config.hcm(config.route_config("local", config.route("/", "up"))))
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as conn:
            for _ in range(2):
                conn.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                answer = read_until(conn, b"\r\n\r\nok")
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        # Both over one connection.
        assert server.accepted == 1


def test_a_host_that_does_not_know_the_protocol(site: Site) -> None:
    with site.serve(echo) as server:
        proxy = site.upstream(server)
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as conn:
            conn.sendall(b"hello")
            assert read_exactly(conn, 5) == b"hello"
        assert proxy.wait_stat("metadata_exchange.alpn_protocol_not_found", 1) == 1
