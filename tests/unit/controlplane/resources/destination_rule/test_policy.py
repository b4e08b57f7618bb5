"""The policy of a port of a subset: the host's and its port's, then the subset's and its port's."""

from __future__ import annotations

import itertools

from controlplane.resources.common.destination import PortSelector
from controlplane.resources.common.load_balancer import LoadBalancerSettings
from controlplane.resources.common.traffic_policy import PortTrafficPolicy, TrafficPolicy
from controlplane.resources.destination_rule import policy
from controlplane.resources.mesh_config.schema import MeshConfig


def _balancer(name: str) -> LoadBalancerSettings:
    return LoadBalancerSettings(simple=name)  # type: ignore[arg-type]


def _policy(own: str, of_port: str) -> TrafficPolicy | None:
    if not own and not of_port:
        return None
    ports = (PortTrafficPolicy(port=PortSelector(80), load_balancer=_balancer(of_port)),)
    return TrafficPolicy(
        load_balancer=_balancer(own) if own else None,
        port_level_settings=ports if of_port else (),
    )


def test_what_is_said_last_holds() -> None:
    for said in itertools.product((True, False), repeat=4):
        names = [
            name if there else ""
            for name, there in zip(
                ("RANDOM", "ROUND_ROBIN", "LEAST_REQUEST", "PASSTHROUGH"), said, strict=True
            )
        ]
        host, subset = _policy(*names[:2]), _policy(*names[2:])
        found = policy.of_port(MeshConfig(), host, subset, 80).load_balancer
        expected = next((name for name in reversed(names) if name), None)
        assert (found.simple if found else None) == expected, names


def test_a_port_does_not_inherit() -> None:
    host = TrafficPolicy(
        load_balancer=_balancer("RANDOM"),
        port_level_settings=(PortTrafficPolicy(port=PortSelector(80)),),
    )
    assert policy.of_port(MeshConfig(), host, None, 80).load_balancer is None
    assert policy.of_port(MeshConfig(), host, None, 81).load_balancer == _balancer("RANDOM")
