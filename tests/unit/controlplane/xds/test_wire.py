"""Joined bytes are what protobuf would have packed."""

from __future__ import annotations

from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given
from hypothesis import strategies as st

from controlplane.xds import wire
from controlplane.xds.translator import Encoded, encoded

TYPE = "type.googleapis.com/some.Type"
resources = st.lists(st.builds(encoded, st.text(), st.binary(max_size=300)), max_size=5)


@given(resources, st.text(max_size=200), st.text(max_size=200))
def test_sotw(resources: list[Encoded], version: str, nonce: str) -> None:
    body = wire.Responses(1 << 20).sotw(TYPE, version, resources) + wire.nonce(nonce)
    parsed = discovery_pb2.DiscoveryResponse.FromString(body)
    expected = discovery_pb2.DiscoveryResponse(version_info=version, type_url=TYPE, nonce=nonce)
    expected.control_plane.identifier = "fastmesh"
    for one in resources:
        expected.resources.add(type_url=TYPE, value=one.body)
    assert parsed == expected


@given(resources, st.lists(st.text(), max_size=5), st.text(max_size=200), st.text(max_size=200))
def test_delta(resources: list[Encoded], removed: list[str], version: str, nonce: str) -> None:
    body = wire.Responses(1 << 20).delta(TYPE, version, resources, removed) + wire.nonce(nonce)
    parsed = discovery_pb2.DeltaDiscoveryResponse.FromString(body)
    expected = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info=version, type_url=TYPE, nonce=nonce, removed_resources=removed
    )
    expected.control_plane.identifier = "fastmesh"
    for one in resources:
        added = expected.resources.add(name=one.name, version=one.version)
        added.resource.type_url, added.resource.value = TYPE, one.body
    assert parsed == expected


def test_a_response_is_kept_once_it_was_wanted_twice_and_others_are_not_mistaken_for_it() -> None:
    responses = wire.Responses(1 << 20)
    one, other = encoded("a", b"1"), encoded("a", b"2")
    assert responses.delta(TYPE, "1", [one], []) == responses.delta(TYPE, "1", [one], [])
    first = responses.delta(TYPE, "1", [one], [])
    assert responses.delta(TYPE, "1", [one], []) is first
    assert responses.delta(TYPE, "1", [other], []) != first
    assert responses.delta(TYPE, "2", [one], []) != first
    assert responses.delta(TYPE, "1", [one], ["b"]) != first
    assert responses.sotw(TYPE, "1", [one]) != first


def test_what_is_kept_is_bounded() -> None:
    responses = wire.Responses(1000)
    one = encoded("a", bytes(400))
    responses.delta(TYPE, "1", [one], [])
    first = responses.delta(TYPE, "1", [one], [])
    for version in "2233445566":
        responses.delta(TYPE, version, [one], [])
    again = responses.delta(TYPE, "1", [one], [])
    assert again is not first
    assert again == first
    # Larger than all that may be kept: joined anew each time, nothing else harmed.
    large = encoded("b", bytes(2000))
    responses.delta(TYPE, "1", [large], [])
    assert responses.delta(TYPE, "1", [large], []) is not responses.delta(TYPE, "1", [large], [])
