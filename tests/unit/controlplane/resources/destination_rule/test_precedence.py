"""Which DestinationRule holds, and what several make, against the rule written once more by
comparing all with all."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.registry import services
from controlplane.resources.common.connection_pool import ConnectionPoolSettings, TCPSettings
from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.traffic_policy import TrafficPolicy
from controlplane.resources.destination_rule import select
from controlplane.resources.destination_rule.schema import DestinationRule, Subset
from controlplane.resources.resource import Key, Resource
from controlplane.world.world import World
from tests.support import meshes

_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: a, namespace: shop}
spec: {ports: [{port: 80, name: http}]}
"""
_HOST = "a.shop.svc.cluster.local"
_SPACES = ("client", "shop", "istio-system", "other")
_LABELS = (("app", "x"), ("v", "1"))


@dataclass(frozen=True)
class Made:
    """A DestinationRule."""

    namespace: str
    created: int
    host: str
    #: The limit that its policy has, which tells policies apart; 0 is no policy.
    limit: int
    subsets: tuple[str, ...]
    selector: tuple[tuple[str, str], ...] | None
    export_to: tuple[str, ...]

    def resource(self, name: str) -> Resource[DestinationRule]:
        policy = None
        if self.limit:
            tcp = TCPSettings(max_connections=self.limit)
            policy = TrafficPolicy(connection_pool=ConnectionPoolSettings(tcp=tcp))
        selector = None if self.selector is None else PolicySelector(dict(self.selector))
        subsets = tuple(Subset(one, labels={"from": name}) for one in self.subsets)
        spec = DestinationRule(
            self.host, policy, subsets, export_to=self.export_to, workload_selector=selector
        )
        key = Key("DestinationRule", self.namespace, name)
        return Resource(key, spec, created=float(self.created))

    def full_host(self) -> str:
        if "." in self.host or self.host == "*":
            return self.host
        return f"{self.host}.{self.namespace}.svc.cluster.local"

    def covers(self) -> bool:
        host = self.full_host()
        return host in {"*", _HOST} or (host.startswith("*.") and _HOST.endswith(host[1:]))

    def seen_by(self, client: str) -> bool:
        if self.selector is not None:
            return client == self.namespace
        for one in self.export_to or ("*",):
            if one == "*" or one == client or (one == "." and client == self.namespace):
                return True
        return False

    def selects(self) -> bool:
        return self.selector is not None and set(self.selector) <= set(_LABELS)


def _last_rule(
    made: list[tuple[Made, Resource[DestinationRule]]],
) -> list[tuple[Made, Resource[DestinationRule]]]:
    """Each `exportTo` that was not there yet begins a rule, and the last one holds: what is
    exported as it is, and, where it says so, wider, joins it from there on."""
    exported = [frozenset(one.export_to) for one, _ in made]
    if not exported:
        return []
    last = list(dict.fromkeys(exported))[-1]
    begins = exported.index(last)
    return [
        pair
        for pair, own in list(zip(made, exported, strict=True))[begins:]
        if own == last or (last and own >= last)
    ]


_MADE = st.builds(
    Made,
    st.sampled_from(_SPACES),
    st.integers(0, 2),
    st.sampled_from(["a", _HOST, "*.shop.svc.cluster.local", "*.local", "*", "b.example.com"]),
    st.integers(0, 2),
    st.lists(st.sampled_from(["v1", "v2"]), max_size=2, unique=True).map(tuple),
    st.sampled_from([None, None, (), (("app", "x"),), (("app", "y"),), (("app", "x"), ("v", "1"))]),
    st.sampled_from([(), (".",), ("*",), ("client",), ("~",)]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_MADE, max_size=6), st.sampled_from(_SPACES))
def test_the_clients_namespace_then_the_services_then_the_roots(
    made: list[Made], client: str
) -> None:
    world = World()
    world.change(meshes.resources(_SERVICE))
    resources = sorted(
        ((one, one.resource(f"d{index}")) for index, one in enumerate(made)),
        key=lambda pair: (pair[0].created, pair[0].namespace, pair[1].name),
    )
    world.change([resource for _, resource in resources])
    view = world.view()
    service = services.find(view, _HOST, client)
    assert service is not None
    places = [client] if client != "istio-system" else []
    places += [one for one in ("shop", "istio-system") if one not in places]
    chosen: list[tuple[Made, Resource[DestinationRule]]] = []
    for place in places:
        there = [
            pair
            for pair in resources
            if pair[0].namespace == place and pair[0].covers() and pair[0].seen_by(client)
        ]
        if not there:
            continue
        best = max((one.full_host() == _HOST, len(one.full_host())) for one, _ in there)
        narrowest = [
            pair
            for pair in there
            if (pair[0].full_host() == _HOST, len(pair[0].full_host())) == best
        ]
        selecting = [pair for pair in narrowest if pair[0].selects()]
        same = [pair for pair in selecting if pair[0].selector == selecting[0][0].selector]
        chosen = same or _last_rule([pair for pair in narrowest if pair[0].selector is None])
        if chosen:
            break
    rule = select.rule(view, service, client, select.relevant(view, _LABELS))
    assert rule.keys == tuple(resource.key for _, resource in chosen)
    assert rule.selecting == any(one.selector is not None for one, _ in chosen)
    limits = [one.limit for one, _ in chosen if one.limit]
    pool = rule.policy.connection_pool if rule.policy else None
    assert (pool.tcp.max_connections if pool and pool.tcp else None) == (limits or [None])[0]
    # The oldest that defines a subset has it.
    first = {subset: resource.name for one, resource in reversed(chosen) for subset in one.subsets}
    assert {one.name: one.labels["from"] for one in rule.subsets} == first
