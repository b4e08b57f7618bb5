"""Which VirtualService holds for a host."""

from __future__ import annotations

import itertools

import pytest

from controlplane.registry.scope import Caller
from controlplane.resources.virtual_service import select
from tests.support import meshes

_ROUTE = "http: [{route: [{destination: {host: a}}]}]"


def _virtual(name: str, namespace: str = "ns", spec: str = "") -> str:
    return (
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )


def _holds(documents: str, host: str = "a.example.com", namespace: str = "ns") -> str | None:
    key = select.for_host(meshes.world(documents).view(), Caller(namespace), host)
    return key.name if key else None


@pytest.mark.parametrize(
    "order", [*itertools.permutations(("a.example.com", "*.example.com", "*.com"))]
)
def test_the_most_specific_host_whatever_the_age(order: tuple[str, ...]) -> None:
    documents = "".join(
        _virtual(f"v{i}", spec=f'hosts: ["{host}"], {_ROUTE}') for i, host in enumerate(order)
    )
    assert _holds(documents) == f"v{order.index('a.example.com')}"
    assert _holds(documents, "b.example.com") == f"v{order.index('*.example.com')}"
    assert _holds(documents, "b.c.com") == f"v{order.index('*.com')}"
    assert _holds(documents, "b.org") is None


def test_of_two_with_one_host_the_older() -> None:
    both = [_virtual(name, spec=f"hosts: [a.example.com], {_ROUTE}") for name in ("x", "y")]
    assert _holds("".join(both)) == "x"
    assert _holds("".join(reversed(both))) == "y"


@pytest.mark.parametrize(
    ("spec", "holds"),
    [
        ("", True),
        ("gateways: [mesh]", True),
        ("gateways: [gate]", False),
        ("gateways: [gate, mesh]", True),
        ('exportTo: ["."]', False),
        ("exportTo: [ns]", True),
        ("exportTo: [other]", False),
    ],
)
def test_gateways_and_visibility(spec: str, holds: bool) -> None:
    both = ", ".join(filter(None, (f"hosts: [a.example.com], {_ROUTE}", spec)))
    assert (_holds(_virtual("v", "far", both)) is not None) is holds
