"""The network filter ext_authz over time: connections that end while they are asked about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, tls_config
from tests.support.authorizer import Authorizer
from tests.support.gate import Gate
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import TcpServer, connect, exchange, reset, wait_for

_EXT_AUTHZ = "type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz"
_GET = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


class Site:
    """A proxy that asks about each connection."""

    def __init__(self, start: StartMesh, authorizer: Authorizer) -> None:
        self._start = start
        self.authorizer = authorizer
        self.port, self.admin_port = free_port(), free_port()
        self.proxy: Proxy

    def tcp(self, echo: TcpServer | Gate, **proxy: Any) -> None:
        """Before a TCP proxy."""
        self._serve(tls_config.tcp_proxy("up", **proxy), echo.port)

    def http(self) -> None:
        """Before a connection manager."""
        direct = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
        manager = config.hcm(config.route_config("r", direct))
        self._serve(tls_config.http_filter(manager), free_port())

    def _serve(self, last: config.Tree, port: int) -> None:
        service = {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "60s"}
        typed = {"@type": _EXT_AUTHZ, "stat_prefix": "in", "grpc_service": service}
        typed["transport_api_version"] = "V3"
        chain = tls_config.chain(tls_config.network_filter("authz", typed), last)
        clusters = [
            config.cluster("up", port),
            config.cluster("authz", self.authorizer.port, **tls_config.http2()),
        ]
        listener = tls_config.listener("in", self.port, chain)
        text = config.bootstrap(self.admin_port, [listener], clusters)
        self.proxy = self._start(text, self.admin_port)

    def wait_over(self) -> None:
        """Until no connection is there, and nobody is asked."""
        gauge = f"listener.127.0.0.1_{self.port}.downstream_cx_active"
        for name in (gauge, "ext_authz.in.active", "cluster.authz.upstream_rq_active"):
            wait_for(lambda name=name: self.proxy.stat(name) == 0, name)  # type: ignore[misc]


@pytest.fixture
def site(start: StartMesh) -> Iterator[Site]:
    """Not started yet."""
    with Authorizer() as authorizer:
        yield Site(start, authorizer)


@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_a_client_that_breaks_off_takes_its_check_with_it(site: Site, kind: str) -> None:
    """The server sees the call cancelled; the next client is asked about and served."""
    with TcpServer() as echo:
        site.tcp(echo) if kind == "tcp" else site.http()
        site.authorizer.gate.clear()
        client = connect(site.port)
        client.sendall(_GET)
        assert site.authorizer.arrived.acquire(timeout=20)
        reset(client)
        assert site.authorizer.cancelled.acquire(timeout=20)
        site.wait_over()
        site.authorizer.gate.set()
        with connect(site.port) as client:
            heard = exchange(client, _GET, 8)
            assert heard.startswith(b"HTTP/1.1" if kind == "http" else _GET[:8])
        assert site.proxy.stat("ext_authz.in.total") == 2


def test_what_a_client_says_meanwhile_waits(site: Site) -> None:
    """Nothing is lost, nothing goes on before the answer; its end as well."""
    with TcpServer() as echo:
        site.tcp(echo)
        site.authorizer.gate.clear()
        body = bytes(range(256)) * 4096  # 1 MiB
        with connect(site.port) as client:
            client.sendall(body[:10])
            assert site.authorizer.arrived.acquire(timeout=20)
            assert site.proxy.stat("cluster.up.upstream_cx_tx_bytes_total") == 0
            site.authorizer.gate.set()
            assert exchange(client, body[10:], len(body)) == body
        assert len(site.authorizer.asked) == 1


@pytest.mark.parametrize("mode", [{}, {"upstream_connect_mode": "ON_DOWNSTREAM_DATA"}])
def test_early_data_waits_for_the_answer(site: Site, mode: dict[str, str]) -> None:
    """With `max_early_data_bytes`, whether the host is there already or not looked for yet."""
    with TcpServer() as echo:
        site.tcp(echo, max_early_data_bytes=1000, **mode)
        site.authorizer.gate.clear()
        with connect(site.port) as client:
            client.sendall(b"hello")
            assert site.authorizer.arrived.acquire(timeout=20)
            site.authorizer.gate.set()
            assert exchange(client, b" world", 11) == b"hello world"


def test_a_host_that_leaves_ends_the_check(site: Site) -> None:
    """Of a connection that is over nobody wants to know more."""
    with TcpServer(lambda conn: conn.close()) as gone:
        site.tcp(gone)
        site.authorizer.gate.clear()
        with connect(site.port) as client:
            client.sendall(b"hello")
            assert site.authorizer.arrived.acquire(timeout=20)
            client.close()
        site.authorizer.gate.set()
        site.wait_over()
