"""controlplane.sources.discovered: whatever comes in which order, what is passed on is what the
selectors choose of what is there."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.resources.mesh_config import MeshConfig, apply
from controlplane.resources.resource import Key, Resource
from controlplane.sources.discovered import Discovered
from controlplane.sources.layers import Difference

_NAMESPACES = ("a", "b", "istio-system", "root")
_KEYS = [Key("Service", space, name) for space in _NAMESPACES for name in ("x", "y")]
_SELECTORS: tuple[list[dict[str, Any]], ...] = (
    [],
    [{}],
    [{"matchLabels": {"mesh": "on"}}],
    [{"matchLabels": {"kubernetes.io/metadata.name": "b"}}],
    [{"matchExpressions": [{"key": "mesh", "operator": "In", "values": ["on", "yes"]}]}],
    [{"matchExpressions": [{"key": "mesh", "operator": "NotIn", "values": ["on"]}]}],
    [{"matchExpressions": [{"key": "mesh", "operator": "Exists"}]}],
    [
        {"matchLabels": {"mesh": "on"}, "matchExpressions": [{"key": "t", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "mesh", "operator": "DoesNotExist"}]},
    ],
)


def _config(selectors: list[dict[str, Any]]) -> MeshConfig:
    config, problems = apply({"discoverySelectors": selectors, "rootNamespace": "root"})
    assert config is not None, problems
    return config


def _namespace(name: str, labels: dict[str, str]) -> Resource[Any]:
    return Resource(Key("Namespace", "", name), None, labels)


class Seen:
    """The world, as it is told."""

    def __init__(self) -> None:
        self.discovered = Discovered()
        self.there: dict[Key, Resource[Any]] = {}

    def told(self, difference: Difference) -> None:
        for key in difference.removed:
            # What is taken away was there.
            del self.there[key]
        self.there |= {one.key: one for one in difference.updated}

    def names(self) -> set[str]:
        return {f"{key.namespace}/{key.name}" for key in self.there if key.kind == "Service"}


def test_without_selectors_all_count() -> None:
    seen = Seen()
    seen.told(seen.discovered.change([Resource(one, None) for one in _KEYS], ()))
    assert len(seen.there) == len(_KEYS)


def test_a_namespace_that_is_labelled_comes_in_whole_and_goes_whole() -> None:
    seen = Seen()
    seen.told(seen.discovered.choose(_config(_SELECTORS[2])))
    seen.told(seen.discovered.change([Resource(one, None) for one in _KEYS], ()))
    always = {"istio-system/x", "istio-system/y", "root/x", "root/y"}
    assert seen.names() == always
    seen.told(seen.discovered.change([_namespace("a", {"mesh": "on"})], ()))
    assert seen.names() == always | {"a/x", "a/y"}
    seen.told(seen.discovered.change([], [Key("Service", "a", "x"), Key("Service", "b", "x")]))
    assert seen.names() == always | {"a/y"}
    seen.told(seen.discovered.change([], [Key("Namespace", "", "a")]))
    assert seen.names() == always
    seen.told(seen.discovered.choose(_config([])))
    assert seen.names() == always | {"a/y", "b/y"}


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.sampled_from(_KEYS), max_size=4, unique=True)),
        st.tuples(st.just("drop"), st.lists(st.sampled_from(_KEYS), max_size=4, unique=True)),
        st.tuples(
            st.just("label"),
            st.tuples(
                st.sampled_from(_NAMESPACES),
                st.dictionaries(st.sampled_from(["mesh", "t"]), st.sampled_from(["on", "off"])),
            ),
        ),
        st.tuples(st.just("unlabel"), st.sampled_from(_NAMESPACES)),
        st.tuples(st.just("choose"), st.sampled_from(_SELECTORS)),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(steps=_STEPS)
def test_any_history_ends_where_a_fresh_start_ends(steps: list[tuple[str, Any]]) -> None:
    seen = Seen()
    held: dict[Key, Resource[Any]] = {}
    selectors: list[dict[str, Any]] = []
    for what, value in steps:
        if what == "choose":
            selectors = value
            seen.told(seen.discovered.choose(_config(value)))
            continue
        removed: list[Key] = []
        updated: list[Resource[Any]] = []
        if what == "put":
            updated = [Resource(one, None) for one in value]
        elif what == "drop":
            removed = [one for one in value if one in held]
        elif what == "label":
            updated = [_namespace(*value)]
        elif Key("Namespace", "", value) in held:
            removed = [Key("Namespace", "", value)]
        for key in removed:
            del held[key]
        held |= {one.key: one for one in updated}
        seen.told(seen.discovered.change(updated, removed))
    fresh = Seen()
    fresh.told(fresh.discovered.choose(_config(selectors)))
    fresh.told(fresh.discovered.change(held.values(), ()))
    assert seen.there == fresh.there
    assert set(seen.discovered.names()) == set(held)
