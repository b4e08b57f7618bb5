"""Hosts that say GOAWAY while requests are under way, through the stock Envoy and ours: nothing that
they have not processed is lost, nothing is done twice."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import config, h2peer
from tests.support.h2peer import OK, Answer, Stream, get
from tests.support.http1 import Headers
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import wait_for
from tests.support.tls_config import http2

REQUESTS = 400
AT_ONCE = 20
_CHANCE = re.compile(r"bytes|rq_pending_total|retry_success")
EVERY = 30  # so many requests a connection of the host takes before it drains
_HIGHEST = (1 << 31) - 1
_GRACEFUL: Any = ("goaway", 0, _HIGHEST)
_REFUSED = Answer((("reset", 7),), after="head")
# What a host does with the request that makes it drain.
WAYS: dict[str, Answer] = {
    "graceful": Answer((_GRACEFUL, 0.02, ("drain", 0), 0.01, OK, b"ok")),
    "abrupt": Answer((("drain", 0), 0.01, OK, b"ok")),
    "calm": Answer((("drain", 11), 0.01, OK, b"ok")),  # ENHANCE_YOUR_CALM
    "refused": _REFUSED,
}
RETRIES: dict[str, dict[str, Any]] = {
    "refused": {"retry_on": "refused-stream", "num_retries": 8},
    "reset": {"retry_on": "reset-before-request", "num_retries": 8},
    "5xx": {"retry_on": "5xx", "num_retries": 8},
    "none": {},
}


class Host(h2peer.Upstream):
    """Drains each of its connections after some requests; knows which requests it has processed."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.on: Counter[int] = Counter()
        self.processed: Counter[str] = Counter()
        self.bodies: dict[str, Stream] = {}
        super().__init__()

    def _begin(self, stream: Stream) -> Answer:
        with self._lock:
            self.requests.append(stream)
            self.on[stream.connection] += 1
            answer = Answer((0.005, OK, b"ok"))
            if self.on[stream.connection] % EVERY == 0:
                answer = WAYS[self.way]
            if answer is _REFUSED:
                self.unprocessed += 1
            else:
                self.processed[stream.path] += 1
                self.bodies[stream.path] = stream
            return answer


@dataclass
class Seen:
    """What came of it."""

    statuses: Counter[int] = field(default_factory=Counter)
    answered: set[str] = field(default_factory=set)
    processed: Counter[str] = field(default_factory=Counter)
    whole: int = 0  # bodies
    unprocessed: int = 0
    drained: int = 0  # connections
    stats: dict[str, int] = field(default_factory=dict)


def run(kind: str, way: str, retry: str, folder: Path) -> Seen:
    """Many requests, some at once, every other one with a body and not to be repeated."""
    port, admin = free_port(), free_port()
    host = Host(way)
    with host:
        many = {"max_retries": 1000}
        cluster = config.cluster(
            "up", host.port, circuit_breakers={"thresholds": [many]}, **http2()
        )
        policy = {} if retry == "none" else {"retry_policy": RETRIES[retry]}
        route = config.route("/", "up", **policy)
        manager = config.hcm(config.route_config("r", route))
        tree = config.bootstrap(admin, [config.listener("l", port, manager)], [cluster])
        with Proxy(kind, tree, folder, admin) as proxy, h2peer.Client(port) as client:
            seen = Seen()
            under_way: dict[str, Stream] = {}
            asked = 0
            while asked < REQUESTS or under_way:
                while asked < REQUESTS and len(under_way) < AT_ONCE:
                    path = f"/{asked}"
                    under_way[path] = _ask(client, path, asked % 2 == 1)
                    asked += 1
                if not client.receive(10):
                    break
                for path, stream in list(under_way.items()):
                    if stream.over:
                        del under_way[path]
                        seen.statuses[stream.status] += 1
                        if stream.status == 200:
                            seen.answered.add(path)
            seen.processed, seen.unprocessed = host.processed, host.unprocessed
            seen.drained = sum(count >= EVERY for count in host.on.values())
            seen.whole = sum(
                stream.body == b"x" * 100
                for stream in host.bodies.values()
                if stream.get(":method") == "POST"
            )
            # Those that drain are closed when their last request has ended.
            active = "cluster.up.upstream_cx_active"
            wait_for(lambda: proxy.stat(active) in (0, 1), "closed connections")
            text = proxy.admin("GET", "/stats?filter=^cluster.up.upstream")[1]
            for line in text.splitlines():
                name, _, value = line.partition(": ")
                if value.isdigit():
                    seen.stats[name.removeprefix("cluster.up.")] = int(value)
            return seen


def _ask(client: h2peer.Client, path: str, post: bool) -> Stream:
    fields: Headers = get(path, method="POST" if post else "GET")
    stream = client.begin(fields, end=not post)
    if post:
        client.send_body(stream.id, b"x" * 100)
    return stream


CASES = [(way, retry) for way in WAYS for retry in RETRIES]
Found = dict[tuple[str, str, str], Seen]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """By proxy and case."""
    folder = tmp_path_factory.mktemp("goaway")
    with ThreadPoolExecutor(2) as pool:
        jobs = {
            (kind, *case): pool.submit(run, kind, *case, folder / "-".join((kind, *case)))
            for kind in (ENVOY, OURS)
            for case in CASES
        }
        return {name: job.result() for name, job in jobs.items()}


@pytest.mark.parametrize("kind", [ENVOY, OURS])
@pytest.mark.parametrize(("way", "retry"), CASES)
def test_nothing_is_lost_nor_done_twice(found: Found, way: str, retry: str, kind: str) -> None:
    """Requests that the host has not processed go elsewhere if the route retries them, whatever
    their method; else they are the only ones that fail."""
    seen = found[kind, way, retry]
    retried = retry in ("refused", "5xx")
    lost = 0 if retried else seen.unprocessed
    assert seen.statuses == Counter({200: REQUESTS - lost} | ({503: lost} if lost else {}))
    assert seen.answered == set(seen.processed)
    assert set(seen.processed.values()) == {1}
    assert seen.whole == sum(int(path[1:]) % 2 for path in seen.answered)
    stats = seen.stats
    assert stats["upstream_rq_retry"] == (seen.unprocessed if retried else 0)
    assert stats["upstream_rq_total"] == REQUESTS + stats["upstream_rq_retry"]
    if way == "graceful":
        assert seen.unprocessed == 0


@pytest.mark.parametrize("kind", [ENVOY, OURS])
@pytest.mark.parametrize(("way", "retry"), CASES)
def test_the_pool_moves_on(found: Found, way: str, retry: str, kind: str) -> None:
    """A connection that drains takes no more, is counted once and closed behind its last request."""
    seen = found[kind, way, retry]
    stats = seen.stats
    drained = 0 if way == "refused" else seen.drained
    assert drained == 0 or drained >= REQUESTS // (EVERY + 2 * AT_ONCE)
    assert stats["upstream_cx_close_notify"] == drained
    assert stats["upstream_cx_destroy"] == stats["upstream_cx_destroy_local"] == drained
    assert stats["upstream_cx_destroy_with_active_rq"] == 0
    assert stats["upstream_cx_total"] in (drained, drained + 1)


@pytest.mark.parametrize("retry", RETRIES)
def test_statistics_of_refused_streams(found: Found, retry: str) -> None:
    """Without chance in them they are Envoy's."""
    envoy, ours = (found[kind, "refused", retry].stats for kind in (ENVOY, OURS))
    wanted = {name: value for name, value in envoy.items() if not _CHANCE.search(name)}
    assert {name: ours.get(name) for name in wanted} == wanted
