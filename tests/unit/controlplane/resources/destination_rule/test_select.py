"""Which DestinationRule holds: namespaces in turn, the most specific host, merged by age."""

from __future__ import annotations

import itertools

import pytest

from controlplane.registry import services
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule import select
from controlplane.world.world import World
from tests.support import meshes

_HOST = "reviews.svc-ns.svc.cluster.local"
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: svc-ns}
spec: {ports: [{port: 80, name: http}]}
"""


def _rule(name: str, namespace: str, host: str = _HOST, spec: str = "") -> str:
    return (
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\n"
        f'spec: {{host: "{host}"{", " if spec else ""}{spec}}}\n'
    )


def _chosen(world: World, client: str = "client", labels: Labels = ()) -> list[str]:
    view = world.view()
    service = services.find(view, _HOST, client)
    assert service is not None
    return [key.name for key in select.rule(view, service, client, labels).keys]


_PLACES = ("client", "svc-ns", "istio-system", "third")


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_namespaces_in_turn(count: int) -> None:
    """The client's, the service's, the mesh's; whatever the age. Others' never."""
    for there in itertools.permutations(_PLACES, count):
        world = meshes.world(_SERVICE + "".join(_rule(place, place) for place in there))
        expected = [place for place in _PLACES[:3] if place in there][:1]
        assert _chosen(world) == expected, there


@pytest.mark.parametrize(
    "order", [*itertools.permutations((_HOST, "*.svc-ns.svc.cluster.local", "*.local", "*"))]
)
def test_the_most_specific_host(order: tuple[str, ...]) -> None:
    world = meshes.world(
        _SERVICE + "".join(_rule(f"r{i}", "client", host) for i, host in enumerate(order))
    )
    assert _chosen(world) == [f"r{order.index(_HOST)}"]
    without = meshes.world(
        _SERVICE
        + "".join(_rule(f"r{i}", "client", host) for i, host in enumerate(order) if host != _HOST)
    )
    assert _chosen(without) == [f"r{order.index('*.svc-ns.svc.cluster.local')}"]


@pytest.mark.parametrize(
    ("export", "seen"),
    [
        ("", True),
        ('exportTo: ["*"]', True),
        ('exportTo: ["."]', False),
        ("exportTo: [client]", True),
        ("exportTo: [third]", False),
    ],
)
def test_exported_to(export: str, seen: bool) -> None:
    world = meshes.world(_SERVICE + _rule("r", "svc-ns", spec=export))
    assert bool(_chosen(world)) is seen


def test_rules_for_some_clients_come_first_and_are_their_namespaces_own() -> None:
    selector = "workloadSelector: {matchLabels: {app: a}}"
    world = meshes.world(
        _SERVICE
        + _rule("all", "client")
        + _rule("some", "client", spec=selector)
        + _rule("far", "svc-ns", spec=selector)
    )
    assert _chosen(world, labels=(("app", "a"),)) == ["some"]
    assert _chosen(world) == ["all"]
    only_far = meshes.world(_SERVICE + _rule("far", "svc-ns", spec=selector))
    assert _chosen(only_far, labels=(("app", "a"),)) == []


def test_several_for_one_host_are_merged_by_age() -> None:
    def subset(name: str, version: str) -> str:
        return f"{{name: {name}, labels: {{version: {version}}}}}"

    world = meshes.world(
        _SERVICE
        + _rule("first", "client", spec=f"subsets: [{subset('v1', 'a')}]")
        + _rule(
            "second",
            "client",
            spec=f"subsets: [{subset('v1', 'b')}, {subset('v2', 'b')}], "
            "trafficPolicy: {loadBalancer: {simple: RANDOM}}",
        )
        + _rule("third", "client", spec="trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}")
    )
    view = world.view()
    service = services.find(view, _HOST, "client")
    assert service is not None
    found = select.rule(view, service, "client", ())
    assert [key.name for key in found.keys] == ["first", "second", "third"]
    assert [(one.name, one.labels["version"]) for one in found.subsets] == [
        ("v1", "a"),
        ("v2", "b"),
    ]
    assert found.policy is not None
    assert found.policy.load_balancer is not None
    assert found.policy.load_balancer.simple == "RANDOM"
