"""Followers come, go and come back, and the list of them follows."""

from __future__ import annotations

from controlplane.xds.type_urls import ENDPOINT as E
from tests.support.playing import played
from tests.unit.controlplane.xds.desk import Desk, names, sidecar


@played
async def test_who_has_gone_is_left_out() -> None:
    desk = Desk()
    await desk.put(E, "a")
    clients = [desk.client(proxy=sidecar(f"{number}.default")) for number in range(50)]
    for client in clients:
        await client.say(E, subscribe=["a"])
        await client.take(E)
    topic = clients[0].stream.subscriptions[E].names["a"]
    assert topic.count == 50
    for client in clients[1:]:
        client.stream.close()
    assert topic.count == 1
    assert len(topic.followers) <= 10
    await desk.put(E, "a", body=b"\x12\x00")
    assert names(await clients[0].take(E)) == ["a"]
    assert all(client.get() is None for client in clients[1:])


@played
async def test_who_comes_and_goes_all_the_time_takes_no_more_room() -> None:
    desk = Desk()
    await desk.put(E, "a")
    stays, client = desk.client(), desk.client(proxy=sidecar("other.default"))
    await stays.say(E, subscribe=["a"])
    await stays.take(E)
    for _ in range(50):
        await client.say(E, subscribe=["a"])
        await client.take(E)
        await client.say(E, unsubscribe=["a"])
    topic = stays.stream.subscriptions[E].names["a"]
    assert topic.count == 1
    assert len(topic.followers) <= 10
    assert list(topic.following()) == [stays.stream.subscriptions[E]]
