"""Clusters for the ports of services, one for each and one for each subset of it."""

from __future__ import annotations

from dataclasses import replace

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ConfigSource
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from controlplane.registry import mesh
from controlplane.registry.model import Port, Service
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule import policy, select, translate
from controlplane.resources.destination_rule.select import Rule
from controlplane.translation import dynamic_dns, endpoints, names, stat_names
from controlplane.translation.clusters import metadata, proxy_protocol, tls
from controlplane.translation.clusters.protocol_options import Wire
from controlplane.translation.durations import duration
from controlplane.translation.pack import packed
from controlplane.world.proxy import EXCHANGE
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

ADS = ConfigSource(ads=AggregatedConfigSource(), resource_api_version="V3")


@query
def clusters(
    view: View, service: Service, client: str, labels: Labels, wire: Wire
) -> tuple[Encoded, ...]:
    """All clusters of a service, for clients of the namespace `client`; `labels`: those that
    selectors of DestinationRules ask for; `wire`: whatever the protocol of its ports."""
    rule = select.rule(view, service, client, labels)
    return tuple(
        cluster(view, service, port, subset, rule, replace(wire, protocol=port.protocol))
        for port in service.ports
        if port.protocol != "udp" and dynamic_dns.has(service, port)
        for subset in ("", *(() if dynamic_dns.is_dynamic(service) else _names(rule)))
    )


def _names(rule: Rule) -> tuple[str, ...]:
    return tuple(one.name for one in rule.subsets)


@query
def passed_on(
    view: View, service: Service, port: Port, subset: str, client: str, labels: Labels, wire: Wire
) -> Encoded:
    """The cluster of an east-west gateway: the same hosts by another name, in bytes as they come,
    because clients and hosts speak mutual TLS through it."""
    rule = select.rule(view, service, client, labels)
    of_clients = cluster(view, service, port, subset, rule, replace(wire, protocol="tcp"))
    built = Cluster.FromString(of_clients.body)
    built.name = names.sni(port.number, subset, service.host)
    if built.type == Cluster.EDS:
        # Its own: only hosts that insist on mutual TLS.
        built.eds_cluster_config.service_name = built.name
    for field in ("transport_socket", "transport_socket_matches", "alt_stat_name"):
        built.ClearField(field)
    return encoded(built.name, packed(built))


@query
def cluster(
    view: View, service: Service, port: Port, subset: str, rule: Rule, wire: Wire
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
    if config.outbound_cluster_stat_name:
        pattern = config.outbound_cluster_stat_name
        built.alt_stat_name = stat_names.of_service(pattern, service, port, subset) + ";"
    match service.resolution:
        case "PASSTHROUGH" if wire.sidecar:
            built.type = Cluster.ORIGINAL_DST
            built.lb_policy = Cluster.CLUSTER_PROVIDED
            if service.kind == "ServiceEntry" and port.target != port.number:
                built.original_dst_lb_config.upstream_port_override.value = int(port.target)
        case "EDS" | "PASSTHROUGH":
            # Nobody who comes to a gateway was going to a host of the service.
            built.type = Cluster.EDS
            built.eds_cluster_config.service_name = name
            built.eds_cluster_config.eds_config.CopyFrom(ADS)
        case "DYNAMIC_DNS":
            dynamic_dns.discover(built, service, only_ipv6=wire.only_ipv6)
        case "DNS" | "DNS_ROUND_ROBIN" | "ALIAS":
            one_address = service.resolution == "DNS_ROUND_ROBIN"
            built.type = Cluster.LOGICAL_DNS if one_address else Cluster.STRICT_DNS
            built.dns_refresh_rate.CopyFrom(duration(config.dns_refresh_rate))
            built.respect_dns_ttl = True
            built.dns_lookup_family = Cluster.V6_ONLY if wire.only_ipv6 else Cluster.V4_ONLY
            labels = endpoints.subset_labels(chosen)
            assignment = endpoints.assignment(view, service, port.number, subset, labels)
            built.load_assignment.CopyFrom(ClusterLoadAssignment.FromString(assignment.body))
    translate.apply(built, holds, config, wire)
    if service.traffic_distribution and built.HasField("common_lb_config"):
        # Hosts that are not ready are there to tell when to leave a zone, not to be used.
        built.common_lb_config.healthy_panic_threshold.value = 0
    may_have = not wire.sidecar or rule.selecting
    introduces = EXCHANGE in wire.runs
    tls.add(
        view,
        built,
        service,
        port,
        subset,
        holds.tls,
        may_have=may_have,
        introduces=introduces,
        system_roots=wire.system_roots,
    )
    proxy_protocol.add(built, holds.proxy_protocol)
    if wire.runs:
        metadata.add(built, service, holds.tls)
    if introduces:
        metadata.exchange(built)
    return encoded(name, packed(built))
