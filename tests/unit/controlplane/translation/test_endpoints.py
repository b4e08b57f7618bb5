"""Priorities and shares of localities, against what Istio documents, host by host."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from controlplane.registry import services
from controlplane.resources.destination_rule import select
from controlplane.resources.destination_rule.locality import matches, preference
from controlplane.translation import endpoints
from controlplane.world.proxy import NOWHERE, Locality
from tests.support import meshes

_PLACES = ("eu/a/1", "eu/a/2", "eu/b/1", "us/a/1", "asia/a/1")
_OUTLIERS = "outlierDetection: {consecutive5xxErrors: 1}"


def _assigned(
    setting: str, client: Locality, *, outliers: bool = True, labels: Any = (), service: str = ""
) -> dict[str, tuple[int, int]]:
    """Priority and weight of each host's locality."""
    hosts = "\n".join(
        f"  - {{address: 10.0.0.{index + 1}, locality: {place}, labels: {{rack: r{index % 2}}}}}"
        for index, place in enumerate(_PLACES)
    )
    policy = [f"loadBalancer: {{localityLbSetting: {{{setting}}}}}"] if setting else []
    policy += [_OUTLIERS] if outliers else []
    text = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: s}}
spec:
  hosts: [s.example]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints:
{hosts}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: s}}
spec: {{host: s.example, trafficPolicy: {{{", ".join(policy)}}}}}
"""
    view = meshes.world(text + service).view()
    found = services.find(view, "s.example", "default")
    assert found is not None
    rule = select.rule(view, found, "default", ())
    wanted = preference(view, found, 80, "", rule, client, labels)
    built = ClusterLoadAssignment.FromString(
        endpoints.assignment(view, found, 80, "", (), wanted).body
    )
    return {
        "/".join((one.locality.region, one.locality.zone, one.locality.sub_zone)): (
            one.priority,
            one.load_balancing_weight.value,
        )
        for one in built.endpoints
    }


def _priorities(*given: Any, **named: Any) -> list[int]:
    found = _assigned(*given, **named)
    return [found[place][0] for place in _PLACES]


_CLIENT = Locality("eu", "a", "1")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("enabled: true", [0, 1, 2, 3, 3]),
        ("enabled: true, failover: [{from: eu, to: us}]", [0, 1, 2, 3, 4]),
        ("enabled: true, failover: [{from: us, to: eu}]", [0, 1, 2, 3, 3]),
        ("enabled: false", [0, 0, 0, 0, 0]),
        ("enabled: true, failoverPriority: [rack]", [0, 1, 0, 1, 0]),
        ("enabled: true, failoverPriority: ['rack=r1']", [1, 0, 1, 0, 1]),
    ],
)
def test_nearest_first(setting: str, expected: list[int]) -> None:
    assert _priorities(setting, _CLIENT, labels=(("rack", "r0"),)) == expected


def test_only_where_outlier_detection_tells_when_to_leave() -> None:
    assert _priorities("enabled: true", _CLIENT, outliers=False) == [0] * 5
    assert _priorities("enabled: true", NOWHERE) == [0] * 5


def test_priorities_have_no_gaps() -> None:
    for client in itertools.product(("eu", "us", "africa"), ("a", "c"), ("1", "9")):
        found = set(_priorities("enabled: true", Locality(*client)))
        assert found == set(range(len(found))), client


def test_shares_by_the_most_specific_pattern() -> None:
    to = '"eu/a/*": 60, "eu/*": 10, "us/a/1": 30'
    found = _assigned(f"distribute: [{{from: eu/*, to: {{{to}}}}}]", _CLIENT)
    weights = {place: weight for place, (_, weight) in found.items()}
    assert weights == {"eu/a/1": 3000, "eu/a/2": 3000, "eu/b/1": 1000, "us/a/1": 3000}
    elsewhere = _assigned(f"distribute: [{{from: eu/*, to: {{{to}}}}}]", Locality("us", "a", "1"))
    assert set(elsewhere.values()) == {(0, 1)}


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [("*", 5), ("eu/*", 3), ("eu", 3), ("eu/a/*", 2), ("eu/a", 2), ("eu/a/1", 1), ("africa/*", 0)],
)
def test_patterns(pattern: str, covered: int) -> None:
    places = [Locality(*place.split("/")) for place in _PLACES]
    assert sum(matches(pattern, place) for place in places) == covered
