"""Who comes in, and in which order."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controlplane.xds.admission import Admission, Full
from controlplane.xds.options import Limits
from tests.support.playing import played

LIMITS = replace(Limits(), streams=2, streams_per_identity=1, building=1, building_seconds=60.0)


def test_streams_are_limited_in_all() -> None:
    admission = Admission(LIMITS)
    admission.enter()
    admission.enter()
    with pytest.raises(Full, match="serves 2 streams and has as many") as caught:
        admission.enter()
    assert caught.value.reason == "total"
    admission.leave()
    admission.enter()
    assert admission.streams == 2


def test_streams_are_limited_by_identity() -> None:
    admission = Admission(LIMITS)
    admission.identify("a")
    admission.identify("b")
    with pytest.raises(Full, match="a has 1 streams") as caught:
        admission.identify("a")
    assert caught.value.reason == "identity"
    admission.forget("a")
    admission.identify("a")


@played
async def test_places_are_given_in_the_order_of_coming() -> None:
    admission = Admission(LIMITS)
    order: list[int] = []

    async def come(number: int) -> None:
        place = await admission.place()
        order.append(number)
        await asyncio.sleep(0)
        place.release()
        place.release()

    first = await admission.place()
    others = [asyncio.create_task(come(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert admission.waiting == 4
    assert order == []
    first.release()
    await asyncio.gather(*others)
    assert order == [0, 1, 2, 3]
    # All places are there again: nobody waits.
    (await admission.place()).release()


@played
async def test_who_goes_while_waiting_gives_the_turn_on() -> None:
    admission = Admission(LIMITS)
    first = await admission.place()
    gone = asyncio.create_task(admission.place())
    late = asyncio.create_task(admission.place())
    next_one = asyncio.create_task(admission.place())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    assert admission.waiting == 2
    # This one goes in the moment in which its turn comes.
    first.release()
    late.cancel()
    (await next_one).release()
    assert late.cancelled()
    (await admission.place()).release()


@played
async def test_a_place_is_not_held_for_ever() -> None:
    admission = Admission(replace(LIMITS, building_seconds=0.0))
    await admission.place()
    (await admission.place()).release()
