"""WebSocket through the proxy, in the order of Autobahn's cases: wsproto on both ends.

Each case goes over HTTP/1.1, over HTTP/2 (extended CONNECT) and through a pair of proxies with
mTLS and HTTP/2 between them. Then: what must not become a tunnel.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.conformance.conftest import KIND, StartProxy, fails_on_envoy
from tests.support import config, tls_config
from tests.support import websocket as ws
from tests.support.certs import Authority
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.proxies import Proxy

LONG_LAST = "a long message before close"
Events = Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Case:
    """What is sent, write by write, and what must come back."""

    name: str
    send: Sequence[bytes]
    back: Events
    ends: bool = False  # and then the connection is closed


def _chopped(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _text(size: int) -> str:
    return ("Wörter * " * (size // 9 + 1))[:size]


def _sizes() -> Iterator[Case]:
    for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 262144, 1 << 20, 4 << 20):
        text, data = "*" * size, b"\xfe" * size
        yield Case(f"text of {size}", [ws.frame(ws.TEXT, text.encode())], [("text", text)])
        yield Case(f"binary of {size}", [ws.frame(ws.BINARY, data)], [("binary", data)])
    for size, chop in ((65536, 997), (1 << 20, 65536)):
        whole = ws.frame(ws.TEXT, b"*" * size)
        yield Case(
            f"text of {size} in writes of {chop}", _chopped(whole, chop), [("text", "*" * size)]
        )


def _pings() -> Iterator[Case]:
    for payload in (b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125):
        yield Case(
            f"ping of {len(payload)} bytes", [ws.frame(ws.PING, payload)], [("pong", payload)]
        )
    chopped = _chopped(ws.frame(ws.PING, b"\xfe" * 125), 1)
    yield Case("ping in writes of one byte", chopped, [("pong", b"\xfe" * 125)])
    pings = [b"%d" % number for number in range(10)]
    yield Case(
        "ten pings", [ws.frame(ws.PING, each) for each in pings], [("pong", each) for each in pings]
    )
    unasked = [ws.frame(ws.PONG, b"unsolicited"), ws.frame(ws.PING, b"asked")]
    yield Case("a pong nobody asked for", unasked, [("pong", b"asked")])
    yield Case("ping of 126 bytes", [ws.frame(ws.PING, b"\xfe" * 126)], [("close", 1002)], True)


def _reserved() -> Iterator[Case]:
    for rsv in (1, 2, 4, 7):
        yield Case(
            f"reserved bits {rsv}", [ws.frame(ws.TEXT, b"x", rsv=rsv)], [("close", 1002)], True
        )
    for opcode in (3, 7, 11, 15):
        yield Case(f"opcode {opcode}", [ws.frame(opcode, b"x")], [("close", 1002)], True)
    then = [ws.frame(ws.TEXT, b"Hi"), ws.frame(ws.PING, b"p", rsv=1)]
    yield Case("reserved bit after a message", then, [("text", "Hi"), ("close", 1002)], True)


def _fragments() -> Iterator[Case]:
    two = [ws.frame(ws.TEXT, b"fragment1", fin=False), ws.frame(ws.CONTINUATION, b"fragment2")]
    yield Case("two fragments", two, [("text", "fragment1fragment2")])
    yield Case("two fragments in one write", [b"".join(two)], [("text", "fragment1fragment2")])
    single = _chopped(b"".join(two), 1)
    yield Case("two fragments byte by byte", single, [("text", "fragment1fragment2")])
    between = [two[0], ws.frame(ws.PING, b"ping"), two[1]]
    yield Case("a ping between", between, [("pong", b"ping"), ("text", "fragment1fragment2")])
    letters = [ws.frame(ws.TEXT, b"a", fin=False)]
    letters += [ws.frame(ws.CONTINUATION, b"b", fin=False)] * 998
    letters += [ws.frame(ws.CONTINUATION, b"c")]
    yield Case("a thousand fragments", letters, [("text", "a" + "b" * 998 + "c")])
    empty = [
        ws.frame(ws.TEXT, fin=False),
        ws.frame(ws.CONTINUATION, fin=False),
        ws.frame(ws.CONTINUATION),
    ]
    yield Case("empty fragments", empty, [("text", "")])
    large = b"\xfe" * 65536
    pieces = [ws.frame(ws.BINARY, large, fin=False)]
    pieces += [ws.frame(ws.CONTINUATION, large, fin=False)] * 14 + [
        ws.frame(ws.CONTINUATION, large)
    ]
    yield Case("1 MiB in 16 fragments", pieces, [("binary", large * 16)])
    wrong = {
        "fragmented ping": [ws.frame(ws.PING, b"x", fin=False)],
        "fragmented pong": [ws.frame(ws.PONG, b"x", fin=False)],
        "continuation of nothing": [ws.frame(ws.CONTINUATION, b"x")],
        "message within a message": [two[0], ws.frame(ws.TEXT, b"x")],
    }
    for name, frames in wrong.items():
        yield Case(name, frames, [("close", 1002)], True)


def _utf8() -> Iterator[Case]:
    words = "Hello-µ@ßöäüàá-UTF-8!! κόσμε \U0001f600"
    yield Case("UTF-8", [ws.frame(ws.TEXT, words.encode())], [("text", words)])
    raw = words.encode()
    split = [ws.frame(ws.TEXT, raw[:1], fin=False)]
    split += [ws.frame(ws.CONTINUATION, raw[i : i + 1], fin=False) for i in range(1, len(raw))]
    split += [ws.frame(ws.CONTINUATION)]
    yield Case("UTF-8 in fragments of one byte", split, [("text", words)])
    for name, bad in {
        "a surrogate": b"\xed\xa0\x80",
        "overlong": b"\xc0\xaf",
        "beyond U+10FFFF": b"\xf4\x90\x80\x80",
        "cut short": b"\xce\xba\xe1\xbd",
    }.items():
        yield Case(f"UTF-8: {name}", [ws.frame(ws.TEXT, b"ok" + bad)], [("close", 1007)], True)


def _closing() -> Iterator[Case]:
    for code in (1000, 1001, 1002, 1003, 1007, 1011, 3000, 3999, 4000, 4999):
        yield Case(f"close {code}", [ws.close_frame(code)], [("close", code)], True)
    yield Case("close without a code", [ws.close_frame(None)], [("close", 1005)], True)
    longest = b"*" * 123
    yield Case("close with a reason", [ws.close_frame(1000, longest)], [("close", 1000)], True)
    for code in (0, 999, 1004, 1005, 1006):
        yield Case(f"close {code} is refused", [ws.close_frame(code)], [("close", 1002)], True)
    yield Case("close of one byte", [ws.frame(ws.CLOSE, b"x")], [("close", 1002)], True)
    reason = ws.close_frame(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80")
    yield Case("close with a reason that is no UTF-8", [reason], [("close", 1007)], True)
    late = [ws.close_frame(1000) + ws.frame(ws.PING, b"late") + ws.frame(ws.TEXT, b"late")]
    yield Case("nothing is answered after close", late, [("close", 1000)], True)
    before = [ws.frame(ws.TEXT, b"x" * 262144) + ws.close_frame(1000)]
    yield Case(LONG_LAST, before, [("text", "x" * 262144), ("close", 1000)], True)


def _many() -> Iterator[Case]:
    words = [_text(16 + i % 200) for i in range(1000)]
    frames = [ws.frame(ws.TEXT, word.encode()) for word in words]
    answers = [("text", word) for word in words]
    yield Case("a thousand messages", frames, answers)
    yield Case("a thousand messages in one write", [b"".join(frames)], answers)


CASES = [
    case
    for group in (_sizes, _pings, _reserved, _fragments, _utf8, _closing, _many)
    for case in group()
]
WAYS = ["http1", "http2", "pair"]
_DROPS = fails_on_envoy("resets the stream when the upstream closes, and drops what it held")


@dataclass(frozen=True)
class Ways:
    """Ports: of a proxy before the echo server, and of a pair before it."""

    single: int
    pair: int
    echo: ws.EchoServer
    proxies: tuple[Proxy, ...]


def _manager(cluster: str, **more: object) -> config.Tree:
    routes = config.route_config(
        "local", {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}
    )
    upgrades = [{"upgrade_type": "websocket"}]
    extended = {"allow_connect": True}
    return config.hcm(routes, upgrade_configs=upgrades, http2_protocol_options=extended, **more)


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    """Two proxies: the second stands alone and is also the first one's upstream."""
    folder = tmp_path_factory.mktemp("ws")
    authority = Authority(folder / "certs")
    trust = tls_config.validation(authority.cert)
    pair, single, between, admin_a, admin_b = (free_port() for _ in range(5))
    with ws.EchoServer() as echo:
        into = tls_config.downstream_tls(
            authority.server(), client_ca=authority.cert, alpn=(tls_config.H2,)
        )
        out = tls_config.upstream_tls(
            credential=authority.workload("client"),
            trust=trust,
            alpn=(tls_config.H2,),
            sni="server.test",
        )
        first = config.bootstrap(
            admin_a,
            [config.listener("web", pair, _manager("next"))],
            [
                config.cluster(
                    "next",
                    between,
                    transport_socket=out,
                    **tls_config.http2(allow_connect=True),
                )
            ],
        )
        listeners = [
            config.listener("web", single, _manager("up")),
            tls_config.https("inbound", between, _manager("up"), into),
        ]
        second = config.bootstrap(admin_b, listeners, [config.cluster("up", echo.port)])
        with (
            Proxy(KIND, first, folder / "a", admin_a) as a,
            Proxy(KIND, second, folder / "b", admin_b) as b,
        ):
            yield Ways(single, pair, echo, (a, b))


@contextlib.contextmanager
def _opened(ways: Ways, way: str, path: str = "/echo", behind: bytes = b"") -> Iterator[ws.Socket]:
    port = ways.pair if way == "pair" else ways.single
    with socket.create_connection(("127.0.0.1", port), ws.DEADLINE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if way == "http2":
            client: ws.Socket = ws.Http2Socket(sock, path, behind)
            assert client.status == "200", client.status
        else:
            client = ws.open_http1(sock, path, behind)
        yield client


@pytest.mark.parametrize(
    ("case", "way"),
    [
        pytest.param(
            case,
            way,
            id=f"{way}-{case.name}",
            marks=[_DROPS] if (way, case.name) == ("http2", LONG_LAST) else [],
        )
        for way in WAYS
        for case in CASES
    ],
)
def test_case(ways: Ways, case: Case, way: str) -> None:
    """One case, one way."""
    with _opened(ways, way) as client:
        client.send(case.send)
        client.expect(case.back)
        if case.ends:
            client.expect_end()
        else:
            client.send([ws.close_frame()])
            client.expect([*case.back, ("close", 1000)])
            client.expect_end()
    for proxy in ways.proxies:
        assert proxy.process.poll() is None, proxy.log()[-2000:]


@pytest.mark.parametrize("way", WAYS)
def test_upstream_leaves(ways: Ways, way: str) -> None:
    """The upstream closes without a Close frame: so does the stream to the client."""
    with _opened(ways, way, "/leave") as client:
        client.send([ws.frame(ws.TEXT, b"bye")])
        client.expect([("text", "bye")])
        client.expect_end()


@pytest.mark.parametrize("way", WAYS)
def test_client_leaves(ways: Ways, way: str) -> None:
    """The client closes without a Close frame: so does the upstream's connection."""
    with _opened(ways, way) as client:
        client.send([ws.frame(ws.TEXT, b"hello")])
        client.expect([("text", "hello")])
    assert ways.echo.openings[-1].ended.wait(ws.DEADLINE)


@pytest.mark.parametrize("way", WAYS)
def test_handshake_upstream(ways: Ways, way: str) -> None:
    """The upstream gets an upgrade of HTTP/1.1, whichever way it came."""
    with _opened(ways, way):
        pass
    opening = ways.echo.openings[-1]
    fields = {name.lower(): value.lower() for name, value in opening.headers}
    assert opening.start == "GET /echo HTTP/1.1"
    assert fields["upgrade"] == "websocket"
    assert fields["connection"] == "upgrade"
    assert fields["sec-websocket-version"] == "13"
    assert "transfer-encoding" not in fields


@pytest.mark.parametrize("way", WAYS)
def test_early_bytes_are_held(ways: Ways, way: str) -> None:
    """What a client sends behind its request reaches the upstream after its 101, not before."""
    early = ws.frame(ws.TEXT, b"early")
    with _opened(ways, way, "/patient", early) as client:
        client.expect([("text", "early")])
        client.send([ws.frame(ws.TEXT, b"late")])
        client.expect([("text", "early"), ("text", "late")])
    assert ways.echo.openings[-1].early == b""


@pytest.mark.parametrize(("path", "status"), [("/refused", 403), ("/plain", 200)])
def test_refused_is_no_tunnel(ways: Ways, path: str, status: int) -> None:
    """An answer that is no 101 is an answer: bytes behind the request never reach the upstream."""
    with Connection(ways.single) as conn:
        conn.methods = ["GET", "GET"]
        conn.send(ws.upgrade_request(path) + ws.frame(ws.TEXT, b"smuggled"))
        conn.wait_for(1)
        assert conn.exchange().finals[0].status == status
        conn.send(ws.frame(ws.TEXT, b"smuggled again") + b"\r\n\r\n")
        conn.wait_closed()
    opening = ways.echo.openings[-1]
    assert opening.start == f"GET {path} HTTP/1.1"
    assert opening.early == b""
    assert opening.after == b""


@pytest.mark.parametrize(("path", "status"), [("/refused", "403"), ("/plain", "200")])
def test_refused_is_no_tunnel_over_http2(ways: Ways, path: str, status: str) -> None:
    """The same for extended CONNECT; an upstream's 200 is an answer with a body, no tunnel."""
    with socket.create_connection(("127.0.0.1", ways.single), ws.DEADLINE) as sock:
        client = ws.Http2Socket(sock, path, ws.frame(ws.TEXT, b"smuggled"))
        assert client.status == status
        client.wait_end()
    opening = ways.echo.openings[-1]
    assert opening.ended.wait(ws.DEADLINE)
    assert opening.early == b""
    assert opening.after == b""


@fails_on_envoy("passes the 101 on, though it tunnels nothing")
def test_switch_nobody_asked_for(ways: Ways) -> None:
    """A 101 to a request that is no upgrade opens no tunnel."""
    with Connection(ways.single) as conn:
        answer = conn.request(b"GET /unasked HTTP/1.1\r\nHost: ws.test\r\n\r\n")
        assert answer.status in (502, 503)
        conn.send(b"tunnelled?")
        opening = ways.echo.openings[-1]
        assert opening.ended.wait(ws.DEADLINE)
        assert opening.after == b""


def test_other_upgrades_are_refused(ways: Ways) -> None:
    """What upgrade_configs does not name is answered 403 and goes nowhere."""
    before = len(ways.echo.openings)
    with Connection(ways.single) as conn:
        answer = conn.request(ws.upgrade_request("/echo", "spaghetti"))
    assert answer.status == 403
    assert len(ways.echo.openings) == before


def test_route_switches_upgrades_off(start: StartProxy) -> None:
    """A route's upgrade_configs overrule the connection manager's."""
    port, admin = free_port(), free_port()
    with ws.EchoServer() as echo:
        off = {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]}
        closed = {"match": {"prefix": "/echo"}, "route": {"cluster": "up", **off}}
        routes = config.route_config("local", closed, config.route("/", "up"))
        manager = config.hcm(routes, upgrade_configs=[{"upgrade_type": "websocket"}])
        listener = config.listener("web", port, manager)
        proxy = start(config.bootstrap(admin, [listener], [config.cluster("up", echo.port)]), admin)
        with Connection(port) as conn:
            assert conn.request(ws.upgrade_request("/echo")).status == 403
        with (
            socket.create_connection(("127.0.0.1", port), ws.DEADLINE) as sock,
            ws.open_http1(sock, "/leave") as client,
        ):
            proxy.wait_stat("http.web.downstream_cx_upgrades_total", 1)
            client.send([ws.frame(ws.TEXT, b"x")])
            client.expect([("text", "x")])
            client.expect_end()
        assert len(echo.openings) == 1
