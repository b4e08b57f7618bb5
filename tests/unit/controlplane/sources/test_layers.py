"""controlplane.sources.layers: the first layer wins, and that costs what changes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.problem import Origin, Problem, Refused
from controlplane.resources.resource import Key, Resource
from controlplane.sources.layers import Difference, Layer, Layers

A, B = Key("Route", "x", "a"), Key("Route", "x", "b")


def resource(key: Key, spec: object, file: str = "") -> Resource[object]:
    return Resource(key, spec, origin=Origin(file, 1) if file else None)


def layer(name: str, *resources: Resource[object]) -> Layer:
    return Layer(name, {one.key: one for one in resources})


def test_the_first_wins_and_the_second_follows_it() -> None:
    layers: Layers[int] = Layers()
    layers.put(1, layer("api", resource(A, 2)))
    layers.put(0, layer("folder", resource(A, 1, "a.yaml"), resource(B, 1)))
    assert layers.difference() == Difference((resource(A, 1), resource(B, 1)), ())
    assert [str(one) for one in layers.refused()] == [
        "Route x/a: is there twice; the one of a.yaml:1 counts, remove one of them"
    ]
    layers.put(0, layer("folder"))
    assert layers.difference() == Difference((resource(A, 2),), (B,))
    assert layers.refused() == ()
    layers.drop(1)
    assert layers.difference() == Difference((), (A,))
    assert layers.difference() is None


def test_what_means_the_same_is_no_change() -> None:
    layers: Layers[int] = Layers()
    layers.put(0, layer("f", resource(A, 1, "a.yaml")))
    layers.difference()
    layers.put(0, layer("f", resource(A, 1, "b.yaml")))
    assert layers.difference() is None
    assert str(layers.resources()[0].origin) == "b.yaml:1"


def test_refusals_alone_are_a_change() -> None:
    layers: Layers[str] = Layers()
    refused = Refused("Route", "x", "a", [Problem("", "no")])
    layers.put("b", Layer("b", {}, (refused,)))
    assert layers.difference() == Difference((), ())
    assert layers.refused() == (refused,)
    layers.put("b", Layer("b", {}, (refused,)))
    assert layers.difference() is None
    layers.drop("b")
    assert layers.difference() == Difference((), ())


def test_a_part_changes() -> None:
    layers: Layers[int] = Layers()
    layers.put(0, layer("f", resource(A, 1), resource(B, 1)))
    layers.difference()
    layers.change(0, [resource(B, 2)], [A], ())
    assert layers.difference() == Difference((resource(B, 2),), (A,))


KEYS = [Key("Route", "x", name) for name in "abc"]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.none() | st.dictionaries(st.sampled_from(KEYS), st.integers(0, 2)),
        st.booleans(),
    ),
    max_size=15,
)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_differences_add_up_to_what_is_seen(
    steps: list[tuple[int, dict[Key, int] | None, bool]],
) -> None:
    layers: Layers[int] = Layers()
    held: dict[int, dict[Key, int]] = {}
    seen: dict[Key, object] = {}
    for place, specs, look in [*steps, (0, None, True)]:
        if specs is None:
            held.pop(place, None)
            layers.drop(place)
        else:
            held[place] = specs
            layers.put(place, layer(str(place), *(resource(k, v) for k, v in specs.items())))
        if not look:
            continue
        difference = layers.difference()
        if difference is not None:
            for key in difference.removed:
                del seen[key]
            seen.update((one.key, one.spec) for one in difference.updated)
        expected: dict[Key, object] = {}
        for one in sorted(held, reverse=True):
            expected.update(held[one])
        assert seen == expected == {one.key: one.spec for one in layers.resources()}
        copies = sum(map(len, held.values())) - len(expected)
        assert len(layers.refused()) == copies


def test_a_new_version_is_told_although_it_means_the_same() -> None:
    layers: Layers[int] = Layers()
    layers.put(0, Layer("f", {A: Resource(A, 1, version="one")}))
    layers.difference()
    layers.put(0, Layer("f", {A: Resource(A, 1, version="two")}))
    difference = layers.difference()
    assert difference is not None
    assert [one.version for one in difference.updated] == ["two"]
    assert layers.difference() is None


def test_warnings_are_told_once_and_go_with_their_place() -> None:
    layers: Layers[str] = Layers()
    warned = Refused("Route", "x", "a", [Problem("spec", "is odd", warning=True)])
    layers.put("a", Layer("a", {}, (), (warned,)))
    assert layers.difference() == Difference((), ())
    assert (layers.warnings(), layers.refused()) == ((warned,), ())
    layers.put("a", Layer("a", {}, (), (warned,)))
    assert layers.difference() is None
    layers.drop("a")
    assert layers.difference() == Difference((), ())
    assert layers.warnings() == ()
