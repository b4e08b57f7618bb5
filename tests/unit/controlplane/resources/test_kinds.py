"""Kinds by the names that YAML has and that people type."""

import pytest

from controlplane.resources.kinds import KINDS, by_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("vs", "VirtualService"),
        ("virtualservice", "VirtualService"),
        ("virtualservices", "VirtualService"),
        ("VirtualService", "VirtualService"),
        ("virtualservices.networking.istio.io", "VirtualService"),
        ("virtualservices.v1beta1.networking.istio.io", "VirtualService"),
        ("gw", "Gateway"),
        ("SVC", "Service"),
        ("deploy", "Deployment"),
        ("deployments.apps", "Deployment"),
        ("endpointslices", "EndpointSlice"),
    ],
)
def test_names_that_people_type(text: str, name: str) -> None:
    kind = by_name(text)
    assert kind is not None
    assert kind.name == name


@pytest.mark.parametrize(
    "text", ["", "x", "virtualservices.v2.networking.istio.io", "services.apps"]
)
def test_names_of_nothing(text: str) -> None:
    assert by_name(text) is None


def test_every_served_version() -> None:
    for version in ("v1", "v1beta1", "v1alpha3"):
        assert KINDS[f"networking.istio.io/{version}", "VirtualService"].plural == "virtualservices"
    assert ("v1", "Service") in KINDS
    assert ("apps/v1", "Deployment") in KINDS


def test_no_two_kinds_share_a_name() -> None:
    kinds = {id(kind): kind for kind in KINDS.values()}.values()
    names = [name for kind in kinds for name in {kind.name.lower(), kind.plural, *kind.short}]
    assert sorted(names) == sorted(set(names))
