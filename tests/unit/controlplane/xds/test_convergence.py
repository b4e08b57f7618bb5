"""Whatever happens and in whatever order it is answered: the client ends with what the world has,
and on no step of the way does it hold a route to a cluster that it does not hold."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.resources.resource import Key
from controlplane.xds.options import Limits
from controlplane.xds.type_urls import CLUSTER as C
from controlplane.xds.type_urls import ENDPOINT as E
from controlplane.xds.type_urls import LISTENER as L
from controlplane.xds.type_urls import ROUTE as R
from tests.support.xds_world import resource
from tests.unit.controlplane.xds.desk import Client, Desk

NAMES = ("a", "b", "c")
#: What the world does: one of the clusters is what the route "80" names, some others are there too,
#: with a note that tells versions apart; or the endpoints of one move.
worlds = st.tuples(st.just("world"), st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)))
moves = st.tuples(st.just("move"), st.sampled_from(NAMES), st.integers(0, 5))
#: What the client does.
takes = st.tuples(st.just("take"), st.none(), st.none())
answers = st.tuples(st.just("answer"), st.booleans(), st.none())
again = st.tuples(st.just("again"), st.none(), st.none())
plays = st.lists(st.one_of(worlds, moves, takes, takes, answers, answers, again), max_size=25)


class Model:
    """A client that believes what it is told, as Envoy does."""

    def __init__(self, desk: Desk, *, delta: bool) -> None:
        self.desk = desk
        self.delta = delta
        self.held: dict[str, dict[str, tuple[str, bytes]]] = {url: {} for url in (C, E, L, R)}
        self.wanted: list[str] = []
        self.unanswered: list[Any] = []
        #: On a new stream of the state of the world nobody knows what the client still holds: what
        #: is absent is gone, until the routes are there.
        self.blind = False
        self.client: Client

    async def connect(self) -> None:
        self.unanswered = []
        self.blind = not self.delta
        self.client = self.desk.client(delta=self.delta)
        if self.delta:
            for url, names in ((C, []), (E, self.wanted), (L, []), (R, ["80"])):
                held = {name: version for name, (version, _) in self.held[url].items()}
                if url != E or names:
                    await self.client.say(url, subscribe=names, held=held)
        else:
            for url, names in ((C, []), (E, self.wanted), (L, []), (R, ["80"])):
                if url != E or names:
                    await self.client.say(url, names=names)

    def take(self) -> None:
        response = self.client.get()
        if response is None:
            return
        self.unanswered.append(response)
        held = self.held[response.type_url]
        if self.delta:
            for one in response.resources:
                held[one.name] = (one.version, one.resource.value)
            for name in response.removed_resources:
                held.pop(name, None)
        else:
            found = {_name(one): ("", one.value) for one in response.resources}
            if response.type_url in {C, L}:
                held.clear()
            held.update(found)
        if response.type_url == C:
            # Endpoints of clusters that are gone go with them.
            for name in set(self.held[E]) - set(held):
                del self.held[E][name]
        if response.type_url == R:
            self.blind = False
        self.check()

    async def settle(self) -> None:
        """Takes and answers all there is."""
        for _ in range(40):
            self.take()
            await self.answer(newest_first=False)

    def check(self) -> None:
        if self.blind:
            return
        for _, body in self.held[R].values():
            assert _routed(body) in self.held[C], "a route to a cluster that is not there"
            assert _routed(body) in self.held[E], "a route to a cluster without endpoints"

    async def answer(self, *, newest_first: bool) -> None:
        if not self.unanswered:
            return
        response = self.unanswered.pop(-1 if newest_first else 0)
        if response.type_url == C:
            names = sorted(self.held[C])
            gone = [name for name in self.wanted if name not in names]
            new = [name for name in names if name not in self.wanted]
            self.wanted = names
            await self.client.ack(response)
            if self.delta and (new or gone):
                await self.client.say(E, subscribe=new, unsubscribe=gone)
            elif new or gone:
                nonce = self._nonce_of(E)
                await self.client.say(E, names=names, nonce=nonce)
            return
        more = {}
        if not self.delta:
            more = {"names": {E: self.wanted, R: ["80"]}.get(response.type_url, [])}
        await self.client.ack(response, **more)

    def _nonce_of(self, url: str) -> str:
        found = self.client.stream.subscriptions.get(url)
        return found.nonce if found is not None and found.flight is None else ""


def _name(one: Any) -> str:
    return {C: lambda: cluster_pb2.Cluster.FromString(one.value).name}.get(
        one.type_url, lambda: one.value.decode().partition("=")[0]
    )()


def _routed(body: bytes) -> str:
    return body.decode().partition("=")[2]


def _cluster(name: str, note: int) -> Any:
    message = cluster_pb2.Cluster(
        name=name, type=cluster_pb2.Cluster.EDS, alt_stat_name=str(note % 2)
    )
    return resource(C, name, message.SerializeToString())


async def play(steps: list[tuple[str, Any, Any]], *, delta: bool) -> None:
    desk = Desk(Limits(patience_seconds=60.0))
    await desk.put_all(
        _cluster("a", 0), resource(E, "a", b"a=0"), resource(L, "l", b"l="),
        resource(R, "80", b"80=a"),
    )  # fmt: skip
    clock = [1000.0]
    desk.publisher.now = lambda: clock[0]
    model = Model(desk, delta=delta)
    await model.connect()
    await model.settle()
    for turn, (what, one, other) in enumerate(steps):
        match what:
            case "world":
                there = {one, *other}
                gone = set(NAMES) - there
                desk.world.change(
                    [
                        *(_cluster(name, turn) for name in sorted(there)),
                        *(resource(E, name, b"%b=0" % name.encode()) for name in sorted(there)),
                        resource(R, "80", b"80=" + one.encode()),
                    ],
                    [Key(url, "", name) for url in (C, E) for name in gone],
                )
                await desk.publisher.round()
            case "move":
                if desk.world.view().resource(C, "", one) is not None:
                    await desk.put(E, one, body=f"{one}={other}".encode())
            case "take":
                model.take()
            case "answer":
                await model.answer(newest_first=one)
            case "again":
                model.client.stream.close()
                desk.board.gone(model.client.stream)
                await model.connect()
    await model.settle()
    # Whoever came back keeps what is gone until it has asked for everything, for so long.
    clock[0] += 100.0
    await model.settle()
    stream = model.client.stream
    assert stream.clean, {url: one.pending for url, one in stream.subscriptions.items()}
    view = desk.world.view()
    for url in (C, E, L, R):
        expected = {one.name: one.spec for one in view.resources(url)}
        found = {name: body for name, (_, body) in model.held[url].items()}
        assert found == expected, url
    (verdict,) = await desk.board.wait(desk.world.revision, 0)
    assert str(verdict.state) == "SYNCED"
    stream.close()
    assert desk.publisher.topics == 0


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
@settings(max_examples=300, deadline=None)
@given(steps=plays)
def test_it_converges(steps: list[tuple[str, Any, Any]], *, delta: bool) -> None:
    asyncio.run(play(steps, delta=delta))
