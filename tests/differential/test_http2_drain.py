"""Clients over HTTP/2 that are told to go, by the stock Envoy and by ours: two GOAWAYs, nothing lost
between them, and what is under way lives on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import config, h2peer
from tests.support.h2peer import OK, Answer, get
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import TcpServer
from tests.support.tls_config import http2

_HIGHEST = (1 << 31) - 1
_GRPC = [(":status", "200"), ("content-type", "application/grpc")]
_MESSAGE = b"\0\0\0\0\1x"
_TRAILERS = [("grpc-status", "0")]
# Options of HTTP that make a connection drain by itself.
WAYS: dict[str, dict[str, Any]] = {
    "duration": {"max_connection_duration": "0.4s"},
    "requests": {"max_requests_per_connection": 12},
    "idle": {"idle_timeout": "0.4s"},
    "alone": {"max_requests_per_connection": 1},
    "lds": {},
    "cut": {},
    "admin": {},
}
_PAUSE = "0.5s"  # between the two GOAWAYs


@dataclass
class Seen:
    """What a client sees."""

    goaways: list[tuple[str, int]] = field(default_factory=list)
    between: int = 0  # status of a request that was sent between the two
    lost: int = 0
    tunnel: bytes = b""
    messages: int = 0
    grpc: list[str] = field(default_factory=list)
    closed: str = ""
    stats: dict[str, int] = field(default_factory=dict)


class Lab:
    """A listener by LDS, a host that streams and one that echoes."""

    def __init__(self, folder: Path, way: str, host: h2peer.Upstream, echo: TcpServer) -> None:
        folder.mkdir(parents=True)
        self.folder, self.way, self.host, self.echo = folder, way, host, echo
        self.port, self.admin_port = free_port(), free_port()
        self.lds = folder / "lds.yaml"
        self.listen("first")

    def listen(self, note: str) -> None:
        """The listener, a new one each time."""
        tunnel = {
            "match": {"connect_matcher": {}},
            "route": {
                "cluster": "echo",
                "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
            },
        }
        routes = config.route_config("r", tunnel, config.route("/", "up", timeout="0s"))
        manager = config.hcm(
            routes,
            stat_prefix="web",
            drain_timeout=_PAUSE,
            common_http_protocol_options=WAYS[self.way],
            http2_protocol_options={"allow_connect": True},
            upgrade_configs=[{"upgrade_type": "CONNECT"}],
            server_name=note,
        )
        text = config.discovery(config.LISTENER, [config.listener("l", self.port, manager)])
        config.move_in(self.lds, text)

    def run(self, kind: str) -> Seen:
        """One client through its connection's end."""
        clusters = [
            config.cluster("up", self.host.port, **http2()),
            config.cluster("echo", self.echo.port),
        ]
        tree = config.bootstrap(self.admin_port, self.lds, clusters)
        flags = ("--drain-time-s", "3")
        with (
            Proxy(kind, tree, self.folder, self.admin_port, *flags) as proxy,
            h2peer.Client(self.port) as client,
        ):
            seen = Seen()
            if self.way in ("idle", "alone"):
                assert client.request(get()).status == 200
                if self.way == "alone":
                    # As if it had been sent before the client was told.
                    seen.between = client.request(get()).status
                client.wait_closed()
                seen.goaways, seen.closed = _told(client), client.closed
                seen.stats = _stats(proxy)
                return seen
            stream = client.begin(get("/stream", ("content-type", "application/grpc")))
            tunnel = client.begin(
                [(":method", "CONNECT"), (":authority", "echo.test:80")], end=False
            )
            assert client.wait_for(lambda: tunnel.status == 200 and bool(stream.body))
            self._drain(proxy, client)
            self._ask(client, seen, lambda: bool(client.goaways))
            late = client.begin(get("/slow"))
            client.finish(late)
            seen.between = late.status
            assert client.wait_for(lambda: len(client.goaways) > 1)
            # Both are told; what was begun goes on.
            client.send_body(tunnel.id, b"still here", end=False)
            client.wait_for(lambda: tunnel.body.endswith(b"here") or tunnel.over)
            seen.tunnel = tunnel.body
            client.finish(stream)
            seen.messages = len(stream.body) // len(_MESSAGE)
            seen.grpc = [value for _, value in stream.trailers]
            # Where the listener is gone, what is left is cut with the drain time.
            if self.way != "cut":
                client.h2.end_stream(tunnel.id)
                client.flush()
            client.wait_closed()
            seen.goaways, seen.closed = _told(client), client.closed
            if self.way != "cut":  # Counted otherwise (docs/differences.md).
                seen.stats = _stats(proxy)
            return seen

    def _drain(self, proxy: Proxy, client: h2peer.Client) -> None:
        match self.way:
            case "lds" | "cut":
                self.listen("second")
                proxy.wait_stat("listener_manager.listener_modified", 1)
            case "admin":
                assert proxy.admin("POST", "/drain_listeners?graceful")[0] == 200

    @staticmethod
    def _ask(client: h2peer.Client, seen: Seen, told: Any) -> None:
        """Requests, one after the other, until the client is told to go."""
        end = time.monotonic() + 15
        while not told() and time.monotonic() < end:
            seen.lost += client.request(get()).status != 200
        assert told()


def _told(client: h2peer.Client) -> list[tuple[str, int]]:
    """The GOAWAYs: whether any stream may follow, or which was the last."""
    names = {_HIGHEST: "any", max(client.streams): "last"}
    return [(names.get(last, str(last)), code) for last, code in client.goaways]


def _stats(proxy: Proxy) -> dict[str, int]:
    names = (
        "http.web.downstream_cx_max_duration_reached",
        "http.web.downstream_cx_max_requests_reached",
        "http.web.downstream_cx_idle_timeout",
        "http.web.downstream_cx_drain_close",
        "http.web.downstream_rq_5xx",
        "http.web.downstream_rq_rx_reset",
        "http.web.downstream_rq_tx_reset",
        "http2.goaway_sent",
    )
    return {name: proxy.stat(name) or 0 for name in names}


def run(kind: str, way: str, folder: Path) -> Seen:
    """One proxy, one way."""
    streamed: list[Any] = [_GRPC]
    for _ in range(15):
        streamed += [0.1, _MESSAGE]
    with h2peer.Upstream() as host, TcpServer() as echo:
        host.by_path["/stream"] = Answer([*streamed, _TRAILERS], after="head")
        host.by_path["/slow"] = Answer((0.1, OK, b"ok"))
        return Lab(folder / f"{kind}-{way}", way, host, echo).run(kind)


Found = dict[tuple[str, str], Seen]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """By proxy and way."""
    folder = tmp_path_factory.mktemp("drain")
    with ThreadPoolExecutor(4) as pool:
        jobs = {
            (kind, way): pool.submit(run, kind, way, folder)
            for kind in (ENVOY, OURS)
            for way in WAYS
        }
        return {name: job.result() for name, job in jobs.items()}


@pytest.mark.parametrize("way", WAYS)
def test_as_envoy(found: Found, way: str) -> None:
    """The same GOAWAYs, and the same fate of what is under way."""
    assert found[OURS, way] == found[ENVOY, way]
