"""Cluster load assignments: what EDS is answered with, and what DNS clusters hold."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from controlplane.registry import services, workloads
from controlplane.registry.model import Endpoint, Service
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule.schema import Subset
from controlplane.translation import names
from controlplane.translation.pack import packed
from controlplane.world.proxy import Locality
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

_HEALTH = {
    "HEALTHY": HealthStatus.HEALTHY,
    "UNHEALTHY": HealthStatus.UNHEALTHY,
    "DRAINING": HealthStatus.DRAINING,
}


@query
def assignment(
    view: View, service: Service, port: int, subset: str, labels: Labels = ()
) -> Encoded:
    """The hosts of a cluster, by locality. `labels`: those of the subset."""
    name = names.outbound(port, subset, service.host)
    built = ClusterLoadAssignment(cluster_name=name)
    found = services.endpoints(view, service, port)
    chosen = [one for one in found if workloads.matches(labels, one.labels)]
    for locality, hosts in _by_locality(chosen):
        group: LocalityLbEndpoints = built.endpoints.add()
        if any(locality):
            group.locality.region, group.locality.zone, group.locality.sub_zone = locality
        group.load_balancing_weight.value = sum(one.weight for one in hosts)
        for one in hosts:
            _fill(group.lb_endpoints.add(), one)
    return encoded(name, packed(built))


def subset_labels(subset: Subset | None) -> Labels:
    """What hosts of a subset have; nothing for "all of the service"."""
    return workloads.pairs(subset.labels) if subset else ()


def _by_locality(found: Iterable[Endpoint]) -> list[tuple[Locality, list[Endpoint]]]:
    groups: dict[Locality, list[Endpoint]] = {}
    for one in found:
        groups.setdefault(one.locality, []).append(one)
    return sorted(groups.items())


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
