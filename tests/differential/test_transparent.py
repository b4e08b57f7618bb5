"""Connections that were meant for somebody else: redirected by netfilter, bound where nobody lives,
sent on from the client's own address. In network namespaces; the stock Envoy passes the same tests.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.differential.chains import proxy_v2
from tests.support import config, netns, tls_config
from tests.support.netns import Namespace, NamespacedProxy
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import TcpServer, read_all, wait_for

pytestmark = pytest.mark.skipif(bool(netns.why_not()), reason=netns.why_not())

_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_ADMIN = 9901
_REDIRECT = "-t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports 15001"
_TPROXY = "-t mangle -A PREROUTING -p tcp -i p0 -j TPROXY --on-port 15006 --tproxy-mark 1"
_both = pytest.mark.parametrize("kind", [ENVOY, OURS])

Start = Callable[..., Proxy]


def needs(rule: str, *, v6: bool = False) -> pytest.MarkDecorator:
    """Skips where netfilter cannot do it."""
    reason = netns.why_no_iptables(rule, v6=v6)
    return pytest.mark.skipif(bool(reason), reason=reason)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test began, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(stack: ExitStack, tmp_path: Path) -> Start:
    """Starts a proxy in a namespace."""

    def run(
        kind: str, inside: Namespace, *listeners: Any, clusters: Any = (), **more: Any
    ) -> Proxy:
        text = config.bootstrap(_ADMIN, list(listeners), list(clusters), **more)
        proxy = NamespacedProxy(inside, kind, text, tmp_path / kind, _ADMIN)
        return stack.enter_context(proxy)

    return run


def says(name: str, match: config.Tree | None = None) -> config.Tree:
    """A chain whose answer to any request is its name and the local address."""
    routes = config.route_config("r", tls_config.direct_response("/", body=name))
    header = {"header": {"key": "x-local", "value": "%DOWNSTREAM_LOCAL_ADDRESS%"}}
    routes["response_headers_to_add"] = [header]
    manager = config.hcm(routes, stat_prefix=name)
    return tls_config.chain(tls_config.http_filter(manager), match=match, name=name)


def at(name: str, host: str, port: int, *chains: config.Tree, **more: Any) -> config.Tree:
    """A listener."""
    tree = tls_config.listener(name, port, *(chains or (says(name),)))
    return {**tree, "address": config.address(port, host), **more}


def ask(inside: Namespace, host: str, port: int) -> str:
    """What is said there: `<name> at <local address>`."""
    with inside.connect(host, port) as conn:
        conn.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        head, _, body = read_all(conn).decode().partition("\r\n\r\n")
    local = [line for line in head.split("\r\n") if line.startswith("x-local: ")]
    return f"{body} at {local[0].removeprefix('x-local: ')}"


def _original_dst(**more: Any) -> config.Tree:
    return {
        "listener_filters": [
            tls_config.listener_filter("original_dst", "original_dst.v3.OriginalDst")
        ],
        **more,
    }


def _virtual(host: str, port: int, **more: Any) -> config.Tree:
    """The listener that connections are redirected to."""
    chains = [says("port-83", {"destination_port": 83}), says("virtual")]
    return at("virtual", host, port, *chains, **_original_dst(use_original_dst=True, **more))


def _unbound(any_host: str, host: str) -> list[config.Tree]:
    """Listeners that only get what the virtual one hands on."""
    return [
        at("exact", host, 80, bind_to_port=False),
        at("any", any_host, 81, bind_to_port=False),
    ]


@needs(_REDIRECT)
@_both
def test_redirected_output(kind: str, start: Start, stack: ExitStack) -> None:
    """Out of the machine itself, as a sidecar's outbound is: the listener of the original
    destination has the connection, else that of its port, else the virtual one."""
    (inside,) = stack.enter_context(netns.namespaces())
    inside.ip("addr add 10.7.0.1/32 dev lo")
    inside.ip("route add 10.8.0.0/16 dev lo src 10.7.0.1")
    inside.iptables("-t nat -A OUTPUT -p tcp -d 10.8.0.0/16 -j REDIRECT --to-ports 15001")
    start(kind, inside, _virtual("0.0.0.0", 15001), *_unbound("0.0.0.0", "10.8.0.1"))
    assert ask(inside, "10.8.0.1", 80) == "exact at 10.8.0.1:80"
    assert ask(inside, "10.8.0.9", 81) == "any at 10.8.0.9:81"
    assert ask(inside, "10.8.0.9", 80) == "virtual at 10.8.0.9:80"
    assert ask(inside, "10.8.0.9", 83) == "port-83 at 10.8.0.9:83"
    # Not redirected.
    assert ask(inside, "127.0.0.1", 15001) == "virtual at 127.0.0.1:15001"


@needs(_REDIRECT)
@_both
def test_redirected_on_the_way_in(kind: str, start: Start, stack: ExitStack) -> None:
    """From another machine, as a sidecar's inbound is."""
    client, inside = stack.enter_context(netns.namespaces(2))
    _cable(client, inside)
    inside.iptables("-t nat -A PREROUTING -p tcp -i p0 -j REDIRECT --to-ports 15006")
    start(kind, inside, _virtual("0.0.0.0", 15006), *_unbound("0.0.0.0", "10.7.0.2"))
    assert ask(client, "10.7.0.2", 80) == "exact at 10.7.0.2:80"
    assert ask(client, "10.8.0.9", 81) == "any at 10.8.0.9:81"
    assert ask(client, "10.8.0.9", 82) == "virtual at 10.8.0.9:82"


@needs(_REDIRECT, v6=True)
@_both
def test_redirected_ipv6(kind: str, start: Start, stack: ExitStack) -> None:
    """The same."""
    (inside,) = stack.enter_context(netns.namespaces())
    inside.ip("-6 addr add fd07::1/128 dev lo nodad")
    inside.ip("-6 route add fd08::/16 dev lo src fd07::1")
    inside.iptables("-t nat -A OUTPUT -p tcp -d fd08::/16 -j REDIRECT --to-ports 15001", v6=True)
    start(kind, inside, _virtual("::", 15001), *_unbound("::", "fd08::1"))
    assert ask(inside, "fd08::1", 80) == "exact at [fd08::1]:80"
    assert ask(inside, "fd08::9", 81) == "any at [fd08::9]:81"
    assert ask(inside, "fd08::9", 80) == "virtual at [fd08::9]:80"


@needs(_TPROXY)
@_both
@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
def test_tproxy(kind: str, v6: bool, start: Start, stack: ExitStack) -> None:
    """What netfilter gives to a transparent socket has its destination as its local address."""
    client, inside = stack.enter_context(netns.namespaces(2))
    _cable(client, inside)
    family = "-6" if v6 else "-4"
    inside.ip(f"{family} rule add fwmark 1 lookup 100")
    inside.ip(f"{family} route add local default dev lo table 100")
    inside.iptables(_TPROXY, v6=v6)
    any_host, net = ("::", "fd08::") if v6 else ("0.0.0.0", "10.8.0.")
    virtual = _virtual(any_host, 15006, transparent=True)
    start(kind, inside, virtual, *_unbound(any_host, f"{net}1"))
    shown = "[fd08::{}]" if v6 else "10.8.0.{}"
    for host, port, name in ((1, 80, "exact"), (9, 81, "any"), (9, 82, "virtual")):
        said = ask(client, f"{net}{host}", port)
        assert said == f"{name} at {shown.format(host)}:{port}"
    assert ask(client, f"{net}9", 83) == f"port-83 at {shown.format(9)}:83"


@needs(_TPROXY)
@_both
def test_tproxy_to_one_address(kind: str, start: Start, stack: ExitStack) -> None:
    """A listener that is bound to one address takes it that its connections have come there."""
    client, inside = stack.enter_context(netns.namespaces(2))
    _cable(client, inside)
    inside.ip("rule add fwmark 1 lookup 100")
    inside.ip("route add local default dev lo table 100")
    inside.iptables(f"{_TPROXY} --on-ip 10.7.0.2")
    chains = [says("eighty", {"destination_port": 80}), says("other")]
    start(kind, inside, at("one", "10.7.0.2", 15006, *chains, transparent=True))
    assert ask(client, "10.8.0.1", 80) == "other at 10.7.0.2:15006"


@_both
@pytest.mark.parametrize("field", ["transparent", "freebind"])
@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
def test_an_address_that_nobody_has(
    kind: str, field: str, v6: bool, start: Start, stack: ExitStack
) -> None:
    """Can be bound, and serves once it is there."""
    (inside,) = stack.enter_context(netns.namespaces())
    host, length = ("fd99::1", 128) if v6 else ("10.99.0.1", 32)
    start(kind, inside, at("away", host, 80, **{field: True}))
    with pytest.raises(OSError):
        ask(inside, host, 80)
    inside.ip(f"addr add {host}/{length} dev lo{' nodad' if v6 else ''}")
    shown = f"[{host}]:80" if v6 else f"{host}:80"

    def is_there() -> bool:
        try:
            inside.connect(host, 80).close()
        except OSError:
            return False
        return True

    wait_for(is_there, "a route to the new address")
    assert ask(inside, host, 80) == f"away at {shown}"


@_both
def test_and_without_these_it_cannot(
    kind: str, start: Start, stack: ExitStack, tmp_path: Path
) -> None:
    """The reason is in the log."""
    (inside,) = stack.enter_context(netns.namespaces())
    with pytest.raises(RuntimeError, match="Cannot assign requested address"):
        start(kind, inside, at("away", "10.99.0.1", 80))


@_both
def test_a_route_to_ourselves(kind: str, start: Start, stack: ExitStack) -> None:
    """A whole network is this machine's; a transparent listener takes one address of it."""
    (inside,) = stack.enter_context(netns.namespaces())
    inside.ip("route add local 10.9.0.0/16 dev lo")
    chains = [
        says("five", {"prefix_ranges": [{"address_prefix": "10.9.0.5", "prefix_len": 32}]}),
        says("other"),
    ]
    start(kind, inside, at("all", "0.0.0.0", 80, *chains, transparent=True))
    assert ask(inside, "10.9.0.5", 80) == "five at 10.9.0.5:80"
    assert ask(inside, "10.9.0.6", 80) == "other at 10.9.0.6:80"


@_both
@pytest.mark.parametrize("way", ["http", "tcp"])
@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("bind_port", [False, True], ids=["any-port", "same-port"])
def test_original_source(
    kind: str, way: str, v6: bool, bind_port: bool, start: Start, stack: ExitStack
) -> None:
    """The upstream sees the client; without the mark there would be no way to it."""
    client, inside, beyond = stack.enter_context(netns.namespaces(3))
    _cable(client, inside)
    netns.link(inside, "u0", beyond, "b0")
    for family, net, length in (("-4", "10.6.0.", 24), ("-6", "fd06::", 64)):
        nodad = " nodad" if family == "-6" else ""
        inside.ip(f"{family} addr add {net}1/{length} dev u0{nodad} noprefixroute")
        beyond.ip(f"{family} addr add {net}2/{length} dev b0{nodad}")
        beyond.ip(f"{family} route add default via {net}1")
        # Out by the mark, and what comes back is ours although the address is not.
        inside.ip(f"{family} rule add fwmark 123 lookup 101")
        inside.ip(f"{family} route add {net}0/{length} dev u0 table 101")
        inside.ip(f"{family} rule add iif u0 lookup 100")
        inside.ip(f"{family} route add local default dev lo table 100")
    upstream, address, own = (
        ("fd06::2", "fd07::2", "fd07::1") if v6 else ("10.6.0.2", "10.7.0.2", "10.7.0.1")
    )
    peers: list[tuple[str, int]] = []

    def serve(conn: socket.socket) -> None:
        peers.append(conn.getpeername()[:2])
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")

    server = TcpServer(serve, listener=beyond.listen(upstream, 9000))
    stack.enter_context(server)
    cluster = config.cluster("up")
    endpoint = {"endpoint": {"address": config.address(9000, upstream)}}
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [endpoint]}]
    routes = config.route_config("r", config.route("/", "up"))
    terminal = (
        tls_config.http_filter(config.hcm(routes)) if way == "http" else tls_config.tcp_proxy("up")
    )
    filters = [
        tls_config.listener_filter(
            "original_src", "original_src.v3.OriginalSrc", mark=123, bind_port=bind_port
        )
    ]
    listener = at("in", address, 80, tls_config.chain(terminal), listener_filters=filters)
    start(kind, inside, listener, clusters=[cluster])
    with client.connect(address, 80) as conn:
        port = conn.getsockname()[1]
        conn.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert read_all(conn).endswith(b"ok")
    assert [peer[0] for peer in peers] == [own]
    # `bind_port` does nothing in Envoy (its API hides it as not implemented).
    assert (peers[0][1] == port) == (bind_port and kind == OURS)


def _passthrough(name: str = "Passthrough", **more: Any) -> config.Tree:
    """A cluster whose hosts are where clients were going."""
    kind = {"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "2s"}
    return {"name": name, **kind, **more}


def _forwards(way: str, cluster: str = "Passthrough", **more: Any) -> config.Tree:
    """A chain that sends everything to a cluster; its log says where that was."""
    text = "%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %RESPONSE_FLAGS%\n"
    log = {
        "name": "log",
        "typed_config": {
            "@type": _LOG,
            "path": "/dev/null",
            "log_format": {"text_format_source": {"inline_string": text}},
        },
    }
    if way == "tcp":
        return tls_config.chain(tls_config.tcp_proxy(cluster, access_log=[log]))
    routes = config.route_config("r", config.route("/", cluster))
    return tls_config.chain(tls_config.http_filter(config.hcm(routes, access_log=[log], **more)))


class Remote:
    """Somebody's server: answers with the address that it was asked at, keeps who asked."""

    def __init__(self, stack: ExitStack, inside: Namespace, host: str, port: int) -> None:
        self.peers: list[str] = []
        stack.enter_context(TcpServer(self._serve, listener=inside.listen(host, port)))

    def _serve(self, conn: socket.socket) -> None:
        self.peers.append(conn.getpeername()[0])
        conn.recv(65536)
        body = conn.getsockname()[0].encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        conn.sendall(head.encode() + body)


def _fetch(inside: Namespace, host: str, port: int, head: str = "") -> tuple[str, str]:
    """Status line and body; two times "" where the connection is closed."""
    with inside.connect(host, port) as conn:
        conn.sendall(f"GET / HTTP/1.1\r\nhost: a\r\n{head}connection: close\r\n\r\n".encode())
        try:
            answer = read_all(conn).decode()
        except ConnectionResetError:
            answer = ""
    top, _, body = answer.partition("\r\n\r\n")
    return top.partition("\r\n")[0], body


_OK = "HTTP/1.1 200 OK"
_UNAVAILABLE = "HTTP/1.1 503 Service Unavailable"


@needs(_REDIRECT)
@_both
@pytest.mark.parametrize("way", ["http", "tcp"])
@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
def test_passthrough_of_unknown_destinations(
    kind: str, way: str, v6: bool, start: Start, stack: ExitStack
) -> None:
    """Out of a sidecar, to whoever the client asked for: by the virtual listener, and by one that
    it hands the connection on to."""
    inside, beyond = stack.enter_context(netns.namespaces(2))
    _cable(inside, beyond)
    family, net, any_host = ("-6", "fd08::", "::") if v6 else ("-4", "10.8.0.", "0.0.0.0")
    nodad = " nodad" if v6 else ""
    for host in (8, 9):
        beyond.ip(f"{family} addr add {net}{host}/{128 if v6 else 32} dev lo{nodad}")
    # What the proxy sends itself has a mark and is let through, as Istio lets its user through.
    inside.iptables(
        f"-t nat -A OUTPUT -p tcp -d {net}0/{64 if v6 else 24} -m mark ! --mark 7 "
        "-j REDIRECT --to-ports 15001",
        v6=v6,
    )
    eight = Remote(stack, beyond, f"{net}8", 80)
    nine = Remote(stack, beyond, f"{net}9", 81)
    option = {"level": socket.SOL_SOCKET, "name": socket.SO_MARK, "int_value": 7}
    cluster = _passthrough(upstream_bind_config={"socket_options": [option]})
    virtual = at("virtual", any_host, 15001, _forwards(way), **_original_dst(use_original_dst=True))
    unbound = at("any", any_host, 81, _forwards(way), bind_to_port=False)
    proxy = start(kind, inside, virtual, unbound, clusters=[cluster])
    for _ in range(2):
        assert _fetch(inside, f"{net}8", 80) == (_OK, f"{net}8")
    assert _fetch(inside, f"{net}9", 81) == (_OK, f"{net}9")
    assert (len(eight.peers), len(nine.peers)) == (2, 1)
    assert proxy.stat("cluster.Passthrough.upstream_cx_total") == 3
    proxy.wait_stat("cluster.Passthrough.membership_total", 2)


@needs(_REDIRECT)
@_both
@pytest.mark.parametrize("way", ["http", "tcp"])
def test_inbound_passthrough(kind: str, way: str, start: Start, stack: ExitStack) -> None:
    """Into a pod: what is redirected on the way in goes on to the application, from 127.0.0.6, by
    which iptables know that it has been here."""
    client, inside = stack.enter_context(netns.namespaces(2))
    _cable(client, inside)
    inside.iptables("-t nat -A PREROUTING -p tcp -i p0 -j REDIRECT --to-ports 15006")
    # Istio's rule: without it what the proxy sends to the pod's own address would come back.
    inside.iptables("-t nat -A OUTPUT -o lo -s 127.0.0.6/32 -j RETURN")
    inside.iptables("-t nat -A OUTPUT -p tcp -o lo -d 10.7.0.2/32 -j REDIRECT --to-ports 15006")
    application = Remote(stack, inside, "10.7.0.2", 8080)
    source = {"source_address": {"address": "127.0.0.6", "port_value": 0}}
    cluster = _passthrough("Inbound", upstream_bind_config=source)
    virtual = at("virtual", "0.0.0.0", 15006, _forwards(way, "Inbound"), **_original_dst())
    proxy = start(kind, inside, virtual, clusters=[cluster])
    for _ in range(2):
        assert _fetch(client, "10.7.0.2", 8080) == (_OK, "10.7.0.2")
    assert application.peers == ["127.0.0.6", "127.0.0.6"]
    assert _fetch(inside, "10.7.0.2", 8080) == (_OK, "10.7.0.2")
    assert proxy.stat("cluster.Inbound.upstream_cx_connect_fail") == 0


@needs(_TPROXY)
@_both
@pytest.mark.parametrize("way", ["http", "tcp"])
def test_passthrough_of_tproxy(kind: str, way: str, start: Start, stack: ExitStack) -> None:
    """A transparent listener's connections go on to where they were going, by another port."""
    client, inside = stack.enter_context(netns.namespaces(2))
    _cable(client, inside)
    inside.ip("rule add fwmark 1 lookup 100")
    inside.ip("route add local default dev lo table 100")
    inside.iptables(_TPROXY)
    inside.ip("addr add 10.8.0.9/32 dev lo")
    Remote(stack, inside, "10.8.0.9", 8081)
    cluster = _passthrough(original_dst_lb_config={"upstream_port_override": 8081})
    transparent = _original_dst(transparent=True)
    virtual = at("virtual", "0.0.0.0", 15006, _forwards(way), **transparent)
    start(kind, inside, virtual, clusters=[cluster])
    assert _fetch(client, "10.8.0.9", 80) == (_OK, "10.8.0.9")


@_both
@pytest.mark.parametrize("way", ["http", "tcp"])
def test_proxy_protocol_says_where_to(kind: str, way: str, start: Start, stack: ExitStack) -> None:
    """Its destination is a restored one; what it carries besides counts before that, unless it is
    no address."""
    (inside,) = stack.enter_context(netns.namespaces())
    Remote(stack, inside, "127.0.0.1", 9000)
    Remote(stack, inside, "127.0.0.2", 9000)
    rule = {"tlv_type": _WHERE, "on_tlv_present": {"key": "where"}}
    proxy_protocol = tls_config.listener_filter(
        "proxy_protocol", "proxy_protocol.v3.ProxyProtocol", rules=[rule]
    )
    place = {"key": "envoy.filters.listener.proxy_protocol", "path": [{"key": "where"}]}
    cluster = _passthrough(original_dst_lb_config={"metadata_key": place})
    listener = at("in", "127.0.0.1", 80, _forwards(way), listener_filters=[proxy_protocol])
    proxy = start(kind, inside, listener, clusters=[cluster])
    for where, host in (("", "127.0.0.1"), ("127.0.0.2:9000", "127.0.0.2"), ("a:1", "127.0.0.1")):
        with inside.connect("127.0.0.1", 80) as conn:
            conn.sendall(
                _proxy_header(where) + b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
            )
            assert read_all(conn).endswith(f"\r\n\r\n{host}".encode()), where
    assert proxy.stat("cluster.Passthrough.original_dst_host_invalid") == 1


_WHERE = 0xEA


def _proxy_header(where: str) -> bytes:
    """PROXY protocol to 127.0.0.1:9000, with a TLV of ours."""
    head = proxy_v2("127.0.0.9:4000", "127.0.0.1:9000")
    tlv = struct.pack("!BH", _WHERE, len(where)) + where.encode() if where else b""
    return head[:14] + struct.pack("!H", len(head) - 16 + len(tlv)) + head[16:] + tlv


@_both
def test_a_header_says_where_to(kind: str, start: Start, stack: ExitStack) -> None:
    """What is no address counts; hosts that nobody uses are forgotten."""
    (inside,) = stack.enter_context(netns.namespaces())
    Remote(stack, inside, "127.0.0.1", 9000)
    Remote(stack, inside, "::1", 9000)
    cluster = _passthrough(
        original_dst_lb_config={"use_http_header": True}, cleanup_interval="0.2s"
    )
    proxy = start(kind, inside, at("in", "127.0.0.1", 80, _forwards("http")), clusters=[cluster])

    def by(value: str) -> tuple[str, str]:
        return _fetch(inside, "127.0.0.1", 80, f"x-envoy-original-dst-host: {value}\r\n")

    nobody = (_UNAVAILABLE, "no healthy upstream")
    assert by("127.0.0.1:9000") == (_OK, "127.0.0.1")
    assert by("[::1]:9000") == (_OK, "::1")
    for wrong in ("127.0.0.1", "localhost:9000", "127.0.0.1:9000,127.0.0.1:9000", ""):
        assert by(wrong) == nobody
    invalid = "cluster.Passthrough.original_dst_host_invalid"
    assert proxy.stat(invalid) == 4
    assert _fetch(inside, "127.0.0.1", 80) == nobody
    assert proxy.stat(invalid) == 4
    total = "cluster.Passthrough.membership_total"
    wait_for(lambda: proxy.stat(total) == 0, "hosts to be forgotten")
    assert by("127.0.0.1:9000") == (_OK, "127.0.0.1")


@_both
@pytest.mark.parametrize("way", ["http", "tcp"])
def test_where_connections_leave_from(kind: str, way: str, start: Start, stack: ExitStack) -> None:
    """The source of the host's family; an address that is not ours fails unless `freebind`."""
    (inside,) = stack.enter_context(netns.namespaces())
    v4 = Remote(stack, inside, "127.0.0.1", 9000)
    v6 = Remote(stack, inside, "::1", 9000)
    inside.ip("addr add fd07::6/128 dev lo nodad")

    def source(host: str) -> config.Tree:
        return {"address": host, "port_value": 0}

    both = {
        "source_address": source("127.0.0.6"),
        "extra_source_addresses": [{"address": source("fd07::6")}],
    }
    away = {"source_address": source("10.99.0.1")}
    option = {"level": socket.SOL_SOCKET, "name": 9999, "int_value": 1}
    cases: list[tuple[str, str, config.Tree]] = [
        ("v4", "127.0.0.1", both),
        ("v6", "::1", both),
        ("away", "127.0.0.1", away),
        ("other", "::1", away),
        ("free", "127.0.0.1", {**away, "freebind": True}),
        ("option", "127.0.0.1", {"socket_options": [option]}),
    ]
    clusters, listeners = [], []
    for n, (name, host, bind) in enumerate(cases):
        cluster = config.cluster(name, upstream_bind_config=bind)
        endpoint = {"endpoint": {"address": config.address(9000, host)}}
        cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [endpoint]}]
        clusters.append(cluster)
        listeners.append(at(name, "127.0.0.1", 8000 + n, _forwards(way, name)))
    proxy = start(kind, inside, *listeners, clusters=clusters)
    said = {name: _fetch(inside, "127.0.0.1", 8000 + n) for n, (name, _, _) in enumerate(cases)}
    why = "upstream connect error or disconnect/reset before headers. reset reason: "
    local, remote = (
        (("", ""), ("", ""))
        if way == "tcp"
        else (
            (_UNAVAILABLE, f"{why}local connection failure"),
            (_UNAVAILABLE, f"{why}remote connection failure"),
        )
    )
    assert said == {
        "v4": (_OK, "127.0.0.1"),
        "v6": (_OK, "::1"),
        "away": local,
        "other": local,
        # Bound it is, but there is no way from there.
        "free": remote,
        "option": local,
    }
    # (Where Envoy cannot bind it connects all the same, and closes at once.)
    assert (v4.peers[0], v6.peers[0]) == ("127.0.0.6", "fd07::6")
    for name, bind_errors, failed in (
        ("v4", 0, 0),
        ("away", 1, 1),
        ("other", 1, 1),
        ("free", 0, 1),
        ("option", 0, 1),
    ):
        assert proxy.stat(f"cluster.{name}.bind_errors") == bind_errors, name
        assert proxy.stat(f"cluster.{name}.upstream_cx_connect_fail") == failed, name
        assert proxy.stat(f"cluster.{name}.upstream_cx_total") == 1, name


@_both
def test_what_the_bootstrap_says_of_it(kind: str, start: Start, stack: ExitStack) -> None:
    """Clusters that say nothing themselves leave from the address of `cluster_manager`."""
    (inside,) = stack.enter_context(netns.namespaces())
    remote = Remote(stack, inside, "127.0.0.1", 9000)

    def bind(host: str) -> config.Tree:
        return {"upstream_bind_config": {"source_address": {"address": host, "port_value": 0}}}

    clusters = [config.cluster("a", 9000), config.cluster("b", 9000, **bind("127.0.0.7"))]
    listeners = [
        at(name, "127.0.0.1", 8000 + n, _forwards("http", name)) for n, name in enumerate("ab")
    ]
    start(kind, inside, *listeners, clusters=clusters, cluster_manager=bind("127.0.0.6"))
    for port in (8000, 8001):
        assert _fetch(inside, "127.0.0.1", port) == (_OK, "127.0.0.1")
    assert remote.peers == ["127.0.0.6", "127.0.0.7"]


@_both
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcp_fast_open(kind: str, host: str, start: Start, stack: ExitStack) -> None:
    """A client that has been here brings its request with its SYN."""
    (inside,) = stack.enter_context(netns.namespaces())
    inside.sysctl("net.ipv4.tcp_fastopen", 3)
    start(kind, inside, at("fast", host, 80, tcp_fast_open_queue_length=16))
    request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def once() -> bytes:
        with inside.socket(family) as conn:
            conn.settimeout(None)  # or it is EINPROGRESS
            conn.sendto(request, socket.MSG_FASTOPEN, (host, 80))
            conn.settimeout(20)
            return read_all(conn)

    assert once().endswith(b"fast")
    wait_for(lambda: once().endswith(b"fast") and inside.netstat("TCPFastOpenPassive") > 0, "TFO")


@_both
def test_keepalive(kind: str, start: Start, stack: ExitStack) -> None:
    """Of connections to hosts; a 0 turns it off."""
    (inside,) = stack.enter_context(netns.namespaces())
    stack.enter_context(TcpServer(read_all, listener=inside.listen("127.0.0.1", 9000)))
    clusters, listeners = [], []
    for n, options in enumerate(({"keepalive_time": 3000}, {"keepalive_time": 0}, None)):
        cluster = config.cluster(f"up{n}", 9000)
        if options:
            cluster["upstream_connection_options"] = {"tcp_keepalive": options}
        clusters.append(cluster)
        chain = tls_config.chain(tls_config.tcp_proxy(f"up{n}"))
        listeners.append(at(f"in{n}", "127.0.0.1", 8000 + n, chain))
    proxy = start(kind, inside, *listeners, clusters=clusters)

    def timers() -> int:
        rows = inside.run("ss", "-Htno", "dst", "127.0.0.1:9000").splitlines()
        return sum("timer:(keepalive,49min" in row for row in rows)

    for n in range(3):
        conn = stack.enter_context(inside.connect("127.0.0.1", 8000 + n))
        conn.sendall(b"x")
        proxy.wait_stat(f"cluster.up{n}.upstream_cx_tx_bytes_total", 1)
        wait_for(lambda: timers() == 1, "keepalive of the first alone")


def _cable(client: Namespace, inside: Namespace) -> None:
    """10.7.0.1 and fd07::1 here, 10.7.0.2 and fd07::2 there, and everything else by that way."""
    netns.link(client, "c0", inside, "p0")
    for family, net, length in (("-4", "10.7.0.", 24), ("-6", "fd07::", 64)):
        nodad = " nodad" if family == "-6" else ""
        client.ip(f"{family} addr add {net}1/{length} dev c0{nodad}")
        inside.ip(f"{family} addr add {net}2/{length} dev p0{nodad}")
        client.ip(f"{family} route add default via {net}2")


def test_nothing_is_left_behind() -> None:
    """A namespace is gone with its holder, threads or not."""
    with netns.namespaces() as (inside,):
        path = Path(inside.path)
        thread = threading.Thread(target=lambda: inside.socket().close())
        thread.start()
        thread.join()
        assert path.exists()
    assert not path.exists()
