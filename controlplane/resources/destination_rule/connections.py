"""What a DestinationRule says about TCP connections on their way: how long, by which hash, through
which tunnel."""

from __future__ import annotations

from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from controlplane.registry import mesh, services
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule import policy, select
from controlplane.translation import names
from controlplane.translation.durations import duration
from controlplane.world.view import View


def apply(view: View, proxy: TcpProxy, cluster: str, client: str, labels: Labels) -> None:
    """By the rule of the cluster that the connections go to; of several by weight the first."""
    to = names.parse_outbound(cluster)
    service = services.find(view, to.host, client) if to else None
    if to is None or service is None:
        return
    rule = select.rule(view, service, client, select.relevant(view, labels))
    chosen = rule.subset(to.subset)
    holds = policy.of_port(
        mesh.config(view), rule.policy, chosen.traffic_policy if chosen else None, to.port
    )
    tcp = holds.connection_pool.tcp if holds.connection_pool else None
    if tcp is not None and tcp.idle_timeout is not None:
        proxy.idle_timeout.CopyFrom(duration(tcp.idle_timeout))
    if tcp is not None and tcp.max_connection_duration is not None:
        proxy.max_downstream_connection_duration.CopyFrom(duration(tcp.max_connection_duration))
    hashed = holds.load_balancer.consistent_hash if holds.load_balancer else None
    if hashed is not None and hashed.use_source_ip:
        proxy.hash_policy.add().source_ip.SetInParent()
    tunnel = holds.tunnel
    if to.subset:
        # As in Istio, a subset has the tunnel that it names itself.
        tunnel = chosen.traffic_policy.tunnel if chosen and chosen.traffic_policy else None
    if tunnel is not None:
        proxy.tunneling_config.hostname = f"{tunnel.target_host}:{tunnel.target_port}"
        proxy.tunneling_config.use_post = tunnel.protocol.upper() == "POST"
