"""What delegates make of their roots."""

from __future__ import annotations

import pytest

from controlplane.resources.resource import Key
from controlplane.resources.virtual_service import delegates
from tests.support import meshes

_ROUTE = "http: [{route: [{destination: {host: a}}]}]"


def _virtual(name: str, namespace: str = "ns", spec: str = "") -> str:
    return (
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )


def _merged(root: str, leaf: str) -> list[str]:
    delegate = "delegate: {name: leaf}"
    documents = _virtual(
        "root",
        spec=f"hosts: [a.example.com], http: [{{{', '.join(filter(None, (root, delegate)))}}}]",
    ) + _virtual("leaf", spec=f"http: [{{{leaf}, route: [{{destination: {{host: a}}}}]}}]")
    view = meshes.world(documents).view()
    return [
        f"{one.uri.prefix or one.uri.exact if one.uri else ''} {sorted(one.headers)}"
        for route in delegates.routes(view, Key("VirtualService", "ns", "root"))
        for one in route.match
    ]


@pytest.mark.parametrize(
    ("root", "leaf", "expected"),
    [
        ("", "match: [{uri: {prefix: /a}}]", ["/a []"]),
        ("match: [{uri: {prefix: /a}}]", "name: x", ["/a []"]),
        ("match: [{uri: {prefix: /a}}]", "match: [{uri: {prefix: /a/b}}]", ["/a/b []"]),
        ("match: [{uri: {prefix: /a}}]", "match: [{uri: {exact: /a/b}}]", ["/a/b []"]),
        ("match: [{uri: {prefix: /a}}]", "match: [{uri: {prefix: /b}}]", []),
        ("match: [{uri: {exact: /a}}]", "match: [{uri: {prefix: /a}}]", []),
        (
            "match: [{uri: {prefix: /a}}, {headers: {x: {exact: y}}}]",
            "match: [{headers: {z: {exact: y}}}]",
            ["/a ['z']", " ['x', 'z']"],
        ),
        ("match: [{headers: {x: {exact: y}}}]", "match: [{headers: {x: {exact: z}}}]", []),
        ("match: [{gateways: [mesh]}]", "match: [{gateways: [gate]}]", []),
        ("match: [{port: 80}]", "match: [{port: 81}]", []),
    ],
)
def test_delegates_are_narrowed_by_their_roots(root: str, leaf: str, expected: list[str]) -> None:
    assert _merged(root, leaf) == expected


def test_one_match_of_the_delegate_that_contradicts_drops_its_route() -> None:
    both = "match: [{uri: {prefix: /a/b}}, {uri: {prefix: /c}}]"
    assert _merged("match: [{uri: {prefix: /a}}]", both) == []
    assert _merged("match: [{uri: {prefix: /a}}, {uri: {prefix: /c}}]", both) == [
        "/a/b []",
        "/c []",
    ]


@pytest.mark.parametrize(
    "leaf",
    [
        _virtual("leaf", spec=f"hosts: [b.example.com], {_ROUTE}"),
        _virtual("leaf", "far", _ROUTE),
        "",
    ],
)
def test_a_delegate_that_cannot_be_one_leaves_nothing(leaf: str) -> None:
    root = _virtual("root", spec="hosts: [a.example.com], http: [{delegate: {name: leaf}}]")
    view = meshes.world(root + leaf).view()
    assert delegates.routes(view, Key("VirtualService", "ns", "root")) == ()
