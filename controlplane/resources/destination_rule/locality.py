"""Which localities a client's requests go to, in which shares and in which order."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.registry import mesh
from controlplane.registry.model import Service
from controlplane.registry.workloads import Labels
from controlplane.resources.common.load_balancer import LocalityLoadBalancerSetting
from controlplane.resources.destination_rule import policy
from controlplane.resources.destination_rule.select import Rule
from controlplane.world.proxy import NOWHERE, Locality
from controlplane.world.view import View, query


@dataclass(frozen=True, slots=True)
class Preference:
    """What holds for one client. The default is: all localities alike."""

    #: The client's; NOWHERE where it does not matter, so that clients share.
    locality: Locality = NOWHERE
    #: Share of each locality pattern, `region/zone/*`; localities that none covers get nothing.
    shares: tuple[tuple[str, int], ...] = ()
    #: Region to region: where to go when the client's own is not healthy.
    failover: tuple[tuple[str, str], ...] = ()
    #: Labels, with the client's values, the most important first; in place of localities.
    labels: tuple[tuple[str, str], ...] = ()
    #: Whether nearer hosts come first.
    nearest_first: bool = False
    #: Whether subzones count; `trafficDistribution` is about zones.
    subzones: bool = True
    #: The client's node, where hosts of the same one come first.
    node: str = ""


_NONE = Preference()


@query
def preference(
    view: View,
    service: Service,
    port: int,
    subset: str,
    rule: Rule,
    locality: Locality,
    labels: Labels,
    node: str = "",
) -> Preference:
    """The preference of a client. Nearer hosts come first only where outlier detection tells when
    to leave them (so Istio requires), or where the Service asks for it (`trafficDistribution`)."""
    config = mesh.config(view)
    chosen = rule.subset(subset)
    holds = policy.of_port(config, rule.policy, chosen.traffic_policy if chosen else None, port)
    balancer = holds.load_balancer
    said = balancer.locality_lb_setting if balancer else None
    if said is None and service.traffic_distribution in {"PreferClose", "PreferSameZone"}:
        near = Preference(locality=locality, nearest_first=True, subzones=False)
        return _NONE if locality == NOWHERE else near
    if said is None and service.traffic_distribution == "PreferSameNode":
        return Preference(locality=locality, nearest_first=True, node=node)
    setting = said or config.locality_lb_setting
    if setting.enabled is False:
        return _NONE
    for one in setting.distribute:
        if matches(one.from_, locality):
            return Preference(shares=tuple(sorted(one.to.items())))
    if holds.outlier_detection is None or setting.distribute:
        return _NONE
    return _failover(setting, locality, labels)


def only_healthy(view: View, service: Service, rule: Rule, port: int, subset: str) -> bool:
    """Whether hosts that are not ready stay untold: where a rule has all hosts used once too few
    are healthy (`minHealthPercent`), these would be, too."""
    if service.traffic_distribution:
        return False
    chosen = rule.subset(subset)
    own = chosen.traffic_policy if chosen else None
    outliers = policy.of_port(mesh.config(view), rule.policy, own, port).outlier_detection
    return outliers is not None and outliers.min_health_percent > 0


def matches(pattern: str, locality: Locality) -> bool:
    """Whether `region/zone/subzone`, each part or all behind a part `*`, covers a locality."""
    for part, own in zip(pattern.split("/"), locality, strict=False):
        if part == "*":
            return True
        if part != own:
            return False
    return True


def priority(wanted: Preference, locality: Locality, labels: Labels, node: str = "") -> int:
    """How far a host is: 0 is nearest. Labels first, where regions are given as well."""
    if wanted.node:
        return 0 if node == wanted.node else 1 + _distance(wanted, locality)
    if not wanted.labels:
        return _distance(wanted, locality)
    far = _by_labels(wanted.labels, dict(labels))
    return far * _FARTHEST + _distance(wanted, locality) if wanted.failover else far


_FARTHEST = 5


def _by_labels(asked: Labels, have: dict[str, str]) -> int:
    for index, (name, value) in enumerate(asked):
        if have.get(name) != value:
            return len(asked) - index
    return 0


def _distance(wanted: Preference, locality: Locality) -> int:
    own = wanted.locality
    if locality.region != own.region:
        return 3 if (own.region, locality.region) in wanted.failover else 4
    if locality.zone != own.zone:
        return 2
    return 1 if wanted.subzones and locality.subzone != own.subzone else 0


def _failover(
    setting: LocalityLoadBalancerSetting, locality: Locality, labels: Labels
) -> Preference:
    regions = tuple((one.from_, one.to) for one in setting.failover)
    have = dict(labels)
    pairs = []
    for one in setting.failover_priority:
        # `label`: the client's own value; `label=value`: that value.
        name, given, value = one.partition("=")
        pairs.append((name, value if given else have.get(name, "")))
    where = locality if regions or not pairs else NOWHERE
    if where == NOWHERE and not pairs:
        return _NONE
    return Preference(where, failover=regions, labels=tuple(pairs), nearest_first=True)
