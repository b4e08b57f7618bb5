"""Who has what, and who waits for it."""

from __future__ import annotations

import asyncio

from controlplane.xds.type_urls import CLUSTER as C
from controlplane.xds.type_urls import ENDPOINT as E
from controlplane.xds.type_urls import LISTENER as L
from tests.support.playing import played
from tests.unit.controlplane.xds.desk import Client, Desk, sidecar

LONG = 60.0


def states(desk: Desk) -> dict[str, tuple[str, str]]:
    return {one.type_url: (str(one.state), one.text) for one in desk.board.report()[0].types}


@played
async def test_states_of_a_type() -> None:
    desk = Desk()
    client = desk.client()
    assert states(desk)[L] == ("NOT SENT", "not subscribed to")
    await client.say(L)
    assert states(desk)[L] == ("NOT SENT", "not sent yet")
    response = client.get()
    assert states(desk)[L] == ("STALE", "sent, not answered yet")
    await client.ack(response)
    assert states(desk)[L] == ("SYNCED", "")
    await desk.put(L, "bad")
    assert states(desk)[L] == ("STALE", "not sent yet")
    await client.nack(client.get(), "bad: no")
    assert states(desk)[L] == ("ERROR", f"bad: no (changed since it was accepted: {L} bad)")
    (status,) = [one for one in desk.board.report()[0].types if one.type_url == L]
    assert [name for name, _ in status.refused] == ["bad"]
    assert (status.sent, status.acked) == (desk.world.revision, 1)
    await desk.put(L, "bad", body=b"\x22\x00")
    await client.take(L)
    assert states(desk)[L] == ("SYNCED", "")


async def two(desk: Desk) -> tuple[Client, Client]:
    await desk.put(E, "a", "b")
    one, other = desk.client(), desk.client(proxy=sidecar("other.default"))
    await one.say(E, subscribe=["a"])
    await one.take(E)
    await other.say(E, subscribe=["b"])
    await other.take(E)
    return one, other


@played
async def test_a_revision_is_waited_for_until_all_who_are_concerned_have_it() -> None:
    desk = Desk()
    one, _ = await two(desk)
    await desk.put(E, "a", body=b"\x12\x00")
    waiting = asyncio.create_task(desk.board.wait(desk.world.revision, LONG))
    await asyncio.sleep(0)
    assert not waiting.done()
    await one.take(E)
    verdicts = await waiting
    assert [(v.proxy.id, str(v.state)) for v in verdicts] == [
        ("app.default", "SYNCED"),
        ("other.default", "SYNCED"),
    ]


@played
async def test_a_revision_that_is_not_pushed_yet_is_waited_for() -> None:
    desk = Desk()
    await two(desk)
    desk.world.change([])
    (late, _) = await desk.board.wait(desk.world.revision, 0)
    assert (str(late.state), late.reason) == (
        "STALE",
        f"revision {desk.world.revision} is not worked out yet",
    )
    waiting = asyncio.create_task(desk.board.wait(desk.world.revision, LONG))
    await asyncio.sleep(0)
    await desk.publisher.round()
    assert {str(one.state) for one in await waiting} == {"SYNCED"}


@played
async def test_a_later_change_does_not_hide_that_an_earlier_one_arrived() -> None:
    desk = Desk()
    one, _ = await two(desk)
    await desk.put(E, "a", body=b"\x12\x00")
    earlier = desk.world.revision
    response = one.get()
    await desk.put(E, "a", body=b"\x1a\x00")
    assert str((await desk.board.wait(earlier, 0))[0].state) == "STALE"
    await one.ack(response)
    assert str((await desk.board.wait(earlier, 0))[0].state) == "SYNCED"
    assert str((await desk.board.wait(desk.world.revision, 0))[0].state) == "STALE"


@played
async def test_a_refusal_ends_the_wait_and_is_told() -> None:
    desk = Desk()
    client = desk.client()
    await client.say(L)
    await client.take(L)
    await desk.put(L, "bad")
    waiting = asyncio.create_task(desk.board.wait(desk.world.revision, LONG))
    await asyncio.sleep(0)
    await client.nack(client.get(), "bad: no address")
    (verdict,) = await waiting
    said = f"bad: no address (changed since it was accepted: {L} bad)"
    assert (str(verdict.state), verdict.reason) == ("ERROR", f"LDS: {said}")
    # What comes after it and does not concern it is another matter.
    await desk.put(C, "c")
    (verdict,) = await desk.board.wait(desk.world.revision, 0)
    assert str(verdict.state) == "SYNCED"


@played
async def test_a_proxy_that_goes_is_not_waited_for() -> None:
    desk = Desk()
    one, _ = await two(desk)
    await desk.put(E, "a", body=b"\x12\x00")
    waiting = asyncio.create_task(desk.board.wait(desk.world.revision, LONG))
    await asyncio.sleep(0)
    desk.board.gone(one.stream)
    assert [str(v.state) for v in await waiting] == ["SYNCED"]


@played
async def test_the_wait_ends_in_time_and_names_who_is_late() -> None:
    desk = Desk()
    one, other = await two(desk)
    await desk.put(E, "a", "b", body=b"\x12\x00")
    await other.take(E)
    one.get()
    late, done = await desk.board.wait(desk.world.revision, 0.0)
    assert (str(late.state), late.reason) == ("STALE", "EDS: sent, not answered yet")
    assert str(done.state) == "SYNCED"


@played
async def test_figures_have_istiods_names() -> None:
    desk = Desk()
    client = desk.client()
    await client.say(L)
    await client.nack(client.get(), "no")
    text = desk.board.metrics.text().decode()
    for line in (
        'pilot_xds{version="test"} 1.0',
        'pilot_xds_pushes{type="lds"} 1.0',
        'pilot_total_xds_rejects{type="lds"} 1.0',
        'pilot_xds_config_size_bytes_count{type="lds"} 1.0',
        "pilot_proxy_queue_time_count",
        "pilot_proxy_convergence_time_count",
        "pilot_debounce_time_count",
    ):
        assert line in text


@played
async def test_who_has_all_and_asks_for_more_is_waited_for_again() -> None:
    """As a sidecar does that has taken a listener, and asks for what the listener names."""
    desk = Desk()
    one, other = await two(desk)
    await desk.put(E, "a", "b", body=b"\x12\x00")
    revision = desk.world.revision
    waiting = asyncio.create_task(desk.board.wait(revision, LONG))
    await asyncio.sleep(0)
    await one.take(E)
    await one.say(E, subscribe=["b"])
    response = one.get()
    await other.take(E)
    await asyncio.sleep(0)
    assert not waiting.done()
    await one.ack(response)
    assert {str(verdict.state) for verdict in await waiting} == {"SYNCED"}
