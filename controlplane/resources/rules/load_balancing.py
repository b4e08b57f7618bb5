"""Load balancing: hashing, localities, warm-up. MeshConfig has the locality part as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isqrt

from controlplane.problem import Problem, shown
from controlplane.resources.common.load_balancer import (
    BackendUtilizationLB,
    ConsistentHashLB,
    LoadBalancerSettings,
    LocalityFailover,
    LocalityLoadBalancerSetting,
    ZoneAwareLoadBalancerSetting,
)
from controlplane.resources.rules import numbers
from controlplane.resources.schema import below

_TOPOLOGY = frozenset(
    {
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "topology.istio.io/subzone",
    }
)
#: Envoy's bounds.
_LARGEST_MAGLEV = 5_000_011
_LARGEST_RING = 8 * 1024 * 1024


def load_balancer(
    given: LoadBalancerSettings | None, path: str, *, outliers: bool
) -> Iterator[Problem]:
    """`outliers`: hosts that fail are taken out, without which there is no failover."""
    if given is None:
        return
    if given.consistent_hash is not None:
        yield from _consistent_hash(given.consistent_hash, f"{path}.consistentHash")
    if given.backend_utilization is not None:
        yield from _utilization(given.backend_utilization, f"{path}.backendUtilization")
    if given.locality_lb_setting is not None and given.zone_aware_lb_setting is not None:
        yield Problem(path, "localityLbSetting, zoneAwareLbSetting exclude each other; keep one")
    yield from locality(given.locality_lb_setting, f"{path}.localityLbSetting", outliers=outliers)
    yield from _zone_aware(
        given.zone_aware_lb_setting, f"{path}.zoneAwareLbSetting", outliers=outliers
    )
    yield from numbers.duration(given.warmup_duration_secs, f"{path}.warmupDurationSecs")
    if given.warmup is not None:
        yield from numbers.duration(given.warmup.duration, f"{path}.warmup.duration")
        if given.warmup.aggression is not None and given.warmup.aggression <= 0:
            yield Problem(f"{path}.warmup.aggression", "must be greater than 0; 1 is linear")


def _consistent_hash(given: ConsistentHashLB, path: str) -> Iterator[Problem]:
    if given.http_cookie is not None:
        if not given.http_cookie.name:
            yield Problem(f"{path}.httpCookie.name", "must not be empty")
        seen: set[str] = set()
        for index, attribute in enumerate(given.http_cookie.attributes):
            at = f"{path}.httpCookie.attributes[{index}].name"
            if not attribute.name:
                yield Problem(at, "must not be empty")
            elif attribute.name in seen:
                yield Problem(at, f"{shown(attribute.name)} is there already; remove one")
            seen.add(attribute.name)
    if given.minimum_ring_size:
        at = f"{path}.minimumRingSize"
        if given.ring_hash is not None or given.maglev is not None:
            yield Problem(at, "is the old form of ringHash.minimumRingSize; remove it")
        else:
            yield Problem(at, "is deprecated; write ringHash.minimumRingSize", warning=True)
    rings = [(f"{path}.minimumRingSize", given.minimum_ring_size)]
    if given.ring_hash is not None:
        ring = given.ring_hash.minimum_ring_size
        rings.append((f"{path}.ringHash.minimumRingSize", ring))
    for at, size in rings:
        if size > _LARGEST_RING:
            yield Problem(at, f"must be {_LARGEST_RING} at most, is {size}")
    if given.maglev is not None:
        size = given.maglev.table_size
        at = f"{path}.maglev.tableSize"
        if not 0 < size < _LARGEST_MAGLEV:
            yield Problem(at, f"must be a prime number below {_LARGEST_MAGLEV}, is {size}")
        elif not _is_prime(size):
            yield Problem(at, f"must be a prime number (65537 is Envoy's default), is {size}")


def _utilization(given: BackendUtilizationLB, path: str) -> Iterator[Problem]:
    for name, seconds in (
        ("weightStabilizationPeriod", given.weight_stabilization_period),
        ("weightExpirationPeriod", given.weight_expiration_period),
    ):
        yield from numbers.duration(seconds, f"{path}.{name}", zero=True)
    update = given.weight_update_period
    if update is not None and update < 0.1:
        yield Problem(f"{path}.weightUpdatePeriod", f"must be at least 100ms, is {update:g}s")
    for index, metric in enumerate(given.metric_names_for_computing_utilization):
        if not metric:
            at = f"{path}.metricNamesForComputingUtilization[{index}]"
            yield Problem(at, "must not be empty")


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % factor for factor in range(2, isqrt(number) + 1))


def locality(
    given: LocalityLoadBalancerSetting | None, path: str, *, outliers: bool
) -> Iterator[Problem]:
    """Shares, or regions that stand in."""
    if given is None:
        return
    if given.distribute and given.failover:
        yield Problem(path, "distribute, failover exclude each other; keep one")
    for index, label in enumerate(given.failover_priority if given.failover else ()):
        if label in _TOPOLOGY:
            reason = f"{label} says the same as failover; keep one of them"
            yield Problem(f"{path}.failoverPriority[{index}]", reason)
    for index, share in enumerate(given.distribute):
        to = f"{path}.distribute[{index}].to"
        for name, weight in share.to.items():
            if not 1 <= weight <= 100:
                yield Problem(below(to, name), f"must be from 1 to 100, is {weight}")
        total = sum(share.to.values())
        if total != 100:
            yield Problem(to, f"weights must sum to 100, sum to {total}")
        yield from _localities([(below(to, name), name) for name in share.to])
    yield from _localities(
        (f"{path}.distribute[{index}].from", share.from_)
        for index, share in enumerate(given.distribute)
    )
    yield from _failover(given.failover, f"{path}.failover")
    if (given.failover or given.failover_priority) and not outliers:
        yield _no_outliers(path)


def _zone_aware(
    given: ZoneAwareLoadBalancerSetting | None, path: str, *, outliers: bool
) -> Iterator[Problem]:
    if given is None:
        return
    for index, label in enumerate(given.failover_priority):
        if label in _TOPOLOGY:
            reason = f"{label} is what zone awareness goes by already; remove it"
            yield Problem(f"{path}.failoverPriority[{index}]", reason)
    yield from _failover(given.failover, f"{path}.failover")
    if (given.failover or given.failover_priority) and not outliers:
        yield _no_outliers(path)


def _no_outliers(path: str) -> Problem:
    reason = "needs outlierDetection beside loadBalancer, or no failure is ever noticed; add it"
    return Problem(path, reason, warning=True)


def _failover(given: Sequence[LocalityFailover], path: str) -> Iterator[Problem]:
    for index, one in enumerate(given):
        at = f"{path}[{index}]"
        if one.from_ == one.to:
            yield Problem(at, f"from and to are both {shown(one.to)}; name two regions")
        for name, region in (("from", one.from_), ("to", one.to)):
            if "/" in region or "*" in region:
                yield Problem(f"{at}.{name}", f"{shown(region)} must be a region, without / and *")


def _localities(given: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """`region[/zone[/subzone]]`, `*` at the end only, none of them part of another."""
    #: Places without their `*`, and every place that is above one of them.
    whole: dict[tuple[str, ...], str] = {}
    parts: dict[tuple[str, ...], str] = {}
    for path, name in given:
        items = name.split("/", 2)
        if not all(items):
            yield Problem(path, f"{shown(name)} must be region/zone/subzone, none of them empty")
            continue
        if "*" in name and (name.count("*") > 1 or items[-1] != "*"):
            yield Problem(path, f"{shown(name)} may have one *, as its last part")
            continue
        wildcard = items[-1] == "*"
        place = tuple(items[:-1] if wildcard else items)
        above = [place[:length] for length in range(len(place) + 1)]
        other = next((whole[one] for one in above if one in whole), None)
        # A wildcard may come last, for what the others leave.
        if other is None and not wildcard:
            other = parts.get(place)
        if other is not None:
            yield Problem(path, f"{shown(name)} overlaps with {shown(other)}; remove one")
            continue
        whole[place] = name
        for one in above:
            parts.setdefault(one, name)
