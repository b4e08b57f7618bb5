"""CONNECT-UDP with real datagrams: through one sidecar and through two, and its limits."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, h2peer, tls_config
from tests.support.certs import Authority, client_context
from tests.support.masque import (
    Udp1,
    Udp2,
    UdpHost,
    connect_request,
    datagram,
    datagrams,
    upgrade_request,
)
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import wait_for

_ALLOW = {"http2_protocol_options": {"allow_connect": True}}
_HELLO = datagram(b"hello")


@pytest.fixture
def host() -> Iterator[UdpHost]:
    """It echoes."""
    with UdpHost() as udp:
        yield udp


def _route(cluster: str = "up", **upgrade: Any) -> config.Tree:
    upgrades = [{"upgrade_type": "CONNECT-UDP", **upgrade}]
    action = {"cluster": cluster, "upgrade_configs": upgrades}
    return {"match": {"connect_matcher": {}}, "route": action}


def _start(
    start: StartMesh,
    cluster: config.Tree,
    route: config.Tree | None = None,
    **manager: Any,
) -> tuple[Proxy, int]:
    port, admin = free_port(), free_port()
    table = config.route_config("local", route or _route(connect_config={}))
    listener = config.listener("web", port, config.hcm(table, **_ALLOW, **manager))
    return start(config.bootstrap(admin, [listener], [cluster]), admin), port


def _ending(start: StartMesh, host: UdpHost, **manager: Any) -> tuple[Proxy, int]:
    return _start(start, config.cluster("up", host.port), **manager)


def _udp_sockets(proxy: Proxy) -> int:
    """How many the process has open."""
    lines = Path(f"/proc/{proxy.pid}/net/udp").read_text().splitlines()[1:]
    lines += Path(f"/proc/{proxy.pid}/net/udp6").read_text().splitlines()[1:]
    inodes = {line.split()[9] for line in lines}
    count = 0
    for fd in Path(f"/proc/{proxy.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += os.readlink(fd).removeprefix("socket:[").removesuffix("]") in inodes
    return count


def test_http1_gets_101_and_capsules(start: StartMesh, host: UdpHost) -> None:
    """RFC 9298 section 3.3; what came behind the request is not lost."""
    proxy, port = _ending(start, host)
    with Udp1(port, behind=_HELLO + _HELLO[:3]) as tunnel:
        head = tunnel.head.lower().split(b"\r\n")
        assert head[0] == b"http/1.1 101 switching protocols"
        assert {b"connection: upgrade", b"upgrade: connect-udp", b"capsule-protocol: ?1"} < {*head}
        assert not any(line.startswith((b"content-length", b"transfer-")) for line in head)
        tunnel.send(_HELLO[3:])
        assert datagrams(tunnel.receive(2 * len(_HELLO))) == [b"hello", b"hello"]
        assert host.got(2) == [b"hello", b"hello"]
        assert proxy.stat("http.web.downstream_cx_upgrades_active") == 1
    wait_for(lambda: _udp_sockets(proxy) == 0, "socket closed")
    assert proxy.stat("http.web.downstream_cx_upgrades_active") == 0
    assert proxy.stat("http.web.downstream_rq_1xx") == 1


def test_http2_has_tunnels_side_by_side(start: StartMesh, host: UdpHost) -> None:
    """A socket each; one that is reset takes its own with it only."""
    proxy, port = _ending(start, host)
    with h2peer.Client(port) as client:
        tunnels = [Udp2(client) for _ in range(3)]
        for n, tunnel in enumerate(tunnels):
            assert tunnel.stream.get("capsule-protocol") == "?1"
            tunnel.send(datagram(b"of %d" % n))
            assert datagrams(tunnel.receive(7)) == [b"of %d" % n]
        assert len(set(host.peers)) == 3
        assert _udp_sockets(proxy) == 3
        client.reset(tunnels[0].stream)
        wait_for(lambda: _udp_sockets(proxy) == 2, "one socket closed")
        tunnels[1].send(_HELLO)
        assert datagrams(tunnels[1].receive(15)) == [b"of 1", b"hello"]
    wait_for(lambda: _udp_sockets(proxy) == 0, "all sockets closed")


def test_over_tls(start: StartMesh, host: UdpHost, tmp_path: Path) -> None:
    """Nothing is different."""
    ca = Authority(tmp_path / "ca")
    port, admin = free_port(), free_port()
    manager = config.hcm(config.route_config("local", _route(connect_config={})), **_ALLOW)
    listener = tls_config.https("web", port, manager, tls_config.downstream_tls(ca.server()))
    start(config.bootstrap(admin, [listener], [config.cluster("up", host.port)]), admin)
    with h2peer.Client(port, tls=client_context(ca.cert, alpn=["h2"])) as client:
        tunnel = Udp2(client)
        tunnel.send(_HELLO)
        assert datagrams(tunnel.receive(len(_HELLO))) == [b"hello"]


@pytest.mark.parametrize("size", [0, 1200])
def test_many_datagrams_in_one_read(start: StartMesh, host: UdpHost, size: int) -> None:
    """More than a turn sends: the others get theirs in between, and none is lost on our side."""
    _, port = _ending(start, host)
    payloads = [b"%04d" % n + b"x" * size for n in range(2000)]
    with Udp1(port) as tunnel, Udp1(port) as other:
        tunnel.send(b"".join(map(datagram, payloads)))
        other.send(_HELLO)
        got = host.got(len(payloads) + 1)
        assert [p for p in got if p != b"hello"] == payloads
        assert datagrams(other.receive(len(_HELLO))) == [b"hello"]


def test_a_burst_of_the_host(start: StartMesh) -> None:
    """As many as its socket holds come in their order, in a few pieces."""
    with UdpHost(lambda _: [b"%04d" % n for n in range(200)]) as host:
        _, port = _ending(start, host)
        with Udp1(port) as tunnel:
            tunnel.send(_HELLO)
            got = datagrams(tunnel.receive(200 * 7))
            assert got == [b"%04d" % n for n in range(200)]


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_that_does_not_read(start: StartMesh, version: int) -> None:
    """What it has no room for is dropped and said, and memory does not grow."""
    rounds, each = 60, 20
    with UdpHost(lambda payload: [b"x" * 60_000] if payload == b"hello" else [payload]) as host:
        proxy, port = _ending(start, host, access_log=[])
        before = proxy.rss_kib()
        with contextlib.ExitStack() as stack:
            if version == 1:
                tunnel1 = stack.enter_context(Udp1(port))
                send = tunnel1.send
            else:
                client = stack.enter_context(h2peer.Client(port, window=65535))
                client.auto_window = False
                send = Udp2(client).send
            for n in range(rounds):
                send(_HELLO * each)
                # So that what the host's socket holds is never too much.
                host.got((n + 1) * each)
            with Udp1(port) as other:
                other.send(datagram(b"still here"))
                assert datagrams(other.receive(13)) == [b"still here"]
            # 70 MB were sent; a megabyte may wait for a client (per_connection_buffer_limit_bytes).
            assert proxy.rss_kib() - before < 8 * 1024
        wait_for(lambda: "datagrams to the client and 0 to the host" in proxy.log(), "said")


def test_what_is_too_long_is_dropped_and_said(start: StartMesh, host: UdpHost) -> None:
    """The tunnel goes on."""
    proxy, port = _ending(start, host)
    with Udp1(port) as tunnel:
        tunnel.send(datagram(bytes(65_508)) + _HELLO)
        assert datagrams(tunnel.receive(len(_HELLO))) == [b"hello"]
    wait_for(lambda: " 0 datagrams to the client and 1 to the host" in proxy.log(), "said")


def test_only_the_host_is_heard(start: StartMesh, host: UdpHost) -> None:
    """What others send to the tunnel's port does not reach the client."""
    _, port = _ending(start, host)
    with Udp1(port) as tunnel, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        tunnel.send(_HELLO)
        tunnel.receive(len(_HELLO))
        stranger.sendto(b"stranger", host.peers[0])
        host.send(b"host", host.peers[0])
        assert datagrams(tunnel.receive(len(_HELLO) + 7)) == [b"hello", b"host"]


def test_a_host_that_comes_late(start: StartMesh) -> None:
    """Nobody there is no end of the tunnel (ICMP says so); who is there then gets what comes."""
    port_of_host = free_port()
    _, port = _start(start, config.cluster("up", port_of_host))
    with Udp1(port) as tunnel:
        tunnel.send(_HELLO)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
            late.settimeout(20)
            late.bind(("127.0.0.1", port_of_host))
            tunnel.send(datagram(b"late"))
            payload, peer = late.recvfrom(100)
            while payload == b"hello":  # it was not sent too early
                payload, peer = late.recvfrom(100)
            assert payload == b"late"
            late.sendto(b"answer", peer)
            assert datagrams(tunnel.receive(9)) == [b"answer"]


def test_an_ipv6_host(start: StartMesh) -> None:
    """The family of the socket is that of the host."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as host:
        host.settimeout(20)
        try:
            host.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        cluster = config.cluster("up", host.getsockname()[1])
        [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["address"] = "::1"
        _, port = _start(start, cluster)
        with Udp1(port) as tunnel:
            tunnel.send(_HELLO)
            payload, peer = host.recvfrom(100)
            host.sendto(payload, peer)
            assert datagrams(tunnel.receive(len(_HELLO))) == [b"hello"]


@pytest.mark.parametrize("between", [1, 2])
@pytest.mark.parametrize("version", [1, 2])
def test_through_two_sidecars(start: StartMesh, host: UdpHost, version: int, between: int) -> None:
    """One forwards, one ends it, whatever is spoken between them."""
    behind, port = _ending(start, host)
    options = tls_config.http2() if between == 2 else {}
    _, front = _start(start, config.cluster("behind", port, **options), _route("behind"))
    with contextlib.ExitStack() as stack:
        tunnel: Udp1 | Udp2
        if version == 1:
            tunnel = stack.enter_context(Udp1(front))
            assert tunnel.status == 101
        else:
            tunnel = Udp2(stack.enter_context(h2peer.Client(front)))
            assert tunnel.stream.status == 200
        for size in (5, 1500, 9000):
            host.forget()
            before = len(tunnel.receive(0))
            tunnel.send(datagram(b"a" * size))
            assert host.got(1) == [b"a" * size]
            want = before + len(datagram(b"a" * size))
            assert datagrams(tunnel.receive(want))[-1] == b"a" * size
        assert _udp_sockets(behind) == 1
    wait_for(lambda: _udp_sockets(behind) == 0, "the end went through")


@pytest.mark.parametrize("version", [1, 2])
def test_refused_unless_configured(start: StartMesh, host: UdpHost, version: int) -> None:
    """403, and no datagram leaves."""
    plain = {"match": {"connect_matcher": {}}, "route": {"cluster": "up"}}
    proxy, port = _start(start, config.cluster("up", host.port), plain)
    if version == 1:
        with Udp1(port, behind=_HELLO) as tunnel:
            assert tunnel.status == 403
            assert tunnel.ended()
    else:
        with h2peer.Client(port) as client:
            stream = client.request(connect_request(), _HELLO)
            assert stream.status == 403
    assert proxy.stat("http.web.downstream_rq_ws_on_non_ws_route") == 1
    assert _udp_sockets(proxy) == 0


def test_a_broken_capsule_ends_the_connection(start: StartMesh, host: UdpHost) -> None:
    """What follows it is not looked at."""
    proxy, port = _ending(start, host)
    with Udp1(port) as tunnel:
        tunnel.send(b"\x00\x00" + _HELLO)
        assert tunnel.ended()
    with Udp1(port, upgrade_request()) as tunnel:
        tunnel.send(_HELLO)
        tunnel.receive(len(_HELLO))
    assert host.got(1) == [b"hello"]
    wait_for(lambda: _udp_sockets(proxy) == 0, "sockets closed")
