"""controlplane.sources.history: changes for those who watch, bounded."""

from __future__ import annotations

import asyncio

import pytest

from controlplane.resources.resource import Key
from controlplane.sources.history import History
from controlplane.sources.source import Change, Gone


def key(number: int) -> Key:
    return Key("Route", "default", str(number))


async def take(history: History, version: str, count: int) -> list[Change]:
    found: list[Change] = []
    async for change in history.after(version):
        found.append(change)
        if len(found) == count:
            return found
    raise AssertionError


def add(history: History, number: int, many: int = 1) -> None:
    history.add((), tuple(key(number) for _ in range(many)), ())


def test_what_happened_before_and_what_happens_later() -> None:
    async def run() -> None:
        history = History()
        start = history.version
        add(history, 1)
        watching = asyncio.create_task(take(history, start, 3))
        await asyncio.sleep(0)
        add(history, 2)
        add(history, 3)
        changes = await watching
        assert [one.removed for one in changes] == [(key(1),), (key(2),), (key(3),)]
        assert changes[-1].version == history.version
        again = await take(history, changes[0].version, 2)
        assert again == changes[1:]

    asyncio.run(run())


@pytest.mark.parametrize("bound", [{"most_changes": 3}, {"most_resources": 3}])
def test_who_falls_behind_is_told(bound: dict[str, int]) -> None:
    async def run() -> None:
        history = History(**bound)
        start = history.version
        for number in range(3):
            add(history, number)
        assert len(await take(history, start, 3)) == 3
        slow = history.after(start)
        await anext(slow)
        for number in range(3):
            add(history, number)
        with pytest.raises(Gone):
            await anext(slow)
        with pytest.raises(Gone):
            await take(history, start, 1)

    asyncio.run(run())


def test_one_change_is_kept_however_large() -> None:
    async def run() -> None:
        history = History(most_resources=3)
        add(history, 0)
        start = history.version
        add(history, 1, many=10)
        assert len((await take(history, start, 1))[0].removed) == 10

    asyncio.run(run())


@pytest.mark.parametrize("version", ["", "x", "x.0", "{life}.5", "{life}.-1", "{life}.\u0660"])
def test_versions_that_are_not_ours(version: str) -> None:
    async def run() -> None:
        history = History()
        life = history.version.partition(".")[0]
        with pytest.raises(Gone):
            await take(history, version.format(life=life), 1)

    asyncio.run(run())


def test_a_failure_reaches_who_watches() -> None:
    async def run() -> None:
        history = History()
        watching = asyncio.create_task(take(history, history.version, 2))
        await asyncio.sleep(0)
        add(history, 1)
        history.fail(RuntimeError("disk"))
        with pytest.raises(RuntimeError, match="disk"):
            await watching

    asyncio.run(run())
