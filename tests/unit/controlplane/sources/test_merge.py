"""controlplane.sources.merge: several sources as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.problem import Origin, Problem, Refused
from controlplane.resources.resource import Key, Resource
from controlplane.sources.history import History
from controlplane.sources.merge import Merged
from controlplane.sources.source import Change, Listing


class Fake:
    """A source that holds what it is told."""

    def __init__(self, name: str, most_changes: int = 100) -> None:
        self.name = name
        self.held: dict[Key, Resource[int]] = {}
        self.refused: tuple[Refused, ...] = ()
        self.history = History(most_changes)

    async def list(self) -> Listing:
        return Listing(tuple(self.held.values()), self.refused, self.history.version)

    def watch(self, version: str) -> AsyncIterator[Change]:
        return self.history.after(version)

    def put(self, name: str, spec: int) -> None:
        key = Key("Route", "x", name)
        self.held[key] = Resource(key, spec, origin=Origin(self.name, spec))
        self.history.add((self.held[key],), (), self.refused)

    def drop(self, name: str) -> None:
        key = Key("Route", "x", name)
        if self.held.pop(key, None) is not None:
            self.history.add((), (key,), self.refused)


def specs(listing: Listing) -> dict[str, int]:
    return {one.name: one.spec for one in listing.resources}


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_the_earlier_source_wins_with_both_origins_named() -> None:
    async def run() -> None:
        first, second = Fake("first"), Fake("second")
        second.put("a", 2)
        second.put("b", 2)
        async with Merged([first, second]) as merged:
            assert merged.name == "first, second"
            listing = await merged.list()
            assert specs(listing) == {"a": 2, "b": 2}
            watch = merged.watch(listing.version)
            first.put("a", 1)
            change = await anext(watch)
            assert [(one.name, one.spec) for one in change.updated] == [("a", 1)]
            assert [str(one) for one in change.refused] == [
                "second:2: Route x/a: is there twice; the one of first:1 counts, remove one of them"
            ]
            first.drop("a")
            change = await anext(watch)
            assert [(one.name, one.spec) for one in change.updated] == [("a", 2)]
            assert (change.removed, change.refused) == ((), ())
            second.drop("b")
            assert (await anext(watch)).removed == (Key("Route", "x", "b"),)

    asyncio.run(run())


def test_what_sources_refuse_is_refused() -> None:
    async def run() -> None:
        first = Fake("first")
        first.refused = (Refused("Route", "x", "a", [Problem("", "no")]),)
        async with Merged([first]) as merged:
            assert (await merged.list()).refused == first.refused

    asyncio.run(run())


def test_a_source_that_is_too_far_ahead_is_listed_again() -> None:
    async def run() -> None:
        source = Fake("only", most_changes=1)
        async with Merged([source]) as merged:
            version = (await merged.list()).version
            await settle()
            for number in range(5):
                source.put("a", number)
                source.put("b", number)
            source.drop("b")
            source.put("c", 1)
            await settle()
            listing = await merged.list()
            assert specs(listing) == {"a": 4, "c": 1}
            assert await anext(merged.watch(version))

    asyncio.run(run())


def test_a_source_that_fails_is_told() -> None:
    async def run() -> None:
        source = Fake("only")
        merged = Merged([source])
        version = (await merged.list()).version
        await settle()
        source.history.fail(RuntimeError("disk"))
        with pytest.raises(RuntimeError, match="disk"):
            await anext(merged.watch(version))
        with pytest.raises(RuntimeError, match="disk"):
            await merged.close()

    asyncio.run(run())


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.none() | st.integers(1, 3)),
    max_size=12,
)


@given(STEPS, STEPS)
@settings(max_examples=50, deadline=None)
def test_changes_add_up_to_the_merged_state(
    before: list[tuple[int, str, int | None]], after: list[tuple[int, str, int | None]]
) -> None:
    async def run() -> None:
        sources = [Fake(str(number)) for number in range(3)]

        def step(number: int, name: str, spec: int | None) -> None:
            if spec is None:
                sources[number].drop(name)
            else:
                sources[number].put(name, spec)

        for one in before:
            step(*one)
        async with Merged(sources) as merged:
            listing = await merged.list()
            seen = specs(listing)
            for one in after:
                step(*one)
            await settle()
            final = await merged.list()
            version = listing.version
            async for change in merged.watch(version) if version != final.version else _none():
                for key in change.removed:
                    del seen[key.name]
                seen.update((one.name, one.spec) for one in change.updated)
                if change.version == final.version:
                    break
            expected: dict[str, int] = {}
            for source in reversed(sources):
                expected.update((key.name, one.spec) for key, one in source.held.items())
            assert seen == expected == specs(final)
            assert len(final.refused) == sum(len(one.held) for one in sources) - len(expected)

    asyncio.run(run())


async def _none() -> AsyncIterator[Change]:
    return
    yield


def test_what_sources_warn_of_is_passed_on() -> None:
    async def run() -> None:
        source = Fake("first")
        warned = Refused("Route", "x", "a", [Problem("spec", "is odd", warning=True)])
        async with Merged([source]) as merged:
            listing = await merged.list()
            assert listing.warnings == ()
            watch = merged.watch(listing.version)
            source.history.add((), (), (), (warned,))
            assert (await anext(watch)).warnings == (warned,)
            assert (await merged.list()).warnings == (warned,)

    asyncio.run(run())
