"""Playbooks of the incremental protocol, a rule each."""

from __future__ import annotations

from controlplane.xds.options import Limits
from controlplane.xds.translator import encoded
from controlplane.xds.type_urls import CLUSTER as C
from controlplane.xds.type_urls import ENDPOINT as E
from controlplane.xds.type_urls import EXTENSION as X
from controlplane.xds.type_urls import LISTENER as L
from controlplane.xds.type_urls import ROUTE as R
from tests.support.playing import played
from tests.support.xds_world import resource
from tests.unit.controlplane.xds.desk import Desk, names


@played
async def test_an_empty_first_request_wants_all() -> None:
    desk = Desk()
    await desk.put(C, "a", "b")
    client = desk.client()
    await client.say(C)
    response = await client.take(C)
    assert names(response) == ["a", "b"]
    assert response.resources[0].resource.type_url == C
    assert response.resources[0].version == encoded("a", b"").version
    assert response.control_plane.identifier == "fastmesh"
    assert client.get() is None


@played
async def test_a_star_wants_all() -> None:
    desk = Desk()
    await desk.put(C, "a")
    client = desk.client()
    await client.say(C, subscribe=["*"])
    assert names(await client.take(C)) == ["a"]


@played
async def test_all_of_nothing_is_said_to_be_nothing() -> None:
    client = Desk().client()
    await client.say(C)
    response = await client.take(C)
    assert not response.resources
    assert not response.removed_resources
    assert client.get() is None


@played
async def test_an_empty_request_wants_all_only_if_it_is_the_first() -> None:
    desk = Desk()
    await desk.put(C, "a", "b")
    client = desk.client()
    await client.say(C, subscribe=["a"])
    assert names(await client.take(C)) == ["a"]
    await client.say(C)
    assert client.get() is None


@played
async def test_a_name_that_is_not_there_is_told_to_be_removed_and_followed() -> None:
    desk = Desk()
    client = desk.client()
    await client.say(E, subscribe=["x"])
    response = await client.take(E)
    assert list(response.removed_resources) == ["x"]
    await desk.put(E, "x")
    assert names(await client.take(E)) == ["x"]


@played
async def test_only_what_differs_is_sent() -> None:
    desk = Desk()
    await desk.put(C, "a", "b")
    client = desk.client()
    await client.say(C)
    await client.take(C)
    await desk.put(C, "b", body=b"\x12\x00")
    response = await client.take(C)
    assert names(response) == ["b"]
    await desk.drop(C, "a")
    response = await client.take(C)
    assert names(response) == []
    assert list(response.removed_resources) == ["a"]


@played
async def test_an_extension_is_not_taken_from_listeners_that_drain() -> None:
    desk = Desk()
    await desk.put(X, "a")
    client = desk.client()
    await client.say(X, subscribe=["a", "none"])
    first = await client.take(X)
    assert names(first) == ["a"]
    # Who waits for one that there is not is told so.
    assert list(first.removed_resources) == ["none"]
    await desk.drop(X, "a")
    assert client.get() is None
    assert client.stream.clean
    await desk.put(X, "a", body=b"\x12\x00")
    assert names(await client.take(X)) == ["a"]
    await desk.drop(X, "a")
    await client.say(X, unsubscribe=["a"])
    assert client.get() is None


@played
async def test_what_changes_back_before_it_is_sent_is_not_sent() -> None:
    desk = Desk()
    await desk.put(E, "a")
    client = desk.client()
    await client.say(E, subscribe=["a"])
    response = client.get()
    await desk.put(E, "a", body=b"\x12\x00")
    await desk.put(E, "a", body=b"")
    await client.ack(response)
    assert client.get() is None
    assert client.stream.clean


@played
async def test_one_response_of_a_type_is_under_way_and_newer_state_coalesces() -> None:
    desk = Desk()
    await desk.put(E, "a", "b")
    client = desk.client()
    await client.say(E, subscribe=["a", "b"])
    first = client.get()
    for number in range(1, 5):
        await desk.put(E, "a", body=b"\x12" + bytes([0]) * number)
    await desk.put(E, "b", body=b"\x12\x00")
    assert client.get() is None
    await client.ack(first)
    second = await client.take(E)
    assert sorted(names(second)) == ["a", "b"]
    assert {one.name: one.resource.value for one in second.resources}[
        "a"
    ] == b"\x12\x00\x00\x00\x00"
    assert client.get() is None


@played
async def test_a_stale_nonce_acknowledges_nothing_but_what_it_wants_counts() -> None:
    desk = Desk()
    await desk.put(E, "a", "b")
    client = desk.client()
    await client.say(E, subscribe=["a"])
    first = client.get()
    await client.ack(first)
    await desk.put(E, "a", body=b"\x12\x00")
    second = client.get()
    await client.say(E, nonce=first.nonce, error="late", subscribe=["b"])
    assert client.stream.subscriptions[E].refusal is None
    assert client.stream.subscriptions[E].flight is not None
    assert client.get() is None
    await client.ack(second)
    assert names(await client.take(E)) == ["b"]
    text = desk.board.metrics.text().decode()
    assert 'pilot_xds_expired_nonce{type="eds"} 1.0' in text


@played
async def test_a_change_of_names_needs_no_nonce_and_acknowledges_nothing() -> None:
    desk = Desk()
    await desk.put(E, "a", "b")
    client = desk.client()
    await client.say(E, subscribe=["a"])
    first = client.get()
    await client.say(E, subscribe=["b"])
    assert client.get() is None
    await client.ack(first)
    assert names(await client.take(E)) == ["b"]


@played
async def test_who_asks_again_for_a_name_is_sent_it_again() -> None:
    desk = Desk()
    await desk.put(E, "a")
    client = desk.client()
    await client.say(E, subscribe=["a"])
    await client.take(E)
    await client.say(E, subscribe=["a"])
    assert names(await client.take(E)) == ["a"]


@played
async def test_what_was_refused_is_not_sent_again_until_it_changes() -> None:
    desk = Desk()
    await desk.put(L, "good", "bad")
    client = desk.client()
    await client.say(L)
    response = client.get()
    await client.nack(response, "Error adding/updating listener(s) bad: no address\n")
    assert client.get() is None
    refusal = client.stream.subscriptions[L].refusal
    assert refusal is not None
    assert set(refusal.resources) == {"bad"}
    # Another one changes and is taken; the refusal stands.
    await desk.put(L, "good", body=b"\x12\x00")
    assert names(await client.take(L)) == ["good"]
    assert client.stream.subscriptions[L].refusal is not None
    await desk.put(L, "bad", body=b"\x12\x00")
    assert names(await client.take(L)) == ["bad"]
    assert client.stream.subscriptions[L].refusal is None


@played
async def test_a_refusal_names_what_has_changed() -> None:
    desk = Desk()
    await desk.put(L, "good", "bad")
    client = desk.client()
    await client.say(L)
    await client.take(L)
    # What is not of its type it does not depend on; what was taken before is no cause.
    await desk.put(E, "elsewhere")
    await desk.put(L, "bad", body=b"\x12\x00")
    await client.nack(client.get(), "bad: no")
    refusal = client.stream.subscriptions[L].refusal
    assert refusal is not None
    (cause,) = refusal.causes
    assert cause.name == "bad"
    assert refusal.told() == (f"bad: no (changed since it was accepted: {cause.kind} bad)")
    # Still refused after another change, and that one is a cause as well.
    await desk.put(L, "good", "bad", body=b"\x12\x01\x00")
    await client.nack(client.get(), "bad: still no")
    refusal = client.stream.subscriptions[L].refusal
    assert refusal is not None
    assert [one.name for one in refusal.causes] == ["bad", "good"]


@played
async def test_of_what_was_never_accepted_no_cause_is_known() -> None:
    desk = Desk()
    await desk.put(L, "bad")
    client = desk.client()
    await client.say(L)
    await client.nack(client.get(), "bad: no")
    refusal = client.stream.subscriptions[L].refusal
    assert refusal is not None
    assert refusal.told() == "bad: no"


@played
async def test_a_refusal_ends_when_what_was_refused_is_removed() -> None:
    desk = Desk()
    await desk.put(L, "bad")
    client = desk.client()
    await client.say(L)
    await client.nack(client.get(), "bad: no")
    await desk.drop(L, "bad")
    await client.take(L)
    assert client.stream.subscriptions[L].refusal is None


@played
async def test_a_client_that_comes_back_is_sent_what_differs_and_told_what_is_gone() -> None:
    desk = Desk(Limits(patience_seconds=0.0))
    await desk.put(C, "same", "changed", "new")
    client = desk.client()
    version = encoded("same", b"").version
    await client.say(C, held={"same": version, "changed": "old", "gone": "old"})
    response = await client.take(C)
    assert sorted(names(response)) == ["changed", "new"]
    assert list(response.removed_resources) == ["gone"]


@played
async def test_a_client_that_comes_back_to_names_is_sent_what_differs() -> None:
    desk = Desk(Limits(patience_seconds=0.0))
    await desk.put(E, "same", "changed")
    client = desk.client()
    version = encoded("same", b"").version
    held = {"same": version, "changed": "old", "gone": "old"}
    await client.say(E, subscribe=["same", "changed", "gone", "none"], held=held)
    response = await client.take(E)
    assert names(response) == ["changed"]
    assert sorted(response.removed_resources) == ["gone", "none"]


@played
async def test_a_client_that_comes_back_with_all_is_sent_nothing_and_has_all() -> None:
    desk = Desk()
    await desk.put(E, "a")
    client = desk.client()
    await client.say(E, subscribe=["a"], held={"a": encoded("a", b"").version})
    assert client.get() is None
    assert client.stream.clean


@played
async def test_an_unsubscribed_name_is_not_sent_again() -> None:
    desk = Desk()
    await desk.put(E, "a", "b")
    client = desk.client()
    await client.say(E, subscribe=["a", "b"])
    await client.take(E)
    await client.say(E, unsubscribe=["a"])
    await desk.put(E, "a", "b", body=b"\x12\x00")
    assert names(await client.take(E)) == ["b"]
    await client.say(E, subscribe=["a"])
    assert names(await client.take(E)) == ["a"]


@played
async def test_a_name_left_under_the_wildcard_is_told_to_be_there_or_not() -> None:
    desk = Desk()
    await desk.put(C, "a")
    client = desk.client()
    await client.say(C, subscribe=["*", "a", "b"])
    first = await client.take(C)
    assert names(first) == ["a"]
    assert list(first.removed_resources) == ["b"]
    await client.say(C, unsubscribe=["a", "b"])
    second = await client.take(C)
    assert names(second) == ["a"]
    assert list(second.removed_resources) == ["b"]


@played
async def test_the_wildcard_ends_and_names_stay() -> None:
    desk = Desk()
    await desk.put(C, "a", "b")
    client = desk.client()
    await client.say(C, subscribe=["*", "a"])
    await client.take(C)
    await client.say(C, unsubscribe=["*"])
    await desk.put(C, "a", "b", body=b"\x22\x00")
    assert names(await client.take(C)) == ["a"]
    await client.say(C, subscribe=["*"])
    assert names(await client.take(C)) == ["a", "b"]


@played
async def test_a_resource_is_said_once_though_asked_for_twice() -> None:
    desk = Desk()
    await desk.put(C, "a", "b")
    client = desk.client()
    await client.say(C, subscribe=["*", "a"])
    assert names(await client.take(C)) == ["a", "b"]
    await desk.put(C, "a", body=b"\x22\x00")
    assert names(await client.take(C)) == ["a"]
    await desk.drop(C, "a")
    assert list((await client.take(C)).removed_resources) == ["a"]
    assert client.stream.clean


@played
async def test_types_without_a_wildcard_have_nothing_of_it() -> None:
    desk = Desk()
    await desk.put(R, "80")
    client = desk.client()
    await client.say(R)
    assert not (await client.take(R)).resources


@played
async def test_what_others_may_see_is_not_there_for_one() -> None:
    desk = Desk()
    await desk.put_all(resource(E, "secret", b"", namespace="other"))
    client = desk.client()
    await client.say(E, subscribe=["secret"])
    assert list((await client.take(E)).removed_resources) == ["secret"]
