"""Clusters for the ports of services, one for each and one for each subset of it."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ConfigSource
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from controlplane.registry import mesh, protocols
from controlplane.registry.model import Port, Service
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule import policy, select, translate
from controlplane.resources.destination_rule.select import Rule
from controlplane.translation import endpoints, names
from controlplane.translation.clusters import metadata, proxy_protocol, tls
from controlplane.translation.durations import duration
from controlplane.translation.pack import packed
from controlplane.world.proxy import EXCHANGE
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

ADS = ConfigSource(ads=AggregatedConfigSource(), resource_api_version="V3")


@query
def clusters(
    view: View, service: Service, client: str, labels: Labels, runs: tuple[str, ...]
) -> tuple[Encoded, ...]:
    """All clusters of a service, for clients of the namespace `client`; `labels`: those that
    selectors of DestinationRules ask for; `runs`: which of Istio's own filters its clients have."""
    rule = select.rule(view, service, client, labels)
    return tuple(
        cluster(view, service, port, subset, rule, runs)
        for port in service.ports
        if port.protocol != "udp"
        for subset in ("", *(one.name for one in rule.subsets))
    )


@query
def cluster(
    view: View,
    service: Service,
    port: Port,
    subset: str,
    rule: Rule,
    runs: tuple[str, ...] = (),
) -> Encoded:
    """One cluster, named `outbound|PORT|SUBSET|HOST`."""
    config = mesh.config(view)
    name = names.outbound(port.number, subset, service.host)
    chosen = rule.subset(subset)
    holds = policy.of_port(
        config, rule.policy, chosen.traffic_policy if chosen else None, port.number
    )
    built = Cluster(
        name=name,
        lb_policy=Cluster.LEAST_REQUEST,
        connect_timeout=duration(config.connect_timeout),
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
            one_address = service.resolution == "DNS_ROUND_ROBIN"
            built.type = Cluster.LOGICAL_DNS if one_address else Cluster.STRICT_DNS
            built.dns_refresh_rate.CopyFrom(duration(config.dns_refresh_rate))
            built.respect_dns_ttl = True
            labels = endpoints.subset_labels(chosen)
            assignment = endpoints.assignment(view, service, port.number, subset, labels)
            built.load_assignment.CopyFrom(ClusterLoadAssignment.FromString(assignment.body))
    translate.apply(built, holds, config, http2=protocols.is_http2(port.protocol))
    introduces = EXCHANGE in runs
    tls.add(view, built, service, port, subset, holds.tls, introduces=introduces)
    proxy_protocol.add(built, holds.proxy_protocol)
    if runs:
        metadata.add(built, service, holds.tls)
    if introduces:
        metadata.exchange(built)
    return encoded(name, packed(built))
