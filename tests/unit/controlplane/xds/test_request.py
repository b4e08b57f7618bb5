"""Requests that are taken, and those that end the stream."""

from __future__ import annotations

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from controlplane.xds import request
from controlplane.xds.request import BadRequest

TYPE = "type.googleapis.com/some.Type"
Sotw, Delta = discovery_pb2.DiscoveryRequest, discovery_pb2.DeltaDiscoveryRequest


def test_sotw() -> None:
    message = Sotw(type_url=TYPE, resource_names=["a"], response_nonce="1", version_info="v")
    message.error_detail.message = "no"
    found = request.sotw(message.SerializeToString())
    assert (found.type_url, found.subscribe, found.nonce) == (TYPE, ("a",), "1")
    assert (found.version, found.error, found.node) == ("v", "no", None)


def test_delta() -> None:
    message = Delta(
        type_url=TYPE, resource_names_subscribe=["a"], resource_names_unsubscribe=["b"],
        initial_resource_versions={"c": "1"}, response_nonce="1",
    )  # fmt: skip
    message.node.id = "me"
    found = request.delta(message.SerializeToString())
    assert (found.subscribe, found.unsubscribe, found.held) == (("a",), ("b",), {"c": "1"})
    assert (found.nonce, found.error, found.node.id) == ("1", None, "me")


def test_a_refusal_without_a_text_is_one_all_the_same() -> None:
    message = Sotw(type_url=TYPE)
    message.error_detail.code = 13
    assert request.sotw(message.SerializeToString()).error == "refused with code 13 and no message"


def test_a_refusal_is_cut() -> None:
    message = Sotw(type_url=TYPE)
    message.error_detail.message = "x" * 10_000
    assert request.sotw(message.SerializeToString()).error == "x" * request.MAX_ERROR


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Sotw(), "type_url"),
        (Sotw(type_url="x" * 5000), "type_url"),
        (Sotw(type_url=TYPE, resource_names=["x" * 5000]), "5000 characters"),
        (Sotw(type_url=TYPE, resource_names=["x"] * 50_001), "50001 resource names"),
        (Sotw(type_url=TYPE, resource_locators=[{"name": "a"}]), "xdstp"),
        (Delta(type_url=TYPE, resource_locators_subscribe=[{}]), "xdstp"),
        (
            Delta(
                type_url=TYPE,
                initial_resource_versions={str(number): "" for number in range(50_001)},
            ),
            "50001 names",
        ),
    ],
    ids=["no type", "long type", "long name", "many names", "locators", "delta locators", "held"],
)
def test_what_breaks_the_bounds_is_refused(message: Sotw | Delta, reason: str) -> None:
    parse = request.sotw if isinstance(message, Sotw) else request.delta
    with pytest.raises(BadRequest, match=reason):
        parse(message.SerializeToString())


@pytest.mark.parametrize("parse", [request.sotw, request.delta])
def test_what_is_no_message_is_refused(parse: object) -> None:
    with pytest.raises(BadRequest, match=r"not a .*DiscoveryRequest"):
        parse(b"\xff\xff\xff")  # type: ignore[operator]
