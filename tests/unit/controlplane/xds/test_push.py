"""Rounds: who is told, of what, and when."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controlplane.xds import push
from controlplane.xds.identity import Identity
from controlplane.xds.options import Debounce, Limits
from controlplane.xds.push import Publisher
from controlplane.xds.request import BadRequest
from controlplane.xds.type_urls import CLUSTER as C
from controlplane.xds.type_urls import ENDPOINT as E
from controlplane.xds.type_urls import ROUTE as R
from tests.support.playing import played
from tests.support.xds_world import FakeTranslator, resource
from tests.unit.controlplane.xds.desk import EPOCH, Client, Desk, bodies, names, sidecar

BAD = ValueError("no such port")


@played
async def test_only_those_are_woken_who_follow_what_changed() -> None:
    desk = Desk()
    await desk.put(E, "a", "b")
    one, other = desk.client(), desk.client(proxy=sidecar("other.default"))
    await one.say(E, subscribe=["a"])
    await one.take(E)
    await other.say(E, subscribe=["b"])
    await other.take(E)
    before = other.woken
    await desk.put(E, "a", body=b"\x12\x00")
    assert names(await one.take(E)) == ["a"]
    assert other.woken == before
    assert other.stream.clean


@played
async def test_a_response_that_many_get_is_joined_once() -> None:
    desk = Desk()
    await desk.put(E, "a")
    clients = [desk.client(proxy=sidecar(f"{number}.default")) for number in range(3)]
    bodies_sent = set()
    for client in clients:
        await client.say(E, subscribe=["a"])
        await client.take(E)
    await desk.put(E, "a", body=b"\x12\x00")
    for client in clients:
        found = client.stream.subscriptions[E]
        assert client.stream.next() is not None
        assert found.flight is not None
        batch = found.flight.batch
        joined = desk.publisher.responses.delta(
            E, desk.publisher.version, batch.resources, batch.removed
        )
        bodies_sent.add(id(joined))
    assert len(bodies_sent) == 1


@played
async def test_a_query_that_raises_leaves_what_was_good_and_is_reported() -> None:
    desk = Desk()
    await desk.put(R, "80", "81")
    client = desk.client()
    await client.say(R, subscribe=["80", "81"])
    await client.take(R)
    await desk.put_all(resource(R, "80", BAD), resource(R, "81", b"\x22\x00"))
    assert names(await client.take(R)) == ["81"]
    assert client.get() is None
    (status,) = [one for one in desk.board.report()[0].types if one.type_url == R]
    assert status.state == "ERROR"
    assert status.text == "80: ValueError: no such port"
    (verdict,) = await desk.board.wait(desk.world.revision, 0)
    assert (verdict.state, verdict.reason) == ("ERROR", "RDS: 80: ValueError: no such port")
    await desk.put(R, "80", body=b"\x22\x00")
    assert names(await client.take(R)) == ["80"]
    assert desk.board.report()[0].types[3].state == "SYNCED"


@played
async def test_what_was_never_worked_out_is_not_said_to_be_gone() -> None:
    desk = Desk()
    await desk.put(C, "a", body=BAD)
    for delta in (True, False):
        client = desk.client(delta=delta)
        await client.say(C)
        assert client.get() is None
    assert all(one.types[0].state == "ERROR" for one in desk.board.report())
    await desk.put(C, "a")
    assert names(await desk_client(desk).take(C)) == ["a"]


def desk_client(desk: Desk) -> Client:
    """The delta client of the desk, found again by its stream."""
    (stream,) = [one for one in desk.board.streams if one.delta]
    client = desk.client()
    client.stream = stream
    return client


@played
async def test_what_is_told_is_of_one_revision_though_the_world_moves_on() -> None:
    desk = Desk()
    await desk.put(C, "a")
    await desk.put(R, "80")
    client = desk.client(delta=False)
    await client.say(C)
    await client.take(C)
    await client.say(R, names=["80"])
    await client.take(R, names=["80"])
    desk.world.change([resource(C, "a", b"\x22\x01\x31"), resource(R, "80", b"\x22\x01\x31")])

    async def move_on() -> None:
        desk.world.change([resource(C, "a", b"\x22\x01\x32"), resource(R, "80", b"\x22\x01\x32")])

    mover = asyncio.create_task(move_on())
    slice_before, push.SLICE = push.SLICE, -1.0
    try:
        await desk.publisher.round()
    finally:
        push.SLICE = slice_before
    await mover
    assert desk.publisher.revision == desk.world.revision
    assert bodies(await client.take(C)) == [b"\x22\x01\x32"]
    assert bodies(await client.take(R, names=["80"])) == [b"\x22\x01\x32"]


@played
async def test_nobody_sends_while_news_are_handed_out() -> None:
    desk = Desk()
    await desk.put(E, "a", "b")
    client = desk.client()
    await client.say(E, subscribe=["a"])
    desk.publisher.committing = True
    assert client.get() is None
    desk.publisher.committing = False
    before = client.woken
    await desk.publisher.round()
    assert client.woken > before
    assert names(await client.take(E)) == ["a"]


@played
async def test_changes_are_gathered_until_it_is_quiet() -> None:
    desk = Desk()
    clock = Clock()
    publisher = _paced(desk, clock, Debounce(quiet=0.1, cap=10.0))
    publisher.changed()
    clock.time += 0.09
    publisher.changed()
    assert publisher.due() == clock.time + 0.1


@played
async def test_changes_that_never_cease_leave_at_the_cap() -> None:
    desk = Desk()
    clock = Clock()
    publisher = _paced(desk, clock, Debounce(quiet=0.1, cap=10.0))
    publisher.changed()
    first = clock.time
    for _ in range(120):
        clock.time += 0.09
        publisher.changed()
    assert publisher.due() == first + 10.0


@played
async def test_a_newcomer_does_not_wait_for_quiet() -> None:
    desk = Desk()
    clock = Clock()
    publisher = _paced(desk, clock, Debounce(quiet=0.1, cap=10.0))
    desk.publisher = publisher
    await publisher.round()
    desk.world.change([resource(E, "a", b"")])
    round_at = clock.time
    clock.time += 0.05
    publisher.changed()
    assert publisher.due() == clock.time + 0.1
    client = desk.client()
    publisher.join(_Subscriber(client), "a")  # type: ignore[arg-type]
    assert publisher.due() == round_at + 0.1


@played
async def test_run_pushes_what_has_changed() -> None:
    desk = Desk()
    await desk.put(E, "a")
    desk.options = replace(desk.options, debounce=Debounce(quiet=0.0, cap=0.0))
    publisher = desk.publisher = Publisher(
        desk.world, FakeTranslator(), desk.options, desk.board, EPOCH
    )
    client = desk.client()
    await client.say(E, subscribe=["a"])
    await client.take(E)
    running = asyncio.create_task(publisher.run())
    desk.world.change([resource(E, "a", b"\x12\x00")])
    publisher.changed()
    while publisher.revision != desk.world.revision:
        await asyncio.sleep(0)
    assert names(await client.take(E)) == ["a"]
    running.cancel()
    text = desk.board.metrics.text().decode()
    assert "pilot_debounce_time_count 1.0" in text
    assert "pilot_proxy_convergence_time_count 1.0" in text


@played
async def test_answers_that_nobody_follows_are_forgotten() -> None:
    desk = Desk()
    await desk.put(E, "a")
    client = desk.client()
    await client.say(E, subscribe=["a"])
    held = len(desk.world.graph)
    client.stream.close()
    for _ in range(2 * push.COLLECT_EVERY + 2):
        await desk.put(C, "c")
    assert len(desk.world.graph) < held


@played
async def test_names_that_come_and_go_while_the_world_rests_are_forgotten() -> None:
    """Whoever belongs to the mesh may ask for any names, again and again."""
    desk = Desk()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(push, "_LEFT", 50)
        client = desk.client()
        await client.say(E, subscribe=["kept"])
        held = len(desk.world.graph)
        for turn in range(20):
            more = [f"{turn}-{number}" for number in range(20)]
            await client.say(E, subscribe=more)
            await client.say(E, unsubscribe=more)
        assert len(desk.world.graph) <= held + 2 * 3 * 50
        assert desk.publisher.topics == 1


@played
async def test_names_that_nobody_else_follows_are_bounded_for_an_identity() -> None:
    desk = Desk(limits=replace(Limits(), topics_per_identity=3))
    mine, another = Identity("d", "default", "app"), Identity("d", "default", "other")
    first, second = desk.client(identity=mine), desk.client(identity=mine)
    others = desk.client(identity=another)
    await first.say(E, subscribe=["a", "b"])
    # What is followed already costs nothing, whoever follows it.
    await second.say(E, subscribe=["a", "b", "c"])
    await others.say(E, subscribe=["a", "b", "c", "d"])
    with pytest.raises(BadRequest, match=r"sa/app was the first to ask for 3 names"):
        await second.say(E, subscribe=["e"])
    first.stream.close()
    second.stream.close()
    # The other one follows them still.
    with pytest.raises(BadRequest, match="which is the limit of one identity"):
        await desk.client(identity=mine).say(E, subscribe=["e"])
    others.stream.close()
    await desk.client(identity=mine).say(E, subscribe=["e", "f", "g"])


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class _Subscriber:
    """As much of a subscription as `join` looks at."""

    def __init__(self, client: Client) -> None:
        self.stream = client.stream
        self.type_url = E


def _paced(desk: Desk, clock: Clock, debounce: Debounce) -> Publisher:
    options = replace(desk.options, debounce=debounce)
    publisher = Publisher(desk.world, FakeTranslator(), options, desk.board, EPOCH)
    publisher.now = clock
    return publisher
