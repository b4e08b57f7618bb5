"""CONNECT-UDP that ends at the proxy (`connect_config`): ours against the stock Envoy, with the
same host of datagrams: what the client gets, what the host gets, the log line, the statistics."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import config, h2peer
from tests.support.masque import (
    PATH,
    Udp1,
    Udp2,
    UdpHost,
    capsule,
    connect_request,
    datagram,
    upgrade_request,
)
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import wait_for

#: Runs of the stock Envoy that may end so (see `_envoy`).
_CRASHES = 3
_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_FORMAT = " ".join(
    f"%{name}%"
    for name in (
        "RESPONSE_CODE RESPONSE_FLAGS RESPONSE_CODE_DETAILS PROTOCOL REQ(:METHOD) REQ(:PATH) "
        "REQ(:AUTHORITY) BYTES_RECEIVED BYTES_SENT UPSTREAM_HOST UPSTREAM_REMOTE_ADDRESS "
        "UPSTREAM_LOCAL_ADDRESS UPSTREAM_CLUSTER UPSTREAM_PROTOCOL UPSTREAM_WIRE_BYTES_SENT "
        "UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_TRANSPORT_FAILURE_REASON RESP(CAPSULE-PROTOCOL)"
    ).split()
)
_STATS = re.compile(
    r"^(cluster\.\w+\.(external\.)?upstream_|vhost\.|http\.udp\w*\.(downstream_cx_upgrades"
    r"|downstream_rq_(idle|max|\dxx|tx|ws|total|completed)|no_route|rq_))"
)
# Of HTTP/1.1 the status is ours (docs/differences.md). Envoy counts a reset of a stream that it
# answers, and a refused upgrade never reaches its router.
_NOT_COMPARED = re.compile(
    r"\.(upstream_rq|downstream_rq)_(101|1xx|200|2xx): |udp_at_once\.downstream_rq_tx_reset"
    r"|udp_off\.rq_total"
)


@dataclass
class Seen:
    """What one case came to."""

    answer: list[object] = field(default_factory=list)
    host: list[bytes] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def _answers(payload: bytes) -> list[bytes]:
    if payload.startswith(b"BIG"):
        return [b"x" * int(payload[3:])]
    if payload.startswith(b"MANY"):
        return [b"%04d" % n for n in range(int(payload[4:]))]
    return [payload]


@dataclass(frozen=True)
class Case:
    """`sends` go to the tunnel one after the other, `waits` bytes of it are waited for (None: for
    the end of the stream), so many `datagrams` come to the host."""

    name: str
    sends: tuple[bytes, ...] = ()
    waits: int | None = 0
    datagrams: int = 0
    scene: str = "plain"
    path: str = PATH
    ends: str = ""  # "stream": the client ends its side; "head": with its head
    versions: tuple[int, ...] = (1, 2)


_HELLO = datagram(b"hello")
_CASES = [
    Case("echo", (_HELLO,), 8, 1),
    Case("two_at_once", (_HELLO + datagram(b"again"),), 16, 2),
    Case("in_parts", (_HELLO[:1], _HELLO[1:3], _HELLO[3:6], _HELLO[6:]), 8, 1),
    Case("empty_datagram", (datagram(b""),), 3, 1),
    Case("other_context", (datagram(b"no", 1) + _HELLO,), 8, 1),
    Case("other_type", (capsule(b"no", 5) + _HELLO,), 8, 1),
    Case("unknown_type_long_form", (capsule(b"\x00no", (1 << 61) + 5) + _HELLO,), 8, 1),
    Case("longer_forms", (b"\x40\x00\x80\x00\x00\x07\x40\x00hello",), 8, 1),
    Case("unknown_of_100_kB", (capsule(bytes(100_000), 9) + _HELLO,), 8, 1),
    Case("unknown_of_a_megabyte", (capsule(bytes((1 << 20) - 5), 9) + _HELLO,), 8, 1),
    Case("more_than_a_megabyte", (capsule(bytes((1 << 20) + 70_000), 9),), None),
    Case("no_context", (capsule(b""),), None),
    Case("broken_context", (capsule(b"\x40"),), None),
    Case("good_then_broken", (datagram(b"MANY0"), capsule(b"")), None, 1),
    *(Case(f"of_{size}", (datagram(b"a" * size),), size, 1) for size in (1500, 1501, 9000, 65_507)),
    *(Case(f"answer_of_{size}", (datagram(b"BIG%d" % size),), size, 1) for size in (1500, 65_507)),
    Case("too_long_for_udp", (datagram(b"a" * 65_508), _HELLO), 8, 1),
    Case("many", (datagram(b"MANY100"),), 700, 1),
    Case("nobody_there", (_HELLO,), 0, 0, "dead"),
    Case("no_hosts", (), None, 0, "empty"),
    Case("no_way_to_the_host", (), None, 0, "pipe"),
    Case("idle", (), None, 0, "idle"),
    Case("too_old", (), None, 0, "old"),
    Case("slower_than_the_route", (_HELLO,), 8, 1, "short"),
    Case("config_of_connect", (_HELLO,), 8, 1, "of_connect"),
    Case("prefix_route", (_HELLO,), 8, 1, "prefix"),
    Case("headers_and_stat_prefix", (_HELLO,), 8, 1, "headers"),
    Case("not_configured", (), None, 0, "off"),
    Case("no_route", (), None, 0, "elsewhere"),
    Case("bad_path", (), None, 0, "plain", "/"),
    Case("ended", (_HELLO,), 8, 1, ends="stream", versions=(2,)),
    Case("ended_within_a_capsule", (_HELLO[:4],), None, 0, ends="stream", versions=(2,)),
    Case("ended_with_its_head", (), None, 0, "at_once", ends="head", versions=(2,)),
    Case("client_shuts_its_side", (_HELLO,), 8, 1, ends="stream", versions=(1,)),
]
CASES = [(case, version) for case in _CASES for version in case.versions]
_ENDED_HERE = {"upgrade_type": "CONNECT-UDP", "connect_config": {}}
_MATCHER = {"connect_matcher": {}}
_SCENES: dict[str, tuple[config.Tree, config.Tree]] = {}


def _scene(name: str, cluster: str = "up", manager: config.Tree | None = None, **more: Any) -> None:
    action = {"cluster": cluster, "upgrade_configs": [_ENDED_HERE], **more}
    _SCENES[name] = ({"match": _MATCHER, "route": action}, manager or {})


_scene("plain")
_scene("at_once")
_scene("dead", "dead")
_scene("empty", "empty")
_scene("pipe", "pipe")
_scene("idle", manager={"stream_idle_timeout": "0.4s"})
_scene("old", max_stream_duration={"max_stream_duration": "0.4s"})
_scene("short", timeout="0.001s")
_scene("off", upgrade_configs=[])
_scene(
    "of_connect",
    upgrade_configs=[
        {"upgrade_type": "CONNECT", "connect_config": {}},
        {"upgrade_type": "CONNECT-UDP"},
    ],
)
_scene("prefix")
_SCENES["prefix"][0]["match"] = {"prefix": "/.well-known"}
_scene("elsewhere")
_SCENES["elsewhere"][0]["match"] = {"prefix": "/elsewhere"}
_scene("headers")
_SCENES["headers"][0].update(
    stat_prefix="udp",
    response_headers_to_add=[{"header": {"key": "x-added", "value": "%UPSTREAM_CLUSTER%"}}],
)


class Crashed(Exception):
    """A proxy has ended by itself."""


class Lab:
    """A listener for each scene, over one host."""

    def __init__(self, folder: Path, host: UdpHost) -> None:
        self.folder, self.host = folder, host
        self.ports = {name: free_port() for name in _SCENES}
        self.dead = free_port()
        self.admin_port = free_port()

    def log(self, kind: str, scene: str) -> Path:
        """The log of a scene."""
        return self.folder / f"{kind}-{scene}.log"

    def bootstrap(self, kind: str) -> str:
        """For both proxies the same, but for the names of the logs."""
        listeners = []
        for name, port in self.ports.items():
            route, manager = _SCENES[name]
            form = {"text_format_source": {"inline_string": _FORMAT + "\n"}}
            typed = {"@type": _LOG, "path": str(self.log(kind, name)), "log_format": form}
            manager = config.hcm(
                config.route_config(f"routes_{name}", route),
                stat_prefix=f"udp_{name}",
                access_log=[{"name": "file", "typed_config": typed}],
                http2_protocol_options={"allow_connect": True},
                delayed_close_timeout="0.05s",
                **manager,
            )
            listeners.append(config.listener(name, port, manager))
        empty, pipe = config.cluster("empty"), config.cluster("pipe", 1)
        empty["load_assignment"]["endpoints"] = []
        [endpoint] = pipe["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"] = {"pipe": {"path": str(self.folder / "pipe")}}
        clusters = [
            config.cluster("up", self.host.port),
            config.cluster("dead", self.dead),
            empty,
            pipe,
        ]
        return config.bootstrap(self.admin_port, listeners, clusters)

    def run(self, kind: str) -> tuple[dict[str, Seen], list[str]]:
        """Every case in turn, and the statistics."""
        found = {}
        flags = ["--file-flush-interval-msec", "10"] if kind == OURS else []
        folder = self.folder / kind
        with Proxy(kind, self.bootstrap(kind), folder, self.admin_port, *flags) as proxy:
            for case, version in CASES:
                name = f"{case.name}-{version}"
                try:
                    found[name] = self.one(kind, case, version)
                except (OSError, AssertionError):
                    if proxy.process.poll() is None:
                        raise
                if (code := proxy.process.poll()) is not None:
                    raise Crashed(f"{kind} ended with {code} in {name}")
            text = proxy.admin("GET", "/stats")[1] + proxy.admin("GET", "/clusters")[1]
        kept = re.compile(_STATS.pattern + r"|^\w+::127\S+::(rq|cx)_")
        return found, [self.text(line) for line in text.splitlines() if kept.match(line)]

    def one(self, kind: str, case: Case, version: int) -> Seen:
        """One case."""
        self.host.forget()
        log = self.log(kind, case.scene)
        before = log.read_text().count("\n") if log.exists() else 0
        port = self.ports[case.scene]
        seen = Seen(_over_http1(port, case) if version == 1 else _over_http2(port, case))
        seen.host = self.host.got(case.datagrams)
        # A line that does not come fails the test of this case, not all of them.
        with contextlib.suppress(AssertionError):
            wait_for(
                lambda: log.exists() and log.read_text().count("\n") > before, f"{case} logged"
            )
        lines = log.read_text().splitlines()[before:] if log.exists() else []
        seen.lines = [self.text(line) for line in lines]
        return seen

    def text(self, line: str) -> str:
        """Without what differs between two runs."""
        line = line.replace(str(self.host.port), "<host>").replace(str(self.dead), "<dead>")
        return line.replace(str(self.folder), "<folder>")


def _over_http1(port: int, case: Case) -> list[object]:
    with Udp1(port, upgrade_request(case.path)) as tunnel:
        for data in case.sends:
            tunnel.send(data)
        # Envoy's chunks are longer; whoever waits for an answer gets a whole one.
        got: bytes = b""
        if case.waits:
            while len(_unchunked(tunnel)) < case.waits:
                tunnel.receive(len(tunnel.body) + 1)
            got = _unchunked(tunnel)
        if case.ends:
            tunnel.sock.shutdown(socket.SHUT_WR)
        over = tunnel.ended() if case.ends or (case.waits is None and tunnel.status < 300) else None
        status = tunnel.status if tunnel.status >= 300 else "open"
        capsules = b"\r\ncapsule-protocol: ?1" in tunnel.head
        added = b"\r\nx-added: up" in tunnel.head
        return [status, capsules, added, got, over]


def _unchunked(tunnel: Udp1) -> bytes:
    """The body: capsules as they are, or in chunks."""
    if b"transfer-encoding: chunked" not in tunnel.head:
        return tunnel.body
    body, rest = b"", tunnel.body
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        if len(rest) < int(size, 16) + 2:
            break
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


def _over_http2(port: int, case: Case) -> list[object]:
    with h2peer.Client(port) as client:
        tunnel = Udp2(client, connect_request(case.path), end=case.ends == "head")
        for data in case.sends:
            tunnel.send(data)
        if case.ends == "stream":
            tunnel.send(b"", end=True)
        if case.waits is None:
            client.finish(tunnel.stream)
        else:
            tunnel.receive(case.waits)
        stream = tunnel.stream
        # Envoy resets some of the streams that it has answered.
        reset = None if stream.ended else stream.reset
        headers = [h for h in stream.headers if h[0] in (":status", "capsule-protocol", "x-added")]
        return [headers, stream.body, stream.ended, reset]


Found = dict[str, tuple[dict[str, Seen], list[str]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """Both proxies, one after the other."""
    with UdpHost(_answers) as host:
        lab = Lab(tmp_path_factory.mktemp("udp"), host)
        yield {ENVOY: _envoy(lab), OURS: lab.run(OURS)}


def _envoy(lab: Lab) -> tuple[dict[str, Seen], list[str]]:
    """Now and then Envoy 1.40 ends with a segmentation fault when it refuses a capsule."""
    for _ in range(_CRASHES):
        with contextlib.suppress(Crashed):
            return lab.run(ENVOY)
    return lab.run(ENVOY)


def _differing(found: Found, of: Callable[[Seen], object], name: str) -> None:
    assert of(found[OURS][0][name]) == of(found[ENVOY][0][name])


@pytest.mark.parametrize("name", [f"{case.name}-{version}" for case, version in CASES])
def test_clients_and_hosts_see_the_same(found: Found, name: str) -> None:
    """But for how HTTP/1.1 frames it."""
    _differing(found, lambda seen: (seen.answer, seen.host), name)


@pytest.mark.parametrize("name", [f"{case.name}-{version}" for case, version in CASES])
def test_logs_are_the_same(found: Found, name: str) -> None:
    """But for 101, and for what of a capsule that is refused was read before."""

    def lines(seen: Seen) -> list[str]:
        found = [re.sub(r"^(101|200) ", "tunnel ", line) for line in seen.lines]
        if name.startswith("more_than_a_megabyte"):
            found = [re.sub(r"target.test:53 \d+", "target.test:53 <n>", line) for line in found]
        if name.startswith("too_long_for_udp"):
            # Envoy counts what the kernel refused.
            found = [re.sub(r"up - \d+ ", "up - <n> ", line) for line in found]
        return found

    _differing(found, lines, name)


def test_statistics_are_the_same(found: Found) -> None:
    """No connection and no request of the cluster is counted, only answers are."""
    envoy, ours = (
        [x for x in found[kind][1] if not _NOT_COMPARED.search(x)] for kind in (ENVOY, OURS)
    )
    missing = {x for x in set(envoy) - set(ours) if not x.endswith(": 0")}
    more = set(ours) - set(envoy)
    assert (more, missing) == (set(), set()), f"{sorted(more)} for {sorted(missing)}"
