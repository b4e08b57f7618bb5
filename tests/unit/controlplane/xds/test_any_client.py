"""Whatever a client says, in whatever order: the server neither fails nor loses count. When the
client behaves at last it holds what the world has of what it wants, by wildcard and by name."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.xds.options import Limits
from controlplane.xds.topic import EVERYTHING
from controlplane.xds.type_urls import CLUSTER as C
from controlplane.xds.type_urls import ENDPOINT as E
from tests.support.xds_world import remove, resource
from tests.unit.controlplane.xds.desk import Client, Desk

NAMES = ("a", "b", "c", "d")
some = st.sets(st.sampled_from((*NAMES, EVERYTHING)), max_size=3)
puts = st.tuples(st.just("put"), st.sets(st.sampled_from(NAMES)), st.integers(0, 9))
drops = st.tuples(st.just("drop"), st.sets(st.sampled_from(NAMES)), st.none())
asks = st.tuples(st.just("ask"), some, some)
#: ACK or NACK of one of the responses that came, the newest being 0.
answers = st.tuples(st.just("answer"), st.integers(0, 2), st.booleans())
takes = st.tuples(st.just("take"), st.none(), st.none())
news = st.tuples(st.just("new stream"), st.booleans(), st.none())
plays = st.lists(st.one_of(puts, drops, asks, asks, answers, answers, takes, news), max_size=30)


class Rude:
    """A client that keeps to no order. What it was told is what it believes."""

    def __init__(self, desk: Desk, url: str, *, delta: bool) -> None:
        self.desk, self.url, self.delta = desk, url, delta
        self.held: dict[str, tuple[str, bytes]] = {}
        self.names: set[str] = set()
        self.every = False
        self.first = True
        self.named = False
        #: What it refuses it does not take, and is not sent again before it changes.
        self.refused = False
        self.came: list[Any] = []
        self.client: Client = desk.client(delta=delta)

    def wants(self, name: str) -> bool:
        return name in self.names or (self.every and self.url == C)

    async def ask(self, more: set[str], less: set[str]) -> None:
        if self.delta:
            if self.first and not more:
                self.every = True
            # In the order in which it is read: who leaves what he asks for has left it.
            for name in more:
                if name == EVERYTHING:
                    self.every = True
                else:
                    self.names.add(name)
                    self.held.pop(name, None)
            for name in less:
                if name == EVERYTHING:
                    self.every = False
                else:
                    self.names.discard(name)
            self._forget()
            self.first = False
            await self.client.say(self.url, subscribe=sorted(more), unsubscribe=sorted(less))
            return
        wanted = (self.names | more) - less - {EVERYTHING}
        if EVERYTHING in more:
            self.every = True
        elif EVERYTHING in less or wanted:
            self.every = False
        elif self.first:
            self.every = True
        self.names, self.first = wanted, False
        self._forget()
        nonce = self.came[-1].nonce if self.came else ""
        await self.client.say(self.url, names=self._list(), nonce=nonce)

    def _list(self) -> list[str]:
        # Without names an empty list is all, until there ever were some: then it is nothing.
        self.named = self.named or bool(self.names)
        return sorted(self.names | ({EVERYTHING} if self.every and self.named else set()))

    def _forget(self) -> None:
        self.held = {name: one for name, one in self.held.items() if self.wants(name)}

    def take(self) -> bool:
        response = self.client.get()
        if response is None:
            return False
        self.came.append(response)
        return True

    async def answer(self, back: int, *, good: bool) -> None:
        if back >= len(self.came):
            return
        response = self.came[-1 - back]
        if good and back == 0:
            self._believe(response)
        self.refused = self.refused or not good
        error = None if good else "no: 'a' and others"
        more = {} if self.delta else {"names": self._list()}
        await self.client.say(self.url, nonce=response.nonce, error=error, **more)

    def _believe(self, response: Any) -> None:
        if self.delta:
            for one in response.resources:
                if self.wants(one.name):
                    self.held[one.name] = (one.version, one.resource.value)
            for name in response.removed_resources:
                self.held.pop(name, None)
            return
        found = {_name(one.value): ("", one.value) for one in response.resources}
        self.held = found if self.url == C else {**self.held, **found}
        self._forget()

    async def new_stream(self, *, with_versions: bool) -> None:
        self.client.stream.close()
        self.client = self.desk.client(delta=self.delta)
        self.came = []
        self.first = False
        if not self.names and not self.every:
            self.first = True
            return
        if self.delta:
            if not with_versions:
                self.held = {}
            wanted = sorted(self.names | ({EVERYTHING} if self.every else set()))
            held = {name: version for name, (version, _) in self.held.items()}
            await self.client.say(self.url, subscribe=wanted, held=held)
        else:
            if self.url != C:
                self.held = {}
            await self.client.say(self.url, names=self._list())

    async def settle(self) -> None:
        """It behaves from now on."""
        for _ in range(20):
            while self.take():
                pass
            if not self.came or self.client.stream.clean:
                break
            await self.answer(0, good=True)
        assert self.client.stream.clean


def _name(body: bytes) -> str:
    return body.partition(b"=")[0].decode()


@pytest.mark.parametrize("url", [C, E])
@pytest.mark.parametrize("delta", [True, False])
@settings(max_examples=150, deadline=None)
@given(steps=plays)
def test_any_client(*, url: str, delta: bool, steps: list[tuple[str, Any, Any]]) -> None:
    asyncio.run(_play(url, delta, steps))


async def _play(url: str, delta: bool, steps: list[tuple[str, Any, Any]]) -> None:
    desk = Desk(limits=replace(Limits(), patience_seconds=0.0))
    rude = Rude(desk, url, delta=delta)
    for step, first, second in steps:
        match step:
            case "put":
                await desk.put_all(
                    *(resource(url, one, f"{one}={second}".encode()) for one in sorted(first))
                )
            case "drop":
                remove(desk.world, url, *sorted(first))
                await desk.publisher.round()
            case "ask":
                await rude.ask(first, second)
            case "answer":
                await rude.answer(first, good=second)
            case "take":
                rude.take()
            case _:
                await rude.new_stream(with_versions=first)
    await rude.settle()
    # What it refused on the way is another by now.
    await desk.put_all(*(resource(url, one, f"{one}=last".encode()) for one in NAMES[:3]))
    await rude.settle()
    wanted = {name for name in NAMES[:3] if rude.wants(name)}
    told = {name: body for name, (_, body) in rude.held.items() if name in NAMES[:3]}
    assert told == {name: f"{name}=last".encode() for name in wanted}
    # Of what nobody has there is nothing.
    view = desk.world.view()
    there = view.resource(url, "", "d") is not None
    if (url == C or delta) and not rude.refused:
        assert ("d" in rude.held) == (there and rude.wants("d"))
    rude.client.stream.close()
    assert desk.publisher.topics == 0
