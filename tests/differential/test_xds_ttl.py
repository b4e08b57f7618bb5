"""Resources with a TTL: what goes when it is over, what a heartbeat keeps, and what is no heartbeat;
the stock Envoy and ours, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2 as pb

from mesh import api
from tests.support import config
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.scripted_xds import ScriptedXds
from tests.support.upstream import Reply, Upstream
from tests.support.xds_config import Sources

_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
_TTL = 1.0


class Life:
    """One proxy, whose server lets things die."""

    def __init__(self, kind: str, mode: str, folder: Path) -> None:
        self.kind = kind
        self.sources = Sources(mode)
        self.delta = self.sources.delta
        self.port, self.short, self.admin_port = free_port(), free_port(), free_port()
        self.seen: dict[str, Any] = {}
        self.beats = 0
        with Upstream() as one, ScriptedXds() as server:
            one.by_path["/"] = Reply((b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",))
            self.server = server
            server.set(api.CLUSTER, self.sources.eds_cluster("one"))
            server.set(api.ENDPOINT, config.load_assignment("one", one.port))
            server.set(api.LISTENER, self.sources.listener("web", self.port))
            server.set(api.ROUTE, config.route_config("routes", config.route("/", "one")))
            text = self.sources.bootstrap(self.admin_port, server.port, [])
            with Proxy(kind, text, folder / kind, self.admin_port) as self.proxy:
                server.wait_ack(api.ROUTE)
                self.until("begins", lambda: self.get(self.port), 200)
                self.listeners()
                self.clusters()
                if self.delta or self.kind == OURS:
                    self.endpoints(one.port)

    def listeners(self) -> None:
        both = (
            self.sources.listener("web", self.port),
            self.sources.listener("short", self.short),
        )
        self.server.set(api.LISTENER, *both, ttl=_TTL)
        self.until("there", lambda: self.get(self.short), 200)
        if self.delta or self.kind == OURS:
            self.heartbeats()
        self.until("it goes", lambda: self.get(self.short), 0)
        # Without a TTL it stays, whatever it had before.
        self.server.set(api.LISTENER, *both, ttl=_TTL + 0.1)
        self.until("there again", lambda: self.get(self.short), 200)
        self.server.set(api.LISTENER, *both)
        self.server.wait_ack(api.LISTENER)
        time.sleep(1.5 * _TTL)
        self.seen["no TTL any more"] = self.get(self.short), self.get(self.port)

    def heartbeats(self) -> None:
        version = self.version(api.LISTENER)
        begun = time.monotonic()
        while time.monotonic() < begun + 2.5 * _TTL:
            assert self.beat(api.LISTENER, version, "web", "short") == ""
            assert self.get(self.short) == 200
            time.sleep(0.1)
        self.seen["heartbeats keep it"] = self.get(self.short)
        if not self.delta:
            return
        # Of another version it is none: it is refused, and keeps nothing.
        begun = time.monotonic()
        said = set()
        while time.monotonic() < begun + 2.5 * _TTL:
            assert self.beat(api.LISTENER, version, "web") == ""
            said.add(self.beat(api.LISTENER, "other", "short")[:60])
            time.sleep(0.1)
        self.seen["what is none"] = said, self.get(self.short)
        # What has gone cannot be kept any more.
        late = self.beat(api.LISTENER, version, "short")[:60]
        self.seen["too late"] = late, self.get(self.short)

    def clusters(self) -> None:
        two = config.cluster("two", free_port())
        self.server.set(api.CLUSTER, self.sources.eds_cluster("one"), two)
        self.server.wait_ack(api.CLUSTER)
        self.seen["clusters before"] = self.names()
        self.expiring(api.CLUSTER, "two", self.body(api.CLUSTER, "two"))
        self.until("clusters after", self.names, ["one", "xds"])
        self.seen["served meanwhile"] = self.get(self.port)

    def endpoints(self, port: int) -> None:
        self.server.set(api.ENDPOINT, config.load_assignment("one", port), ttl=_TTL)
        self.server.wait_ack(api.ENDPOINT)
        time.sleep(1.5 * _TTL)
        # Of what others refer to the last that came serves on.
        self.seen["endpoints after"] = self.get(self.port)

    # -- what the server says --

    def version(self, type_url: str) -> str:
        return self.server._snapshot(type_url)[0]

    def body(self, type_url: str, name: str) -> bytes:
        return self.server._snapshot(type_url)[1][name][1]

    def expiring(self, type_url: str, name: str, body: bytes) -> None:
        """One more resource, with a TTL; the others as they are."""
        if self.delta:
            one = pb.Resource(name=name, version="dying")
            one.resource.type_url, one.resource.value = type_url, body
            one.ttl.FromMilliseconds(int(_TTL * 1000))
            response: Any = pb.DeltaDiscoveryResponse(type_url=type_url, resources=[one])
            assert self.say(response) == ""
            return
        version = self.version(type_url)
        response = pb.DiscoveryResponse(type_url=type_url, version_info=version)
        for other, (_, held, _) in self.server._snapshot(type_url)[1].items():
            wrapper = pb.Resource(name=other, version=version)
            wrapper.resource.type_url, wrapper.resource.value = type_url, held
            if other == name:
                wrapper.ttl.FromMilliseconds(int(_TTL * 1000))
            response.resources.add().Pack(wrapper)
        assert self.say(response) == ""

    def beat(self, type_url: str, version: str, *names: str) -> str:
        """Heartbeats; what the proxy says against it."""
        beats = [pb.Resource(name=name, version=version) for name in names]
        for one in beats:
            one.ttl.FromMilliseconds(int(_TTL * 1000))
        if self.delta:
            return self.say(pb.DeltaDiscoveryResponse(type_url=type_url, resources=beats))
        response = pb.DiscoveryResponse(type_url=type_url, version_info=version)
        for one in beats:
            response.resources.add().Pack(one)
        return self.say(response)

    def say(self, response: Any) -> str:
        """Sends it; the text of the refusal, "" if it was taken."""
        self.beats += 1
        response.nonce = f"beat-{self.beats}"
        (stream,) = (one for one in self.server.streams if response.type_url in one.names)
        self.server.inject(stream, response)

        def answer() -> list[Any]:
            return [one for one in stream.requests if one.response_nonce == response.nonce]

        (first, *_) = self.server.wait("an answer", answer)
        return str(first.error_detail.message)

    # -- what clients see --

    def get(self, port: int) -> int:
        """The status; 0 when nobody listens."""
        try:
            with Connection(port) as conn:
                return conn.request(_GET).status
        except (OSError, EOFError):
            return 0

    def names(self) -> list[str]:
        lines = self.proxy.admin("GET", "/clusters")[1].splitlines()
        return sorted({line.partition("::")[0] for line in lines})

    def until(self, what: str, look: Callable[[], Any], wanted: Any) -> None:
        end = time.monotonic() + 10
        while (found := look()) != wanted and time.monotonic() < end:
            time.sleep(0.05)
        self.seen[what] = found


@pytest.mark.parametrize("mode", ["ads-sotw", "ads-delta"])
def test_what_dies_and_what_lives_on(mode: str, tmp_path: Path) -> None:
    envoy, ours = (Life(kind, mode, tmp_path).seen for kind in (ENVOY, OURS))
    if mode == "ads-sotw":
        # Over the state of the world Envoy takes listeners away of which it is only told that they
        # live, and ends when the time of endpoints does (docs/differences.md).
        assert ours.pop("heartbeats keep it") == 200
        assert ours.pop("endpoints after") == 200
    else:
        assert envoy["heartbeats keep it"] == envoy["endpoints after"] == 200
        assert envoy["what is none"][1] == envoy["too late"][1] == 0
    assert ours == envoy
    assert envoy["it goes"] == 0
    assert envoy["no TTL any more"] == (200, 200)
