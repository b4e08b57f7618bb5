"""mesh.xds.ads and mesh.xds.stream: conversations with a server that the test plays"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mesh import api
from mesh.loop import Loop
from mesh.xds.ads import Remote
from mesh.xds.intake import Intake
from mesh.xds.store import Store
from tests.unit.mesh import fake

CDS = "cluster_manager.cds."
LDS = "listener_manager.lds."


def spoken(cluster: str = "xds", *, delta: bool = False, once: bool = False) -> tuple[Any, ...]:
    return (cluster, delta, "", [("k", "v")], once, 1.0, 8.0, None)


def route(name: str = "r", scope: str = "web", server: Any = None) -> list[Any]:
    return [api.ROUTE, name, 15.0, f"http.{scope}.rds.{name}.", server]


def endpoints(name: str, cluster: str = "", timeout: float = 15.0) -> list[Any]:
    return [api.ENDPOINT, name, timeout, f"cluster.{cluster or name}.", None]


class Bench:
    """The client with a fake core and clock, and a server that says what it is told to."""

    def __init__(self, server: tuple[Any, ...] | None) -> None:
        self.now = 0.0
        self.core = fake.Engine()
        self.calls = fake.Calls()
        self.store = Store()
        self.loop = Loop(lambda: self.now)
        self.intake = Intake(self.core, self.store)  # type: ignore[arg-type]
        self.remote = Remote(self.intake, self.calls, self.loop, b"me", server)  # type: ignore[arg-type]
        self.intake.followers.append(self.remote.follow)
        self.nonce = 0

    def happen(self, what: str, message: bytes = b"", status: int = 0, text: str = "") -> None:
        self.calls.events.append((len(self.calls.opened), what, message, status, text))
        self.remote.readable()

    def say(
        self, type_url: str, version: str, *resources: dict[str, Any], call: int = 0, **more: Any
    ) -> None:
        self.nonce += 1
        document = {"type_url": type_url, "version": version, "nonce": f"n{self.nonce}", **more}
        message = json.dumps({**document, "resources": resources}).encode()
        call = call or len(self.calls.opened)
        self.calls.events.append((call, "message", message, 0, ""))
        self.remote.readable()

    def said(self) -> list[dict[str, Any]]:
        """Requests since the last time."""
        sent = [request for _, request in self.calls.sent]
        self.calls.sent.clear()
        return sent

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.loop.turn(0)

    def applied(self) -> list[tuple[Any, ...]]:
        calls = [call[1:4] for call in self.core.calls if call[0] == "apply"]
        self.core.calls.clear()
        return calls

    def stat(self, name: str) -> int | str:
        return self.core.stats.get(name, "none")


def benches(server: tuple[Any, ...] | None) -> Iterator[Bench]:
    made = Bench(server)
    yield made
    made.loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from benches(spoken())


@pytest.fixture
def delta() -> Iterator[Bench]:
    yield from benches(spoken(delta=True))


def test_a_type_is_asked_for_taken_and_acked(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    aggregated = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
    assert bench.calls.opened == [("xds", aggregated)]
    assert bench.calls.metadata == [("", [("k", "v")])]
    assert bench.said() == [{"node": "me", "type": "Cluster"}]
    assert bench.remote.waiting() == [(api.CLUSTER, "xds")]
    bench.happen("open")
    assert bench.stat("control_plane.connected_state") == 1
    bench.say(api.CLUSTER, "1", {"name": "a"}, control_plane="someone")
    assert bench.said() == [{"node": "me", "type": "Cluster", "version": "1", "nonce": "n1"}]
    assert bench.applied() == [("Cluster", ["a"], [])]
    assert bench.remote.waiting() == []
    assert bench.stat(CDS + "update_success") == 1
    assert bench.stat(CDS + "update_attempt") == 2
    assert bench.stat(CDS + "version_text") == "1"
    assert bench.stat("control_plane.identifier") == "someone"
    bench.say(api.CLUSTER, "2", {"name": "b"})
    assert bench.applied() == [("Cluster", ["b"], ["a"])]
    bench.say(api.CLUSTER, "3")
    assert bench.applied() == [("Cluster", [], ["b"])]


def test_what_clusters_need_is_asked_for_after_the_answer(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.said()
    clusters = [{"name": name, "remote": [endpoints(name)]} for name in ("b", "a")]
    bench.say(api.CLUSTER, "1", *clusters)
    ack, asked = bench.said()
    assert (ack["type"], ack["nonce"]) == ("Cluster", "n1")
    assert (asked["type"], asked["names"]) == ("ClusterLoadAssignment", ["a", "b"])
    bench.applied()
    bench.say(api.ENDPOINT, "1", {"name": "a"}, {"name": "unwanted"})
    assert bench.applied() == [("ClusterLoadAssignment", ["a"], [])]
    assert bench.stat("cluster.a.update_success") == 1
    assert bench.stat("cluster.b.update_success") == "none"
    assert bench.remote.waiting() == [(api.ENDPOINT, "b")]
    bench.said()
    bench.say(api.CLUSTER, "2", clusters[0])
    assert [one.get("names") for one in bench.said()] == [None, ["b"]]
    assert bench.store.bodies(api.ENDPOINT) == {}


def test_types_leave_in_the_order_of_their_references(bench: Bench) -> None:
    bench.remote.subscribe(api.LISTENER, 15.0, None)
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.say(api.CLUSTER, "1", {"name": "a", "remote": [endpoints("a")]})
    bench.say(api.LISTENER, "1", {"name": "l", "remote": [route()]})
    bench.happen("closed", status=14, text="gone")
    bench.said()
    bench.wait(9.0)
    again = bench.said()
    assert [one["type"] for one in again] == [
        "Cluster",
        "ClusterLoadAssignment",
        "Listener",
        "RouteConfiguration",
    ]
    assert again[0] == {"node": "me", "type": "Cluster", "version": "1"}


def test_a_bad_resource_is_refused_and_the_others_are_used(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.say(api.CLUSTER, "1", {"name": "a"}, {"name": "b"})
    bench.said()
    bench.say(api.CLUSTER, "2", {"name": "a", "bad": "why"}, {"name": "b", "x": 1})
    (nack,) = bench.said()
    assert nack["version"] == "1"
    assert nack["error"] == "cluster 'a': field: why"
    held, failed = bench.store.snapshot(api.CLUSTER)
    assert (held["a"].version, held["b"].version, failed["a"].version) == ("1", "2", "2")
    assert bench.stat(CDS + "update_rejected") == 1
    assert bench.stat(CDS + "version_text") == "1"
    assert bench.store.version(api.CLUSTER) == "2"
    assert "cluster 'a': field: why" in fake.LOG[-1][2]
    bench.say(api.CLUSTER, "3", {"name": "a"}, {"name": "b", "x": 1})
    assert bench.said()[0]["version"] == "3"
    assert bench.store.snapshot(api.CLUSTER)[1] == {}


def test_a_name_that_is_there_twice(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.said()
    bench.say(api.CLUSTER, "1", {"name": "a"}, {"name": "a", "x": 1})
    assert bench.said()[0]["error"] == "cluster 'a' is there twice"
    assert set(bench.store.bodies(api.CLUSTER)) == {"a"}


def test_a_response_that_cannot_be_taken_changes_nothing(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.said()
    bench.say(api.CLUSTER, "1", {"name": "a"}, problem="wrong type")
    assert bench.said() == [{"node": "me", "type": "Cluster", "nonce": "n1", "error": "wrong type"}]
    assert bench.applied() == []
    assert bench.stat(CDS + "update_rejected") == 1
    assert bench.remote.waiting() == []


def test_a_type_that_was_not_asked_for_is_not_answered(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.said()
    bench.say(api.SECRET, "1", {"name": "s"})
    assert bench.said() == []
    assert "not asked for" in fake.LOG[-1][2]


def test_rubbish_ends_the_stream(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.happen("message", b"rubbish")
    assert bench.calls.cancelled == [1]
    assert "not a DiscoveryResponse" in fake.LOG[-1][2]
    bench.wait(1.0)
    assert len(bench.calls.opened) == 2


def test_rubbish_does_not_shorten_the_back_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesh.xds.backoff.os.urandom", lambda size: b"\xff" * size)
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    for number, seconds in enumerate((1.0, 2.0, 4.0, 8.0, 8.0), start=1):
        bench.happen("message", b"rubbish")
        bench.wait(seconds * 0.9)
        assert len(bench.calls.opened) == number
        bench.wait(seconds * 0.2)
        assert len(bench.calls.opened) == number + 1


def test_a_server_that_does_not_read(bench: Bench) -> None:
    bench.calls.full = True
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    assert bench.calls.cancelled == [1]
    assert "too many requests wait" in fake.LOG[-1][2]


def test_a_stream_that_ends_is_opened_again(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.happen("open")
    bench.happen("closed", status=14, text="gone")
    assert bench.stat("control_plane.connected_state") == 0
    assert bench.stat(CDS + "update_failure") == 1
    assert "closed: 14, gone" in fake.LOG[-1][2]
    assert len(bench.calls.opened) == 1
    bench.wait(1.0)
    assert len(bench.calls.opened) == 2
    bench.happen("closed", status=14, text="gone")
    assert fake.LOG[-1][0] == "debug", "the same again is no news"
    bench.happen("closed", status=14, text="gone")  # of a call that is over


def test_events_of_an_old_call_are_nothing(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.happen("closed", status=14, text="gone")
    bench.say(api.CLUSTER, "1", {"name": "a"}, call=1)
    assert bench.applied() == []


def test_who_asks_is_said_once_if_that_is_enough() -> None:
    for bench in benches(spoken(once=True)):
        bench.remote.subscribe(api.CLUSTER, 15.0, None)
        bench.say(api.CLUSTER, "1", {"name": "a"})
        bench.happen("closed", status=14)
        bench.wait(9.0)
        assert [one.get("node") for one in bench.said()] == ["me", None, "me"]


def test_nobody_answers_in_time(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    clusters = [{"name": "a", "remote": [endpoints("a")]}]
    clusters += [{"name": "b", "remote": [endpoints("b", timeout=0.0)]}]
    bench.say(api.CLUSTER, "1", *clusters)
    bench.wait(14.0)
    assert len(bench.remote.waiting()) == 2
    bench.wait(1.5)
    assert bench.remote.waiting() == [(api.ENDPOINT, "b")]
    assert ("fetch_timed_out", "ClusterLoadAssignment", "a") in bench.core.calls
    assert bench.stat("cluster.a.init_fetch_timeout") == 1
    bench.wait(1e6)
    assert bench.remote.waiting() == [(api.ENDPOINT, "b")], "0 is for ever"


def test_a_first_answer_that_is_refused_is_an_answer(bench: Bench) -> None:
    bench.remote.subscribe(api.LISTENER, 15.0, None)
    bench.say(api.LISTENER, "1", {"name": "l", "remote": [route()]})
    bench.say(api.ROUTE, "1", {"name": "r", "bad": "why"})
    assert ("fetch_timed_out", "RouteConfiguration", "r") in bench.core.calls
    assert bench.remote.waiting() == []
    assert bench.stat("http.web.rds.r.update_rejected") == 1


def test_one_resource_for_two(bench: Bench) -> None:
    bench.remote.subscribe(api.LISTENER, 15.0, None)
    both = [route(scope="a"), route(scope="b")]
    bench.say(api.LISTENER, "1", {"name": "l", "remote": both})
    bench.say(api.ROUTE, "1", {"name": "r"})
    assert bench.stat("http.a.rds.r.update_success") == 1
    assert bench.stat("http.b.rds.r.update_success") == 1
    bench.say(api.LISTENER, "2", {"name": "l", "remote": both[:1]})
    assert set(bench.store.bodies(api.ROUTE)) == {"r"}, "it is wanted still"


def test_a_resource_that_changes_hands_stays(bench: Bench) -> None:
    """It is there already: nobody waits for it, and the server has no reason to send it again."""
    bench.remote.subscribe(api.LISTENER, 15.0, None)
    bench.say(api.LISTENER, "1", {"name": "l", "remote": [route(scope="a")]})
    bench.say(api.ROUTE, "1", {"name": "r"})
    bench.said()
    bench.say(api.LISTENER, "2", {"name": "l", "remote": [route(scope="b")]})
    assert [one["type"] for one in bench.said()] == ["Listener"]
    assert set(bench.store.bodies(api.ROUTE)) == {"r"}
    assert bench.remote.waiting() == []
    bench.say(api.ROUTE, "2", {"name": "r", "x": 1})
    assert bench.stat("http.a.rds.r.update_success") == 1
    assert bench.stat("http.b.rds.r.update_success") == 1


def test_the_cluster_of_the_server_is_waited_for(bench: Bench) -> None:
    bench.core.warming_now = [(api.CLUSTER, "xds")]
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    assert bench.calls.opened == []
    bench.core.warming_now = []
    bench.wait(0.1)
    assert len(bench.calls.opened) == 1


def test_a_server_of_its_own_for_a_type() -> None:
    own = list(spoken("routes", delta=True))
    own[3] = [list(one) for one in own[3]]
    for bench in benches(spoken()):
        bench.remote.subscribe(api.LISTENER, 15.0, None)
        names = [route("r", server=own), route("q", server=own)]
        bench.say(api.LISTENER, "1", {"name": "l", "remote": names})
        path = "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes"
        assert bench.calls.opened[1:] == [("routes", path)]
        asked = {"node": "me", "type": "RouteConfiguration", "more": ["q", "r"]}
        assert (2, asked) in bench.calls.sent
        bench.say(api.ROUTE, "1", {"name": "r", "version": "r1"})
        held, _ = bench.store.snapshot(api.ROUTE)
        assert held["r"].version == "r1"
        assert bench.remote.holds(api.ROUTE, "r")
        bench.say(api.LISTENER, "2", {"name": "l"}, call=1)
        assert bench.calls.cancelled == [2], "nobody wants anything of it any more"
        assert not bench.remote.holds(api.ROUTE, "r")


def test_changes_only(delta: Bench) -> None:
    delta.remote.subscribe(api.CLUSTER, 15.0, None)
    path = delta.calls.opened[0][1]
    assert path.endswith("AggregatedDiscoveryService/DeltaAggregatedResources")
    delta.said()
    delta.say(api.CLUSTER, "s1", {"name": "a", "version": "a1"}, {"name": "b", "version": "b1"})
    assert delta.applied() == [("Cluster", ["a", "b"], [])]
    assert delta.store.snapshot(api.CLUSTER)[0]["a"].version == "a1"
    assert delta.stat(CDS + "version_text") == "s1"
    delta.say(api.CLUSTER, "s2", {"name": "b", "version": "b2", "x": 1}, removed=["a", "never"])
    assert delta.applied() == [("Cluster", ["b"], ["a"])]
    delta.said()
    delta.say(api.CLUSTER, "s3", {"name": "b"}, removed=["b"])
    assert "union of added+removed" in delta.said()[0]["error"]
    assert delta.applied() == []


def test_removed_endpoints_serve_as_long_as_their_cluster_does(delta: Bench) -> None:
    delta.remote.subscribe(api.CLUSTER, 15.0, None)
    delta.say(api.CLUSTER, "1", {"name": "a", "remote": [endpoints("a")]})
    delta.say(api.ENDPOINT, "1", {"name": "a"})
    delta.applied()
    delta.say(api.ENDPOINT, "2", removed=["a"])
    assert delta.applied() == [("ClusterLoadAssignment", [], [])]
    assert set(delta.store.bodies(api.ENDPOINT)) == {"a"}


EXTENSION = "extension_config_discovery.http_filter.e."


def _with_extension(bench: Bench) -> None:
    """A listener that discovers the extension `e`, which is there."""
    bench.remote.subscribe(api.LISTENER, 15.0, None)
    remote = [api.EXTENSION, "e", 15.0, EXTENSION, None]
    bench.say(api.LISTENER, "1", {"name": "l", "remote": [remote]})
    bench.said()
    bench.say(api.EXTENSION, "1", {"name": "e"}, {"name": "unwanted"})
    assert bench.applied()[-1] == ("TypedExtensionConfig", ["e"], [])


def test_an_extension_is_counted_for_its_filters(bench: Bench) -> None:
    _with_extension(bench)
    assert [bench.stat(EXTENSION + one) for one in ("config_reload", "config_fail")] == [1, 0]
    bench.said()
    bench.say(api.EXTENSION, "2", {"name": "e", "bad": "why"})
    assert bench.said()[0]["error"] == "extension configuration 'e': field: why"
    assert [bench.stat(EXTENSION + one) for one in ("config_reload", "config_fail")] == [1, 1]
    bench.say(api.EXTENSION, "3", {"name": "e"})
    assert bench.stat(EXTENSION + "config_reload") == 1
    assert bench.stat(EXTENSION + "config_conflict") == 0


def test_an_extension_that_is_taken_away_goes(delta: Bench) -> None:
    _with_extension(delta)
    delta.say(api.EXTENSION, "2", removed=["e", "never"])
    assert delta.applied() == [("TypedExtensionConfig", [], ["e"])]
    assert delta.store.bodies(api.EXTENSION) == {}


@pytest.mark.parametrize("kind", ["bench", "delta"])
def test_an_extension_does_not_outlive_its_time(kind: str, request: pytest.FixtureRequest) -> None:
    bench: Bench = request.getfixturevalue(kind)
    _with_extension(bench)
    bench.say(api.EXTENSION, "2", {"name": "e", "x": 1, "ttl": 1.0})
    bench.applied()
    bench.wait(2.0)
    assert bench.applied() == [("TypedExtensionConfig", [], ["e"])]


@pytest.mark.parametrize("kind", ["bench", "delta"])
def test_time_to_live(kind: str, request: pytest.FixtureRequest) -> None:
    bench: Bench = request.getfixturevalue(kind)
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.say(api.CLUSTER, "1", {"name": "a", "ttl": 5.0}, {"name": "b", "ttl": 5.0}, {"name": "c"})
    bench.wait(4.0)
    alive = [{"name": "a", "ttl": 5.0, "heartbeat": True}]
    alive += (
        [] if kind == "delta" else [{"name": "b", "ttl": 2.0, "heartbeat": True}, {"name": "c"}]
    )
    bench.say(api.CLUSTER, "1", *alive)
    bench.wait(2.5)
    assert set(bench.store.bodies(api.CLUSTER)) == {"a", "c"}
    bench.wait(9.0)
    assert set(bench.store.bodies(api.CLUSTER)) == {"c"}
    assert "its TTL is over" in fake.LOG[-1][2]


def test_what_serves_outlives_its_time(bench: Bench) -> None:
    bench.remote.subscribe(api.LISTENER, 15.0, None)
    bench.say(api.LISTENER, "1", {"name": "l", "remote": [route()]})
    bench.say(api.ROUTE, "1", {"name": "r", "ttl": 1.0})
    bench.wait(2.0)
    assert set(bench.store.bodies(api.ROUTE)) == {"r"}


def test_closing_gives_everything_up(bench: Bench) -> None:
    bench.remote.subscribe(api.CLUSTER, 15.0, None)
    bench.say(api.CLUSTER, "1", {"name": "a", "ttl": 5.0, "remote": [endpoints("a")]})
    bench.remote.close()
    assert bench.calls.cancelled == [1]
    bench.wait(100.0)
    assert len(bench.calls.opened) == 1
