"""xDS over gRPC: the same server, the same changes; what the stock Envoy takes and refuses, asks for
and counts, ours does, too."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh import api
from tests.support import config
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.scripted_xds import ScriptedXds
from tests.support.upstream import Reply, Upstream
from tests.support.xds_config import MODES, Sources

_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#: Per scope, where what Envoy counts is what ours counts.
_COUNTED = ("update_success", "update_rejected", "update_failure", "version_text")
_SCOPES = ("cluster_manager.cds.", "listener_manager.lds.", "http.web.rds.routes.")


class Run:
    """One proxy's conversation with a server that changes everything."""

    def __init__(self, kind: str, mode: str, folder: Path) -> None:
        self.kind = kind
        self.sources = Sources(mode)
        self.port, self.admin_port = free_port(), free_port()
        self.seen: dict[str, Any] = {}
        with Upstream() as one, Upstream() as two, ScriptedXds() as server:
            for up, name in ((one, b"a"), (two, b"b")):
                up.by_path["/"] = Reply((b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + name,))
            self.server = server
            server.set(
                api.CLUSTER, self.sources.eds_cluster("one"), config.cluster("two", two.port)
            )
            server.set(api.ENDPOINT, config.load_assignment("one", one.port))
            server.set(api.LISTENER, self.sources.listener("web", self.port))
            self.routes("one")
            text = self.sources.bootstrap(self.admin_port, server.port, [])
            with Proxy(kind, text, folder / kind, self.admin_port) as self.proxy:
                self.changes(two.port)
                self.seen["stats"] = self.stats()
            self.seen["refused"] = [type_url for type_url, _ in server.nacks]
            self.seen["methods"] = sorted({stream.method for stream in server.streams})
            self.seen["names"] = self.names()
            self.seen["node once"] = all(
                one.HasField("node") == (number == 0)
                for stream in server.streams
                for number, one in enumerate(stream.requests)
            )

    def changes(self, other: int) -> None:
        """Good ones and bad ones, each answered before the next."""
        for type_url in (api.CLUSTER, api.ENDPOINT, api.LISTENER, api.ROUTE):
            self.server.wait_ack(type_url)
        self.note("first")
        self.routes("two")
        self.server.wait_ack(api.ROUTE)
        self.until("routes", b"b")
        # Refused when it is used, not when it is read: the others of its update are used.
        bad = {"name": "bad", "type": "STATIC", "load_assignment": config.load_assignment("other")}
        bad["lb_policy"] = "CLUSTER_PROVIDED"
        first = self.sources.eds_cluster("one")
        three = config.cluster("three", other)
        self.server.set(api.CLUSTER, first, config.cluster("two", other), bad, three)
        self.server.wait_nack(api.CLUSTER)
        self.routes("three")
        self.server.wait_ack(api.ROUTE)
        self.until("partial", b"b")
        action = {"match": {"safe_regex": {"regex": "("}}, "route": {"cluster": "one"}}
        self.server.set(api.ROUTE, config.route_config("routes", action))
        self.server.wait_nack(api.ROUTE)
        self.note("bad routes")
        self.routes("one")
        self.server.wait_ack(api.ROUTE)
        self.until("routes back", b"a")
        self.server.set(api.CLUSTER, first)
        self.server.wait_ack(api.CLUSTER)
        bad_listener = config.listener("no", self.port, config.hcm(None, rds={}))
        self.server.set(api.LISTENER, self.sources.listener("web", self.port), bad_listener)
        self.server.wait_nack(api.LISTENER)
        self.note("bad listener")
        self.server.set(api.ENDPOINT, config.load_assignment("one", other))
        self.server.wait_ack(api.ENDPOINT)
        self.until("endpoints", b"b")

    def routes(self, to: str) -> None:
        self.server.set(api.ROUTE, config.route_config("routes", config.route("/", to)))

    def get(self) -> tuple[int, bytes]:
        with Connection(self.port) as conn:
            answer = conn.request(_GET)
            return answer.status, answer.body

    def note(self, what: str) -> None:
        self.seen[what] = self.get()

    def until(self, what: str, body: bytes) -> None:
        """Workers hear of a change after it was answered."""
        end = time.monotonic() + 10
        while (answer := self.get()) != (200, body) and time.monotonic() < end:
            time.sleep(0.02)
        self.seen[what] = answer

    def stats(self) -> dict[str, str]:
        lines = self.proxy.admin("GET", "/stats")[1].splitlines()
        found = dict(line.split(": ", 1) for line in lines if ": " in line)
        wanted = [scope + name for scope in _SCOPES for name in _COUNTED]
        if self.sources.shared:
            wanted += ["control_plane.connected_state", "control_plane.identifier"]
        else:
            wanted += [scope + "control_plane.connected_state" for scope in _SCOPES]
        return {name: found.get(name, "none") for name in wanted}

    def names(self) -> dict[str, set[str]]:
        """All names that were ever asked for, by type."""
        asked: dict[str, set[str]] = {}
        for stream in self.server.streams:
            for one in stream.requests:
                names = getattr(one, "resource_names", None)
                if names is None:
                    names = one.resource_names_subscribe
                asked.setdefault(one.type_url, set()).update(names)
        return asked


@pytest.mark.parametrize("mode", MODES)
def test_the_same_conversation(mode: str, tmp_path: Path) -> None:
    """ACKs, NACKs, names, statistics and what clients get, step by step."""
    envoy, ours = (Run(kind, mode, tmp_path).seen for kind in (ENVOY, OURS))
    assert ours == envoy


def _dead(kind: str, mode: str, folder: Path, look: Callable[[Proxy, ScriptedXds], Any]) -> Any:
    """What a proxy does whose server has ended."""
    sources, admin_port, port = Sources(mode), free_port(), free_port()
    with ScriptedXds() as server:
        server.set(api.CLUSTER, config.cluster("two", free_port()))
        routes = config.route_config("r", config.route("/", "two"), validate_clusters=False)
        server.set(api.LISTENER, config.listener("web", port, config.hcm(routes)))
        text = sources.bootstrap(admin_port, server.port, [])
        with Proxy(kind, text, folder / kind, admin_port) as proxy:
            server.wait_ack(api.LISTENER)
            server.stop()
            return look(proxy, server)


@pytest.mark.parametrize("mode", ["ads-sotw", "ads-delta"])
def test_a_new_stream_says_the_same(mode: str, tmp_path: Path) -> None:
    """After a reconnect: versions, no nonces; initial_resource_versions."""

    def first_words(_: Proxy, old: ScriptedXds) -> dict[str, Any]:
        with ScriptedXds(old.port, epoch="b") as server:
            for type_url in (api.CLUSTER, api.LISTENER):
                server.wait(type_url, lambda t=type_url: server.requests(t))
            found: dict[str, Any] = {}
            for type_url in (api.CLUSTER, api.LISTENER):
                one = server.requests(type_url)[0]
                known = getattr(one, "initial_resource_versions", {})
                found[type_url] = (
                    getattr(one, "version_info", ""),
                    one.response_nonce,
                    dict(known),
                )
            return found

    envoy, ours = (_dead(kind, mode, tmp_path, first_words) for kind in (ENVOY, OURS))
    assert ours == envoy
