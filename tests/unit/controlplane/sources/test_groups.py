"""Kinds of one name in two groups: what is of one is never taken for the other's, from the file to
the world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.problem import Refused
from controlplane.resources.kinds import KINDS as REAL
from controlplane.resources.kinds import served
from controlplane.resources.resource import Key
from controlplane.sources import document, reader, tree
from controlplane.sources.shelf import Shelf
from controlplane.sources.store import Result, Store
from controlplane.world.world import World
from tests.support.kinds import OTHER_ROUTE, ROUTE, ZONE, route

KINDS = served((ROUTE, OTHER_ROUTE, ZONE))
OURS, OTHERS = Key("Route", "default", "a"), Key("Route.other.mesh", "default", "a")


def other(name: str) -> str:
    return f"apiVersion: other.mesh/v1\nkind: Route\nmetadata: {{name: {name}}}\nspec: {{}}\n"


def both(root: Path) -> Path:
    (root / "a.yaml").write_text(route("a") + "---\n" + other("a"))
    return root


def test_both_are_there_and_go_on_their_own(tmp_path: Path) -> None:
    shelf = Shelf(str(both(tmp_path)), KINDS)
    difference = shelf.look_at_all(tree.walk(str(tmp_path)))
    assert difference is not None
    assert {one.key for one in difference.updated} == {OURS, OTHERS}
    assert shelf.refused() == ()
    world = World()
    world.change(difference.updated)
    view = world.view()
    (ours,), (others,) = view.resources(ROUTE.id), view.resources(OTHER_ROUTE.id)
    assert (ours.key, others.key) == (OURS, OTHERS)
    (tmp_path / "a.yaml").write_text(route("a"))
    difference = shelf.look({"a.yaml"})
    assert difference is not None
    assert difference.removed == (OTHERS,)
    world.change((), difference.removed)
    assert world.names() == [OURS]
    assert view.resource("Route", "default", "a") is not None


def test_one_is_written_and_deleted_beside_the_other(tmp_path: Path) -> None:
    store = Store(str(tmp_path), KINDS)
    given = document.read((route("a") + "---\n" + other("a")).encode(), "given").documents
    results = list(store.apply(given))
    assert [one.key for one in results if isinstance(one, Result)] == [OURS, OTHERS]
    files = sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*.yaml"))
    assert files == ["default/route-a.yaml", "default/route.other.mesh-a.yaml"]
    list(store.delete([OTHERS]))
    assert [one.key for one in store.read()] == [OURS]


def test_what_is_wrong_of_a_group_is_said_of_that_group(tmp_path: Path) -> None:
    """`mesh apply --wait` of the other one must not hear of it."""
    wrong = other("a").replace("spec: {}", "spec: {hosts: [a], bad: 1}")
    unknown = other("a").replace("other.mesh", "third.mesh")
    newer = other("a").replace("other.mesh/v1", "other.mesh/v7")
    (tmp_path / "a.yaml").write_text("---\n".join((route("a"), wrong, unknown, newer)))
    shelf = Shelf(str(tmp_path), KINDS)
    shelf.look_at_all(tree.walk(str(tmp_path)))
    assert [one.key for one in shelf.resources()] == [OURS]
    assert [one.kind for one in shelf.refused()] == [OTHERS.kind, "Route.third.mesh", "Route"]


def test_a_gateway_of_the_gateway_api_is_none_of_istios() -> None:
    text = (
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
        "metadata: {name: gate, namespace: bank}\nspec: {gatewayClassName: istio}\n"
    )
    (one,) = document.read(text.encode(), "f.yaml").documents
    assert reader.key(one, REAL) is None
    with pytest.raises(Refused) as raised:
        reader.read(one, REAL)
    assert str(raised.value) == (
        "f.yaml:1: Gateway.gateway.networking.k8s.io bank/gate: apiVersion:"
        " 'gateway.networking.k8s.io/v1' has no Gateway; it is networking.istio.io/v1 or"
        " networking.istio.io/v1beta1 or networking.istio.io/v1alpha3"
    )


def test_two_that_nobody_could_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match=r"other.mesh and test.mesh both have a Route"):
        served((ROUTE, replace(OTHER_ROUTE, shares_name=False)))
