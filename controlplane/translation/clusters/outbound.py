"""Clusters for the ports of services, one for each and one for each subset of it."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ConfigSource
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from controlplane.registry import mesh, protocols
from controlplane.registry.model import Port, Service
from controlplane.translation import endpoints, names
from controlplane.translation.clusters.mutual_tls import add_auto_mutual_tls
from controlplane.translation.clusters.protocol_options import use_http2
from controlplane.translation.durations import duration
from controlplane.translation.pack import packed
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

ADS = ConfigSource(ads=AggregatedConfigSource(), resource_api_version="V3")


@query
def clusters(view: View, service: Service, client: str) -> tuple[Encoded, ...]:
    """All clusters of a service, for clients of the namespace `client`."""
    return tuple(
        cluster(view, service, port, "", client) for port in service.ports if port.protocol != "udp"
    )


@query
def cluster(view: View, service: Service, port: Port, subset: str, client: str) -> Encoded:
    """One cluster, named `outbound|PORT|SUBSET|HOST`."""
    del client
    name = names.outbound(port.number, subset, service.host)
    built = Cluster(
        name=name,
        lb_policy=Cluster.LEAST_REQUEST,
        connect_timeout=duration(mesh.config(view).connect_timeout),
    )
    match service.resolution:
        case "EDS":
            built.type = Cluster.EDS
            built.eds_cluster_config.service_name = name
            built.eds_cluster_config.eds_config.CopyFrom(ADS)
        case "PASSTHROUGH":
            built.type = Cluster.ORIGINAL_DST
            built.lb_policy = Cluster.CLUSTER_PROVIDED
        case "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS" | "ALIAS":
            built.type = (
                Cluster.LOGICAL_DNS
                if service.resolution == "DNS_ROUND_ROBIN"
                else Cluster.STRICT_DNS
            )
            assignment = endpoints.assignment(view, service, port.number, subset)
            built.load_assignment.CopyFrom(ClusterLoadAssignment.FromString(assignment.body))
    if protocols.is_http2(port.protocol):
        use_http2(built)
    add_auto_mutual_tls(view, built, service, port, subset)
    return encoded(name, packed(built))
