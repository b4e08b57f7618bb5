"""controlplane.registry.cluster_local: which services keep their clients in their own cluster."""

from __future__ import annotations

import pytest

from controlplane.registry.cluster_local import cluster_local
from controlplane.resources.mesh_config import apply
from controlplane.world.world import World

_API = "kubernetes.default.svc.cluster.local"
_DNS = "dns.kube-system.svc.cluster.local"


@pytest.mark.parametrize(
    ("said", "host", "local"),
    [
        ([], "a.ns.svc.cluster.local", False),
        ([], _API, True),
        ([], _DNS, True),
        ([(True, "*.ns.svc.cluster.local")], "a.ns.svc.cluster.local", True),
        ([(True, "*.ns.svc.cluster.local")], "a.other.svc.cluster.local", False),
        (
            [(True, "*.ns.svc.cluster.local"), (False, "a.ns.svc.cluster.local")],
            "a.ns.svc.cluster.local",
            False,
        ),
        (
            [(False, "*"), (True, "*.ns.svc.cluster.local"), (True, "b.x.svc.cluster.local")],
            "b.ns.svc.cluster.local",
            True,
        ),
        ([(False, _API)], _API, False),
        ([(False, _DNS)], _DNS, False),
    ],
)
def test_the_most_specific_host_says_it(
    said: list[tuple[bool, str]], host: str, local: bool
) -> None:
    settings = [{"settings": {"clusterLocal": value}, "hosts": [name]} for value, name in said]
    config, problems = apply({"serviceSettings": settings})
    assert not problems
    world = World()
    world.change(facts={"mesh-config": config})
    assert cluster_local(world.view(), host) is local
