"""Which patches a proxy gets and in which order, against the rule written once more: the root
namespace's first, then its own; by priority, then the oldest first, then as they are written."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.resources.common.selector import WorkloadSelector
from controlplane.resources.common.target import PolicyTargetReference
from controlplane.resources.envoy_filter.schema import (
    ApplyTo,
    ConfigObjectMatch,
    ConfigPatch,
    EnvoyFilter,
    Patch,
    ProxyMatch,
)
from controlplane.resources.envoy_filter.select import patches, target
from controlplane.resources.resource import Key, Resource
from controlplane.world.world import World

_SPACES = ("ns", "other", "istio-system")
_LABELS = (("app", "x"), ("gateway.networking.k8s.io/gateway-name", "edge"))
_NODE = (("ISTIO_VERSION", "1.32.0"), ("ZONE", "a"))


@dataclass(frozen=True)
class Made:
    """An EnvoyFilter; each patch is what it applies to and for which proxies."""

    namespace: str
    created: int
    priority: int
    #: Labels, the name of a gateway, or None: for all.
    chosen: tuple[tuple[str, str], ...] | str | None
    patches: tuple[tuple[ApplyTo, ProxyMatch | None], ...]

    def resource(self, name: str) -> Resource[EnvoyFilter]:
        labels = WorkloadSelector(dict(self.chosen)) if isinstance(self.chosen, tuple) else None
        references = (
            (PolicyTargetReference("Gateway", self.chosen, "gateway.networking.k8s.io"),)
            if isinstance(self.chosen, str)
            else ()
        )
        made = tuple(
            ConfigPatch(apply_to, ConfigObjectMatch(proxy=proxy), Patch("MERGE", {"name": "x"}))
            for apply_to, proxy in self.patches
        )
        spec = EnvoyFilter(labels, references, made, self.priority)
        return Resource(Key("EnvoyFilter", self.namespace, name), spec, created=float(self.created))

    def selects(self, namespace: str) -> bool:
        if isinstance(self.chosen, str):
            return self.namespace == namespace and self.chosen == "edge"
        return self.chosen is None or set(self.chosen) <= set(_LABELS)


_PROXIES: list[tuple[ProxyMatch | None, bool]] = [
    (None, True),
    (ProxyMatch(r"^1\.32"), True),
    (ProxyMatch(r"^1\.31"), False),
    (ProxyMatch(metadata={"ZONE": "a"}), True),
    (ProxyMatch(metadata={"ZONE": "b"}), False),
]
_MADE = st.builds(
    Made,
    st.sampled_from(_SPACES),
    st.integers(0, 2),
    st.integers(-1, 1),
    st.sampled_from([None, (("app", "x"),), (("app", "y"),), "edge", "inner"]),
    st.lists(
        st.tuples(st.sampled_from(["CLUSTER", "LISTENER"]), st.sampled_from(_PROXIES)).map(
            lambda one: (one[0], one[1][0])
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_MADE, max_size=5), st.sampled_from(_SPACES))
def test_the_roots_then_its_own_by_priority_then_age(made: list[Made], namespace: str) -> None:
    world = World()
    resources = sorted(
        ((one, one.resource(f"f{index}")) for index, one in enumerate(made)),
        key=lambda pair: (pair[0].created, pair[0].namespace, pair[1].name),
    )
    world.change([resource for _, resource in resources])
    wanted = []
    for place in dict.fromkeys(("istio-system", namespace)):
        there = [
            pair for pair in resources if pair[0].namespace == place and pair[0].selects(namespace)
        ]
        for one, resource in sorted(there, key=lambda pair: pair[0].priority):
            wanted += [
                (resource.key, index)
                for index, (apply_to, proxy) in enumerate(one.patches)
                if apply_to == "CLUSTER" and (proxy, True) in _PROXIES
            ]
    view = world.view()
    found = patches(view, target(view, namespace, _LABELS, _NODE), "CLUSTER")
    assert [(one.key, one.index) for one in found] == wanted
