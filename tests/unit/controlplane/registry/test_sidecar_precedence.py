"""Which Sidecar a workload has, against the rule written once more: one that selects it, else its
namespace's default, else the root's; the oldest of each."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.registry import scope
from controlplane.resources.common.selector import WorkloadSelector
from controlplane.resources.resource import Key, Resource
from controlplane.resources.sidecar.schema import IstioEgressListener, Sidecar
from controlplane.world.world import World

_SPACES = ("ns", "other", "istio-system")
_LABELS = (("app", "x"), ("v", "1"))


@dataclass(frozen=True)
class Made:
    """A Sidecar."""

    namespace: str
    created: int
    #: None: for all.
    selector: tuple[tuple[str, str], ...] | None

    def resource(self, name: str) -> Resource[Sidecar]:
        chosen = None if self.selector is None else WorkloadSelector(dict(self.selector))
        spec = Sidecar(chosen, egress=(IstioEgressListener(hosts=("*/*",)),))
        return Resource(Key("Sidecar", self.namespace, name), spec, created=float(self.created))


_MADE = st.builds(
    Made,
    st.sampled_from(_SPACES),
    st.integers(0, 2),
    st.sampled_from([None, (("app", "x"),), (("app", "y"),), (("app", "x"), ("v", "2")), _LABELS]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_MADE, max_size=6), st.sampled_from(_SPACES))
def test_its_own_then_its_namespaces_then_the_roots(made: list[Made], namespace: str) -> None:
    world = World()
    resources = sorted(
        ((one, one.resource(f"s{index}")) for index, one in enumerate(made)),
        key=lambda pair: (pair[0].created, pair[0].namespace, pair[1].name),
    )
    world.change([resource for _, resource in resources])
    levels = [
        [
            resource.key
            for one, resource in resources
            if one.namespace == place
            and (
                one.selector is None
                if default
                else one.selector is not None and set(one.selector) <= set(_LABELS)
            )
        ]
        for place, default in ((namespace, False), (namespace, True), ("istio-system", True))
    ]
    wanted = next((level[0] for level in levels if level), None)
    assert scope.sidecar(world.view(), namespace, _LABELS) == wanted
