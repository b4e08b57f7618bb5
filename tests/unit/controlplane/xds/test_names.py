"""Streams that want the same share one table, and who changes it has his own."""

from __future__ import annotations

from controlplane.xds.names import FEWEST
from controlplane.xds.type_urls import ENDPOINT as E
from tests.support.playing import played
from tests.unit.controlplane.xds.desk import Client, Desk, names, sidecar

WANTED = [f"name-{number}" for number in range(FEWEST)]


def table(client: Client) -> object:
    return client.stream.subscriptions[E].names


async def followers(desk: Desk, count: int) -> list[Client]:
    """Clients that have all of WANTED."""
    await desk.put(E, *WANTED, "another")
    clients = [desk.client(proxy=sidecar(f"{number}.default")) for number in range(count)]
    for client in clients:
        await client.say(E, subscribe=WANTED)
        await client.take(E)
    return clients


@played
async def test_those_that_are_alike_are_one() -> None:
    desk = Desk()
    clients = await followers(desk, 3)
    assert len({id(table(one)) for one in clients}) == 1
    assert len(desk.publisher.alike) == 1
    for one in clients:
        one.stream.close()
    assert len(desk.publisher.alike) == 0


@played
async def test_a_change_is_of_one_stream_alone() -> None:
    desk = Desk()
    first, second = await followers(desk, 2)
    await first.say(E, subscribe=["another"])
    assert names(await first.take(E)) == ["another"]
    assert set(first.stream.subscriptions[E].names) == {*WANTED, "another"}
    assert set(second.stream.subscriptions[E].names) == set(WANTED)
    await second.say(E, unsubscribe=[WANTED[0]])
    await desk.put(E, WANTED[0], "another", body=b"\x12\x00")
    assert sorted(names(await first.take(E))) == ["another", WANTED[0]]
    assert second.get() is None
    # Alike again, and one again.
    await second.say(E, subscribe=[WANTED[0], "another"])
    await second.take(E)
    assert table(first) is table(second)


@played
async def test_few_names_are_not_looked_for() -> None:
    desk = Desk()
    await desk.put(E, "a")
    clients = [desk.client(proxy=sidecar(f"{number}.default")) for number in range(2)]
    for client in clients:
        await client.say(E, subscribe=["a"])
        await client.take(E)
    assert table(clients[0]) is not table(clients[1])
