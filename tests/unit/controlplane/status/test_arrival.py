"""controlplane.status.arrival: an object is waited for in the sources, then at every sidecar."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from controlplane.problem import Origin, Problem, Refused
from controlplane.resources.resource import Key, Resource
from controlplane.status.arrival import Arrival, Arrivals, Outcome
from controlplane.status.ledger import ABSENT, Ledger
from controlplane.xds.status import State
from controlplane.xds.type_urls import ENDPOINT as E
from controlplane.xds.type_urls import LISTENER as L
from tests.support.playing import played
from tests.unit.controlplane.xds.desk import Client, Desk, sidecar

LONG = 60.0
KEY = Key("Route", "default", "one")


class Place:
    """A world with a ledger, and one client."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.ledger = Ledger()
        self.refused: list[Refused] = []
        self.arrivals = Arrivals(
            self.ledger, lambda: self.refused, self.desk.board.wait, self.desk.board.told,
            settle=0.0,
        )  # fmt: skip

    async def put(self, version: str, body: bytes) -> None:
        """The object has come, and made a listener of these bytes."""
        await self.desk.put(L, "one", body=body)
        self.ledger.note([Resource(KEY, None, version=version)], [], self.desk.world.revision)

    async def client(self) -> Client:
        await self.desk.put(L, "one")
        client = self.desk.client()
        await client.say(L)
        await client.take(L)
        return client

    async def of(self, version: str, timeout: float = LONG) -> Arrival:
        return await self.arrivals.of(KEY, version, timeout)


async def begun(work: Coroutine[None, None, Arrival]) -> asyncio.Task[Arrival]:
    task = asyncio.create_task(work)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


@played
async def test_it_comes_to_the_sources_and_then_to_the_sidecar() -> None:
    place = Place()
    client = await place.client()
    # One whom it does not concern.
    await place.desk.put(E, "b")
    other = place.desk.client(proxy=sidecar("other.default"))
    await other.say(E, subscribe=["b"])
    await other.take(E)
    waiting = await begun(place.of("v"))
    await place.put("v", b"\x22\x00")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    await client.take(L)
    found = await waiting
    assert (found.outcome, found.text, found.verdicts) == (Outcome.SYNCED, "", ())
    assert (found.proxies, found.told) == (2, 1)
    assert found.revision == place.desk.world.revision


@played
async def test_who_refuses_it_is_named_with_the_reason() -> None:
    place = Place()
    client = await place.client()
    await place.put("v", b"\x22\x00")
    waiting = await begun(place.of("v"))
    await client.nack(client.get(), "one: no such thing")
    found = await waiting
    assert found.outcome is Outcome.ERROR
    (verdict,) = found.verdicts
    assert verdict.proxy.id == "app.default"
    assert verdict.reason == f"LDS: one: no such thing (changed since it was accepted: {L} one)"
    # And again, for somebody who asks later.
    assert (await place.of("v")).outcome is Outcome.ERROR


@played
async def test_who_is_late_is_named() -> None:
    place = Place()
    client = await place.client()
    await place.put("v", b"\x22\x00")
    client.get()
    found = await place.of("v", 0.0)
    assert found.outcome is Outcome.STALE
    (verdict,) = found.verdicts
    assert (verdict.state, verdict.reason) == (State.STALE, "LDS: sent, not answered yet")


@played
async def test_what_is_gone_is_waited_for_as_well() -> None:
    place = Place()
    client = await place.client()
    await place.put("v", b"\x22\x00")
    await client.take(L)
    found = await place.of(ABSENT, 0.0)
    assert (found.outcome, found.text) == (Outcome.ABSENT, "is still in the sources")
    waiting = await begun(place.of(ABSENT))
    await place.desk.drop(L, "one")
    place.ledger.note([], [KEY], place.desk.world.revision)
    await asyncio.sleep(0)
    await client.take(L)
    assert (await waiting).outcome is Outcome.SYNCED


@played
async def test_going_back_to_a_version_waits_for_it_again() -> None:
    place = Place()
    client = await place.client()
    for version, body in (("v", b"\x22\x00"), ("w", b"\x22\x01a")):
        await place.put(version, body)
        await client.take(L)
    since = place.arrivals.latest
    waiting = await begun(place.arrivals.of(KEY, "v", LONG, since))
    await place.put("v", b"\x22\x00")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    await client.take(L)
    found = await waiting
    assert (found.outcome, found.text) == (Outcome.SYNCED, "")
    assert found.revision > since


@played
async def test_what_never_was_is_gone() -> None:
    assert (await Place().of(ABSENT)).outcome is Outcome.SYNCED


@played
async def test_what_the_control_plane_refuses_is_said_with_its_place() -> None:
    place = Place()
    problem = Problem("spec", "is odd", line=7)
    place.refused = [
        Refused("Route", "default", "one", [problem], Origin("a.yaml", 5)),
        Refused("Route", "default", "two", [problem], Origin("b.yaml", 5)),
    ]
    found = await place.of("v")
    assert found.outcome is Outcome.REFUSED
    assert found.text == "a.yaml:7: Route default/one: spec: is odd"


@played
async def test_what_does_not_come_is_said() -> None:
    place = Place()
    found = await place.of("v", 0.0)
    assert (found.outcome, found.text) == (Outcome.ABSENT, "is not in the sources")
    await place.put("w", b"")
    found = await place.of("v", 0.0)
    assert found.text == "is of version w in the sources, not of v"


@played
async def test_what_has_been_replaced_since_is_said() -> None:
    place = Place()
    await place.put("v", b"")
    await place.put("w", b"\x22\x00")
    found = await place.of("v")
    assert (found.outcome, found.text) == (Outcome.SYNCED, "in the meantime it is of version w")
