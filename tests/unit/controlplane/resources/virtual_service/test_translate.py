"""Details of routes that no golden file shows: presence, weights of 0, ports of redirects."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.registry.scope import Caller
from controlplane.resources.resource import Key
from controlplane.resources.virtual_service import translate
from controlplane.resources.virtual_service.translate import Client
from tests.support import meshes

_SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: a, namespace: ns}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: hashed, namespace: ns}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: hashed, namespace: ns}
spec: {host: hashed, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: ns}
spec:
  hosts: [a]
  http:
"""
_TO_A = "route: [{destination: {host: a}}]"


def _routes(*rules: str, port: int = 80) -> list[Any]:
    view = meshes.world(_SERVICES + "".join(f"  - {{{rule}}}\n" for rule in rules)).view()
    key = Key("VirtualService", "ns", "v")
    return translate.routes(view, key, port, Client(Caller("ns"), ()))


@pytest.mark.parametrize(
    ("field", "value"),
    [("headers", "{}"), ("withoutHeaders", "{}"), ("withoutHeaders", '{regex: "*"}')],
)
def test_some_value(field: str, value: str) -> None:
    (route,) = _routes(f"match: [{{{field}: {{x: {value}}}}}], {_TO_A}")
    (header,) = route.match.headers
    assert header.present_match
    assert header.invert_match is (field == "withoutHeaders")


def test_weights_of_zero_get_nothing() -> None:
    shares = ", ".join(
        f"{{destination: {{host: {host}}}, weight: {weight}}}"
        for host, weight in (("a", 0), ("b.example", 30), ("c.example", 70))
    )
    (route,) = _routes(f"route: [{shares}]")
    clusters = route.route.weighted_clusters.clusters
    assert [(one.name, one.weight.value) for one in clusters] == [
        ("outbound|80||b.example", 30),
        ("outbound|80||c.example", 70),
    ]


@pytest.mark.parametrize(
    ("redirect", "port", "expected"),
    [
        ("scheme: https, port: 443", 80, 0),
        ("scheme: http, port: 80", 80, 0),
        ("scheme: https, port: 80", 80, 80),
        ("port: 8443", 80, 8443),
        ("scheme: https, derivePort: FROM_REQUEST_PORT", 443, 0),
        ("uri: /x, derivePort: FROM_REQUEST_PORT", 8080, 8080),
        ("uri: /x, derivePort: FROM_PROTOCOL_DEFAULT", 8080, 0),
    ],
)
def test_ports_of_redirects(redirect: str, port: int, expected: int) -> None:
    (route,) = _routes(f"redirect: {{{redirect}}}", port=port)
    assert route.redirect.port_redirect == expected


def test_a_request_that_chooses_its_host_is_tried_there_again() -> None:
    (plain,) = _routes(_TO_A)
    (hashed,) = _routes("route: [{destination: {host: hashed}}]")
    (asked,) = _routes(
        "route: [{destination: {host: hashed}}], "
        "retries: {attempts: 1, retryIgnorePreviousHosts: true}"
    )
    found = [one.route.retry_policy.retry_host_predicate for one in (plain, hashed, asked)]
    assert [len(one) for one in found] == [1, 0, 1]


def test_nothing_comes_behind_what_takes_everything() -> None:
    found = _routes(
        "match: [{uri: {prefix: /a}}], " + _TO_A, _TO_A, "match: [{port: 80}], " + _TO_A
    )
    assert len(found) == 2
