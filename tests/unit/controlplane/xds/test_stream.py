"""What leaves before what: make before break, on one stream."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2

from controlplane.resources.resource import Key, Resource
from controlplane.world.proxy import Proxy
from controlplane.xds import type_urls
from controlplane.xds.metrics import Metrics
from controlplane.xds.options import Limits
from controlplane.xds.request import BadRequest
from controlplane.xds.status import Board
from controlplane.xds.type_urls import CLUSTER as C
from controlplane.xds.type_urls import ENDPOINT as E
from controlplane.xds.type_urls import LISTENER as L
from controlplane.xds.type_urls import ROUTE as R
from controlplane.xds.type_urls import SECRET as S
from tests.support.playing import played
from tests.support.xds_world import resource
from tests.unit.controlplane.xds.desk import Client, Desk, bodies, names


def cluster(name: str, note: str = "") -> Resource[Any]:
    """A cluster whose endpoints come by EDS."""
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS, alt_stat_name=note)
    return resource(C, name, message.SerializeToString())


async def settled(desk: Desk, *, delta: bool = True) -> Client:
    """A client that has one of each."""
    await desk.put_all(
        cluster("a"), resource(E, "a", b""), resource(L, "0.0.0.0_80", b""), resource(R, "80", b"")
    )
    client = desk.client(delta=delta)
    wanted: Sequence[tuple[str, list[str]]] = ((C, []), (E, ["a"]), (L, []), (R, ["80"]))
    for url, sought in wanted:
        key = "subscribe" if delta else "names"
        await client.say(url, **({key: sought} if sought else {}))
        await client.take(url, **({"names": sought} if sought and not delta else {}))
    assert client.get() is None
    assert client.stream.clean
    return client


@played
async def test_types_leave_in_order() -> None:
    desk = Desk()
    client = await settled(desk)
    await client.say(S, subscribe=["default"])
    await client.take(S)
    changed = [resource(url, name, b"\x22\x00") for url, name in (
        (S, "default"), (R, "80"), (L, "0.0.0.0_80"), (E, "a"), (C, "static"))]  # fmt: skip
    await desk.put_all(*changed)
    order = [client.get(), client.get()]
    assert [one.type_url for one in order] == [C, E]
    # Secrets wait for nobody; listeners and routes until clusters are answered for.
    secret = client.get()
    assert secret.type_url == S
    assert client.get() is None
    await client.ack(order[0])
    assert client.get().type_url == L
    assert client.get().type_url == R


@played
async def test_routes_wait_for_the_endpoints_of_a_new_cluster() -> None:
    desk = Desk()
    client = await settled(desk)
    await desk.put_all(cluster("b"), resource(E, "b", b""), resource(R, "80", b"\x22\x00"))
    await client.take(C)
    assert client.get() is None
    await client.say(E, subscribe=["b"])
    endpoints = client.get()
    assert endpoints.type_url == E
    assert client.get() is None
    await client.ack(endpoints)
    assert (await client.take(R)).type_url == R


@played
async def test_routes_do_not_wait_for_endpoints_that_are_not_there() -> None:
    desk = Desk()
    client = await settled(desk, delta=False)
    await desk.put_all(cluster("b"), resource(R, "80", b"\x22\x00"))
    await client.take(C)
    await client.say(E, names=["a", "b"], nonce=client.stream.subscriptions[E].nonce)
    assert (await client.take(R, names=["80"])).type_url == R


@played
async def test_routes_wait_for_endpoints_that_nobody_asks_for_only_so_long() -> None:
    desk = Desk(Limits(patience_seconds=0.0))
    client = await settled(desk)
    await desk.put_all(cluster("b"), resource(R, "80", b"\x22\x00"))
    await client.take(C)
    before = client.woken
    while client.woken == before:
        await asyncio.sleep(0)
    assert (await client.take(R)).type_url == R


@played
async def test_a_cluster_that_changes_is_given_its_endpoints_again() -> None:
    for delta in (True, False):
        desk = Desk()
        client = await settled(desk, delta=delta)
        await desk.put_all(cluster("a", "changed"))
        assert client.get().type_url == C
        endpoints = client.get()
        assert endpoints.type_url == E
        assert names(endpoints) == ["a"] if delta else bodies(endpoints) == [b""]


@played
async def test_a_cluster_is_removed_after_the_routes_to_it() -> None:
    desk = Desk()
    client = await settled(desk)
    desk.world.change([resource(R, "80", b"\x22\x00")], [Key(C, "", "a"), Key(E, "", "a")])
    await desk.publisher.round()
    route = client.get()
    assert route.type_url == R
    assert client.get() is None
    await client.ack(route)
    clusters = client.get()
    assert list(clusters.removed_resources) == ["a"]
    # Then, and only then, its endpoints.
    assert client.get() is None
    await client.ack(clusters)
    assert list((await client.take(E)).removed_resources) == ["a"]
    assert client.stream.clean


@played
async def test_a_cluster_is_not_absent_before_the_routes_to_it() -> None:
    desk = Desk()
    client = await settled(desk, delta=False)
    desk.world.change([cluster("b"), resource(R, "80", b"\x22\x00")], [Key(C, "", "a")])
    await desk.publisher.round()
    both = client.get()
    assert {cluster_pb2.Cluster.FromString(one).name for one in bodies(both)} == {"a", "b"}
    await client.ack(both)
    await client.say(E, names=["a", "b"], nonce=client.stream.subscriptions[E].nonce)
    route = await client.take(R, names=["80"])
    assert route.type_url == R
    alone = await client.take(C)
    assert [cluster_pb2.Cluster.FromString(one).name for one in bodies(alone)] == ["b"]
    assert client.stream.clean


@played
async def test_a_cluster_stays_while_the_route_that_leaves_it_is_refused() -> None:
    desk = Desk()
    client = await settled(desk)
    desk.world.change([resource(R, "80", b"\x22\x00")], [Key(C, "", "a")])
    await desk.publisher.round()
    await client.nack(client.get(), "80: bad")
    assert client.get() is None
    await desk.put(R, "80", body=b"\x2a\x00")
    await client.take(R)
    assert list((await client.take(C)).removed_resources) == ["a"]


@played
async def test_a_route_is_removed_after_the_listener_that_names_it() -> None:
    desk = Desk()
    client = await settled(desk)
    desk.world.change([], [Key(L, "", "0.0.0.0_80"), Key(R, "", "80")])
    await desk.publisher.round()
    listeners = client.get()
    assert list(listeners.removed_resources) == ["0.0.0.0_80"]
    assert client.get() is None
    await client.ack(listeners)
    assert list((await client.take(R)).removed_resources) == ["80"]


@played
async def test_what_is_removed_and_comes_back_while_it_waits_stays() -> None:
    desk = Desk()
    client = await settled(desk)
    desk.world.change([resource(R, "80", b"\x22\x00")], [Key(C, "", "a")])
    await desk.publisher.round()
    route = client.get()
    await desk.put_all(cluster("a"))
    await client.ack(route)
    assert client.get() is None
    assert client.stream.clean


@played
async def test_a_client_that_comes_back_keeps_what_is_gone_until_it_has_asked_for_all() -> None:
    desk = Desk(Limits(patience_seconds=5.0))
    clock = [1000.0]
    desk.publisher.now = lambda: clock[0]
    await desk.put_all(cluster("b"), resource(R, "80", b""))
    client = desk.client()
    await client.say(C, held={"a": "1"})
    response = await client.take(C)
    assert names(response) == ["b"]
    assert not response.removed_resources
    await client.say(E, subscribe=["a", "b"], held={"a": "1"})
    assert list((await client.take(E)).removed_resources) == ["b"]
    await client.say(R, subscribe=["80"], held={"80": "1"})
    assert names(await client.take(R)) == ["80"]
    assert client.get() is None
    clock[0] += 5.0
    assert list((await client.take(C)).removed_resources) == ["a"]
    assert list((await client.take(E)).removed_resources) == ["a"]
    assert client.stream.clean


@played
async def test_a_service_of_one_type_serves_that_type() -> None:
    desk = Desk()
    await desk.put(C, "a")
    client = desk.client(only=C)
    await client.say(C)
    assert names(await client.take(C)) == ["a"]
    with pytest.raises(BadRequest, match=r"serves .*Cluster only"):
        await client.say(L)


@played
async def test_types_on_one_stream_are_bounded() -> None:
    desk = Desk(replace(Limits(), types=2))
    client = desk.client()
    await client.say("type.googleapis.com/a", subscribe=["x"])
    await client.say("type.googleapis.com/b", subscribe=["x"])
    with pytest.raises(BadRequest, match="more than 2 types"):
        await client.say("type.googleapis.com/c", subscribe=["x"])


@played
async def test_names_on_one_stream_are_bounded() -> None:
    desk = Desk(replace(Limits(), names=3))
    client = desk.client()
    await client.say(E, subscribe=["a", "b"])
    with pytest.raises(BadRequest, match="4 names on one stream, more than 3"):
        await client.say(R, subscribe=["a", "b"])


@played
async def test_clusters_that_never_rest_do_not_keep_routes_for_ever() -> None:
    desk = Desk(replace(Limits(), patience_seconds=5.0))
    client = await settled(desk)
    clock = [1000.0]
    client.stream.now = lambda: clock[0]
    await desk.put_all(resource(C, "s", b"\x22\x011"), resource(R, "80", b"\x22\x00"))
    for number in range(2, 6):
        clusters = client.get()
        assert clusters.type_url == C
        assert client.get() is None
        await desk.put_all(resource(C, "s", b"\x22\x01%d" % number))
        clock[0] += 2.0
        await client.ack(clusters)
        if clock[0] > 1005.0:
            break
    assert client.get().type_url == C
    assert client.get().type_url == R


@played
async def test_a_stream_that_ends_is_followed_by_nobody() -> None:
    desk = Desk()
    client = await settled(desk)
    assert desk.publisher.topics == 4
    client.stream.close()
    assert desk.publisher.topics == 0
    desk.world.change([resource(R, "80", b"\x22\x00")])
    assert desk.world.graph.touched() == set()


def test_the_order_of_types_is_istios() -> None:
    order = [type_urls.short(one) for one in type_urls.ORDER]
    assert order == ["cds", "eds", "lds", "rds", "sds", "ecds"]


class Heard:
    """A presence that keeps what it hears of health."""

    def __init__(self) -> None:
        self.health_of: list[tuple[str, str | None]] = []

    def came(self, proxy: Proxy) -> None:
        pass

    def left(self, proxy: Proxy) -> None:
        pass

    def health(self, proxy: Proxy, reason: str | None) -> None:
        self.health_of.append((proxy.id, reason))


@pytest.mark.parametrize("delta", [True, False])
def test_health_is_no_subscription(delta: bool) -> None:
    """Istio's agents say it between the requests of their Envoys, and wait for no answer."""

    async def test() -> None:
        desk, heard = Desk(), Heard()
        desk.board = desk.publisher.board = Board(Metrics("test"), monotonic, heard)
        client = desk.client(delta=delta)
        await client.say(type_urls.HEALTH)
        await client.say(type_urls.HEALTH, error="status code was 500")
        assert client.get() is None
        assert client.stream.clean
        assert client.stream.subscriptions == {}
        name = client.stream.proxy.id
        assert heard.health_of == [(name, None), (name, "status code was 500")]

    asyncio.run(test())


@played
async def test_names_that_are_left_are_bounded_while_the_client_answers_nothing() -> None:
    """Under a wildcard each is told whether it is still there: that is kept until then."""
    desk = Desk(limits=replace(Limits(), names=10))
    await desk.put(C, "a")
    client = desk.client()
    await client.say(C)
    assert client.get() is not None
    for turn in range(2):
        await client.say(C, unsubscribe=[f"{turn}-{number}" for number in range(5)])
    with pytest.raises(BadRequest, match="11 names on one stream"):
        await client.say(C, unsubscribe=["one more"])
