"""Cluster load assignments: what EDS is answered with, and what DNS clusters hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from controlplane.registry import services, workloads
from controlplane.registry.model import Endpoint, Service
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule.locality import Preference, matches, priority
from controlplane.resources.destination_rule.schema import Subset
from controlplane.resources.peer_authentication.translate import ever_disabled, mode
from controlplane.translation import names
from controlplane.translation.pack import packed
from controlplane.world.proxy import Locality
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

#: Shares are whole numbers; divided among localities they must stay so.
_SCALE = 100
EVERYWHERE = Preference()


@dataclass(frozen=True, slots=True)
class Only:
    """Which hosts of a service count for a client."""

    #: Of this Kubernetes cluster; None is any.
    cluster: str | None = None
    #: Of this node of Kubernetes; None is any.
    node: str | None = None
    #: Those behind an east-west gateway, whose clients choose by SNI.
    passed_on: bool = False
    #: Without those that are UNHEALTHY.
    healthy: bool = False


ANYWHERE = Only()

_HEALTH = {
    "HEALTHY": HealthStatus.HEALTHY,
    "UNHEALTHY": HealthStatus.UNHEALTHY,
    "DRAINING": HealthStatus.DRAINING,
}


@query
def assignment(
    view: View,
    service: Service,
    port: int,
    subset: str,
    labels: Labels = (),
    wanted: Preference = EVERYWHERE,
    only: Only = ANYWHERE,
) -> Encoded:
    """The hosts of a cluster, by priority and locality. `labels`: those of the subset; `wanted`:
    which localities the client prefers; `only`: which of them count at all."""
    named = names.sni if only.passed_on else names.outbound
    name = named(port, subset, service.host)
    built = ClusterLoadAssignment(cluster_name=name)
    chosen = [
        replace(one, mutual_tls=takes_mutual_tls(view, one))
        for one in services.endpoints(view, service, port)
        if workloads.matches(labels, one.labels)
        and not (only.healthy and one.health == "UNHEALTHY")
        and only.cluster in {None, one.cluster}
        and only.node in {None, one.node}
    ]
    if only.passed_on:
        # Nobody can tell there whether a client speaks mutual TLS; so its host must insist on it.
        chosen = [one for one in chosen if one.mutual_tls]
    for group in _groups(chosen, wanted):
        locality: LocalityLbEndpoints = built.endpoints.add(priority=group.priority)
        # There even where it is not known: gRPC's clients ask for that.
        place = locality.locality
        place.region, place.zone, place.sub_zone = group.locality
        place.SetInParent()
        locality.load_balancing_weight.value = group.weight
        for one in group.hosts:
            _fill(locality.lb_endpoints.add(), one)
    return encoded(name, packed(built))


def takes_mutual_tls(view: View, one: Endpoint) -> bool:
    """Whether a host has a sidecar, and no PeerAuthentication turns mutual TLS off for its port."""
    if not one.mutual_tls or not ever_disabled(view, one.namespace):
        return one.mutual_tls
    return mode(view, one.namespace, one.labels, one.port) != "DISABLE"


def subset_labels(subset: Subset | None) -> Labels:
    """What hosts of a subset have; nothing for "all of the service"."""
    return workloads.pairs(subset.labels) if subset else ()


@dataclass(frozen=True, slots=True)
class _Group:
    """The hosts of one locality and priority."""

    priority: int
    locality: Locality
    weight: int
    hosts: tuple[Endpoint, ...]


def _groups(found: Iterable[Endpoint], wanted: Preference) -> list[_Group]:
    held: dict[tuple[int, Locality], list[Endpoint]] = {}
    for one in found:
        far = priority(wanted, one.locality, one.labels, one.node) if wanted.nearest_first else 0
        held.setdefault((far, one.locality), []).append(one)
    # Envoy wants priorities without gaps.
    order = {far: index for index, far in enumerate(sorted({far for far, _ in held}))}
    groups = [
        _Group(order[far], locality, sum(one.weight for one in hosts), tuple(hosts))
        for (far, locality), hosts in sorted(held.items())
    ]
    return _shared(groups, wanted.shares) if wanted.shares else groups


def _shared(groups: list[_Group], shares: tuple[tuple[str, int], ...]) -> list[_Group]:
    """Localities by given shares. Those that one pattern covers divide its share by their hosts'
    weights; a locality belongs to the most specific pattern."""
    members: dict[str, list[_Group]] = {}
    for group in groups:
        covering = [pattern for pattern, _ in shares if matches(pattern, group.locality)]
        if covering:
            members.setdefault(max(covering, key=len), []).append(group)
    found = []
    for pattern, share in shares:
        own = members.get(pattern, [])
        total = sum(group.weight for group in own)
        for group in own:
            weight = round(share * group.weight / total * _SCALE)
            if weight:
                found.append(replace(group, weight=weight))
    return sorted(found, key=lambda group: group.locality)


def _fill(host: LbEndpoint, one: Endpoint) -> None:
    address = host.endpoint.address
    if one.address.startswith(("/", "@")):
        address.pipe.path = one.address
    else:
        address.socket_address.address = one.address
        address.socket_address.port_value = one.port
    host.health_status = _HEALTH[one.health]
    host.load_balancing_weight.value = one.weight
    if one.mutual_tls:
        metadata = host.metadata.filter_metadata["envoy.transport_socket_match"]
        metadata.update({"tlsMode": "istio"})
    # What Istio's telemetry reads: workload;namespace;canonical name;canonical revision;cluster.
    labels = dict(one.labels)
    revision = labels.get("service.istio.io/canonical-revision", labels.get("version", ""))
    canonical = labels.get("service.istio.io/canonical-name", labels.get("app", one.workload))
    host.metadata.filter_metadata["istio"].update(
        {"workload": ";".join((one.workload, one.namespace, canonical, revision, one.cluster))}
    )
