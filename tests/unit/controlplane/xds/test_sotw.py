"""Playbooks of the state-of-the-world protocol, a rule each."""

from __future__ import annotations

from controlplane.xds.type_urls import CLUSTER as C
from controlplane.xds.type_urls import ENDPOINT as E
from controlplane.xds.type_urls import LISTENER as L
from controlplane.xds.type_urls import ROUTE as R
from tests.support.playing import played
from tests.unit.controlplane.xds.desk import Desk, bodies

ONE, TWO, THREE = b"\x0a\x01a", b"\x0a\x01b", b"\x0a\x01c"


async def two_clusters() -> Desk:
    desk = Desk()
    await desk.put(C, "a", body=ONE)
    await desk.put(C, "b", body=TWO)
    return desk


@played
async def test_an_empty_first_request_wants_all() -> None:
    desk = await two_clusters()
    client = desk.client(delta=False)
    await client.say(C)
    response = await client.take(C)
    assert bodies(response) == [ONE, TWO]
    assert response.version_info == f"epoch/{desk.world.revision}"
    assert response.resources[0].type_url == C
    assert client.get() is None


@played
async def test_all_of_nothing_is_said_to_be_nothing() -> None:
    client = Desk().client(delta=False)
    await client.say(L)
    assert bodies(await client.take(L)) == []
    assert client.get() is None


@played
async def test_clusters_are_sent_whole_and_what_is_gone_is_absent() -> None:
    desk = await two_clusters()
    client = desk.client(delta=False)
    await client.say(C)
    await client.take(C)
    await desk.put(C, "c", body=THREE)
    assert bodies(await client.take(C)) == [ONE, TWO, THREE]
    await desk.drop(C, "a")
    assert bodies(await client.take(C)) == [TWO, THREE]


@played
async def test_endpoints_are_sent_as_they_change() -> None:
    desk = Desk()
    await desk.put(E, "a", body=ONE)
    await desk.put(E, "b", body=TWO)
    client = desk.client(delta=False)
    await client.say(E, names=["a", "b"])
    assert sorted(bodies(await client.take(E, names=["a", "b"]))) == [ONE, TWO]
    await desk.put(E, "b", body=THREE)
    assert bodies(await client.take(E, names=["a", "b"])) == [THREE]


@played
async def test_a_new_name_is_answered_alone_an_old_one_is_left_in_silence() -> None:
    desk = Desk()
    await desk.put(E, "a", body=ONE)
    await desk.put(E, "b", body=TWO)
    client = desk.client(delta=False)
    await client.say(E, names=["a"])
    first = await client.take(E, names=["a"])
    await client.say(E, nonce=first.nonce, names=["a", "b"])
    second = await client.take(E, names=["a", "b"])
    assert bodies(second) == [TWO]
    await client.say(E, nonce=second.nonce, names=["b"])
    assert client.get() is None
    await desk.put(E, "a", body=THREE)
    assert client.get() is None


@played
async def test_a_name_that_is_not_there_is_left_in_silence_and_followed() -> None:
    desk = Desk()
    client = desk.client(delta=False)
    await client.say(R, names=["80"])
    assert client.get() is None
    await desk.put(R, "80", body=ONE)
    assert bodies(await client.take(R, names=["80"])) == [ONE]


@played
async def test_what_is_removed_of_routes_is_left_in_silence() -> None:
    desk = Desk()
    await desk.put(R, "80", body=ONE)
    client = desk.client(delta=False)
    await client.say(R, names=["80"])
    await client.take(R, names=["80"])
    await desk.drop(R, "80")
    assert client.get() is None
    assert client.stream.clean
    await desk.put(R, "80", body=ONE)
    assert bodies(await client.take(R, names=["80"])) == [ONE]


@played
async def test_listeners_by_name_are_answered_even_if_there_is_none() -> None:
    desk = Desk()
    client = desk.client(delta=False)
    await client.say(L, names=["x"])
    assert bodies(await client.take(L, names=["x"])) == []
    await desk.put(L, "x", body=ONE)
    await desk.put(L, "y", body=TWO)
    response = await client.take(L, names=["x"])
    assert bodies(response) == [ONE]
    await client.say(L, nonce=response.nonce, names=["x", "y"])
    assert bodies(await client.take(L, names=["x", "y"])) == [ONE, TWO]


@played
async def test_an_empty_list_after_names_is_nothing() -> None:
    desk = await two_clusters()
    client = desk.client(delta=False)
    await client.say(C, names=["a"])
    response = await client.take(C, names=["a"])
    await client.say(C, nonce=response.nonce)
    assert client.get() is None
    await desk.put(C, "a", body=THREE)
    assert client.get() is None


@played
async def test_a_stale_nonce_is_as_if_nothing_was_said() -> None:
    desk = Desk()
    await desk.put(E, "a", body=ONE)
    await desk.put(E, "b", body=TWO)
    client = desk.client(delta=False)
    await client.say(E, names=["a"])
    first = await client.take(E, names=["a"])
    await desk.put(E, "a", body=THREE)
    second = client.get()
    await client.say(E, nonce=first.nonce, names=["b"], error="late")
    assert client.get() is None
    assert client.stream.subscriptions[E].refusal is None
    await client.say(E, nonce=second.nonce, names=["a", "b"])
    assert bodies(await client.take(E, names=["a", "b"])) == [TWO]


@played
async def test_names_that_grow_before_the_first_answer_are_all_answered() -> None:
    desk = Desk()
    await desk.put(E, "a", body=ONE)
    await desk.put(E, "b", body=TWO)
    client = desk.client(delta=False)
    await client.say(E, names=["a"])
    await client.say(E, names=["a", "b"])
    assert sorted(bodies(await client.take(E, names=["a", "b"]))) == [ONE, TWO]
    assert client.get() is None


@played
async def test_a_client_that_begins_anew_is_sent_all_again() -> None:
    desk = await two_clusters()
    client = desk.client(delta=False)
    await client.say(C)
    await client.take(C)
    await client.say(C)
    assert bodies(await client.take(C)) == [ONE, TWO]


@played
async def test_a_client_of_an_earlier_stream_is_answered_whatever_its_version() -> None:
    desk = await two_clusters()
    client = desk.client(delta=False)
    await client.say(C, version=f"epoch/{desk.world.revision}")
    assert bodies(await client.take(C)) == [ONE, TWO]


@played
async def test_what_was_refused_is_not_sent_again_until_it_changes() -> None:
    desk = Desk()
    await desk.put(L, "bad", body=ONE)
    client = desk.client(delta=False)
    await client.say(L)
    await client.nack(client.get(), "Error adding/updating listener(s) bad: no address\n")
    assert client.get() is None
    refusal = client.stream.subscriptions[L].refusal
    assert refusal is not None
    assert set(refusal.resources) == {"bad"}
    await desk.put(L, "bad", body=TWO)
    await client.take(L)
    assert client.stream.subscriptions[L].refusal is None


@played
async def test_one_response_of_a_type_is_under_way_and_newer_state_coalesces() -> None:
    desk = await two_clusters()
    client = desk.client(delta=False)
    await client.say(C)
    first = client.get()
    await desk.put(C, "a", body=b"\x0a\x01x")
    await desk.put(C, "a", body=b"\x0a\x01y")
    assert client.get() is None
    await client.ack(first)
    assert bodies(await client.take(C)) == [b"\x0a\x01y", TWO]
    assert client.get() is None


@played
async def test_a_nonce_of_an_earlier_stream_is_none() -> None:
    """What a client says first is answered, whatever it thinks that it answers."""
    desk = Desk()
    await desk.put(C, "a")
    client = desk.client(delta=False)
    await client.say(C, nonce="7", version="old")
    response = client.get()
    assert len(response.resources) == 1
    # From here on a nonce that is not the newest says nothing.
    await client.say(C, nonce="7", names=["b"])
    assert client.get() is None
    await client.ack(response)
    assert client.stream.clean
