"""Which VirtualService holds for a host: what `select` answers is what the rule says, whatever
VirtualServices there are.

The rule is written here once more, by comparing all with all.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.registry.scope import Caller
from controlplane.resources.resource import Key, Resource
from controlplane.resources.virtual_service import select
from controlplane.resources.virtual_service.schema import (
    HTTPMatchRequest,
    HTTPRoute,
    VirtualService,
)
from controlplane.world.world import World

_SPACES = ("default", "shop", "istio-system")
_HOSTS = ("a", "a.default.svc.cluster.local", "x.example.com", "*.example.com", "*.com", "*")
_ASKED = ("a.default.svc.cluster.local", "a.shop.svc.cluster.local", "x.example.com", "y.com", "z")
_GATEWAYS = ("mesh", "edge", "shop/edge", "default/edge")


@dataclass(frozen=True)
class Made:
    """A VirtualService; the number is its age and its name."""

    namespace: str
    created: int
    hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    #: Of its one match.
    narrowed: tuple[str, ...]
    export_to: tuple[str, ...]

    def resource(self, name: str) -> Resource[VirtualService]:
        match = HTTPMatchRequest(gateways=self.narrowed)
        spec = VirtualService(
            self.hosts, self.gateways, (HTTPRoute(match=(match,)),), export_to=self.export_to
        )
        key = Key("VirtualService", self.namespace, name)
        return Resource(key, spec, created=float(self.created))

    def full_hosts(self) -> list[str]:
        return [
            one if "." in one or one == "*" else f"{one}.{self.namespace}.svc.cluster.local"
            for one in self.hosts
        ]

    def bound(self) -> set[str]:
        """To which gateways, as a resource of the namespace means them."""
        named = {*self.gateways, *self.narrowed} or {"mesh"}
        if not self.gateways:
            named.add("mesh")
        return {one if one == "mesh" or "/" in one else f"{self.namespace}/{one}" for one in named}

    def seen_in(self, namespace: str) -> bool:
        for one in self.export_to or ("*",):
            if one == "*" or one == namespace or (one == "." and namespace == self.namespace):
                return True
        return False


_MADE = st.builds(
    Made,
    st.sampled_from(_SPACES),
    st.integers(0, 2),
    st.lists(st.sampled_from(_HOSTS), min_size=1, max_size=2, unique=True).map(tuple),
    st.lists(st.sampled_from(_GATEWAYS), max_size=2, unique=True).map(tuple),
    st.lists(st.sampled_from(_GATEWAYS), max_size=1).map(tuple),
    st.sampled_from([(), (".",), ("*",), ("shop",), ("~",), ("default", "shop")]),
)
_WORLDS = st.lists(_MADE, max_size=6)


def _resources(made: list[Made]) -> list[tuple[Made, Resource[VirtualService]]]:
    found = [(one, one.resource(f"v{index}")) for index, one in enumerate(made)]
    return sorted(found, key=lambda pair: (pair[0].created, pair[0].namespace, pair[1].name))


def _covers(pattern: str, host: str) -> bool:
    return pattern in {"*", host} or (pattern.startswith("*.") and host.endswith(pattern[1:]))


@settings(max_examples=200, deadline=None)
@given(_WORLDS, st.sampled_from(_ASKED), st.sampled_from(_SPACES))
def test_the_exact_host_then_the_longest_wildcard_then_the_oldest(
    made: list[Made], host: str, namespace: str
) -> None:
    world = World()
    oldest_first = _resources(made)
    world.change([resource for _, resource in oldest_first])
    candidates = [
        (pattern != host, -len(pattern), age, resource.key)
        for age, (one, resource) in enumerate(oldest_first)
        if "mesh" in one.bound() and one.seen_in(namespace)
        for pattern in one.full_hosts()
        if _covers(pattern, host)
    ]
    wanted = min(candidates)[3] if candidates else None
    assert select.for_host(world.view(), Caller(namespace), host) == wanted


@settings(max_examples=200, deadline=None)
@given(_WORLDS, st.sampled_from(_SPACES), st.sampled_from(_GATEWAYS[2:]))
def test_gateways_get_all_that_are_bound_the_oldest_first(
    made: list[Made], namespace: str, gateway: str
) -> None:
    world = World()
    oldest_first = _resources(made)
    world.change([resource for _, resource in oldest_first])
    wanted = tuple(
        (host, resource.key)
        for one, resource in oldest_first
        if gateway in one.bound() and one.seen_in(namespace)
        for host in one.full_hosts()
    )
    assert select.for_gateways(world.view(), (gateway,), namespace) == wanted
