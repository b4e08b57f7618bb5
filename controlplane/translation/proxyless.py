"""What gRPC's own xDS clients are sent (Istio's generator `grpc`): `xds:///HOST:PORT` and on.

The same names as for sidecars, and of each resource what gRPC reads: an API listener for the
target, the routes of that one service, clusters without what gRPC refuses. There is no auto mTLS,
as in Istio: a client speaks mutual TLS where a DestinationRule says ISTIO_MUTUAL, with the
certificate provider `default` of its bootstrap.
"""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    UpstreamTlsContext,
)

from controlplane.registry import mesh, scope
from controlplane.registry.model import Port, Service
from controlplane.resources.destination_rule import select as destination_rules
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation import names
from controlplane.translation.clusters import outbound as clusters
from controlplane.translation.clusters.protocol_options import Wire
from controlplane.translation.pack import any_of, packed
from controlplane.translation.routes import outbound as routes
from controlplane.translation.tls import CERTIFICATE, ROOTS, socket
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded
from mesh import api

#: The node's metadata GENERATOR of such a client.
GENERATOR = "grpc"
#: The certificate provider that the bootstrap of such a client has (Istio's agent writes it).
_PROVIDER = "default"


@query
def listener(view: View, client: Client, target: str) -> Encoded | None:
    """LDS: the target `HOST:PORT` of a channel; the host as the client's namespace may write it.
    The port may be left out if the service has one."""
    found = _service(view, client, target)
    if found is None:
        return None
    service, port = found
    manager = hcm.HttpConnectionManager(stat_prefix=target)
    manager.rds.route_config_name = names.outbound(port.number, "", service.host)
    manager.rds.config_source.CopyFrom(clusters.ADS)
    manager.http_filters.add(name="envoy.filters.http.fault", typed_config=any_of(HTTPFault()))
    manager.http_filters.add(name="envoy.filters.http.router", typed_config=any_of(Router()))
    built = Listener(name=target)
    built.api_listener.api_listener.CopyFrom(any_of(manager))
    return encoded(target, packed(built))


@query
def route(view: View, client: Client, name: str) -> Encoded | None:
    """RDS: `outbound|PORT||HOST`, the routes of that service and no other."""
    asked = names.parse_outbound(name)
    service = scope.find(view, client.caller, asked.host) if asked else None
    port = service.port(asked.port) if service and asked else None
    if service is None or port is None:
        return None
    host = VirtualHost.FromString(routes.virtual_host(view, service, port, client))
    host.domains.extend(routes.domains(view, service, port.number, client.namespace, True))
    for one in host.routes:
        if one.HasField("route"):
            # The only limit that gRPC reads.
            one.route.max_stream_duration.max_stream_duration.CopyFrom(one.route.timeout)
    # A channel's target may be without the port, and gRPC takes none off before it compares.
    bare = (one.removesuffix(f":{port.number}") for one in [*host.domains])
    host.domains.extend([one for one in bare if one not in host.domains])
    return encoded(name, packed(RouteConfiguration(name=name, virtual_hosts=[host])))


@query
def cluster(view: View, client: Client, name: str) -> Encoded | None:
    """CDS: hosts come by EDS. Services that DNS resolves, and TLS other than the mesh's own, are
    not for gRPC; as in Istio there is no such cluster then."""
    asked = names.parse_outbound(name)
    service = scope.find(view, client.caller, asked.host) if asked else None
    port = service.port(asked.port) if service and asked else None
    if asked is None or service is None or port is None:
        return None
    namespace = client.caller.namespace
    rule = destination_rules.rule(view, service, namespace, client.labels)
    if asked.subset and rule.subset(asked.subset) is None:
        return None
    of_sidecars = clusters.cluster(view, service, port, asked.subset, rule, Wire(port.protocol))
    full = Cluster.FromString(of_sidecars.body)
    if full.type != Cluster.EDS:
        return None
    built = Cluster(
        name=name,
        type=Cluster.EDS,
        eds_cluster_config=full.eds_cluster_config,
        lb_policy=Cluster.ROUND_ROBIN,
    )
    if full.lb_policy == Cluster.RING_HASH:
        built.lb_policy = Cluster.RING_HASH
        built.ring_hash_lb_config.CopyFrom(full.ring_hash_lb_config)
    if full.HasField("circuit_breakers"):
        built.circuit_breakers.CopyFrom(full.circuit_breakers)
    if full.HasField("outlier_detection"):
        built.outlier_detection.CopyFrom(full.outlier_detection)
    if full.HasField("transport_socket"):
        mutual = _mutual(full)
        if mutual is None:
            return None
        built.transport_socket.CopyFrom(socket(mutual))
    return encoded(name, packed(built))


#: By the type that is asked for; EDS is the same for all.
BY_TYPE = {api.LISTENER: listener, api.ROUTE: route, api.CLUSTER: cluster}


def _service(view: View, client: Client, target: str) -> tuple[Service, Port] | None:
    host, colon, number = target.rpartition(":")
    namespace, domain = client.caller.namespace, mesh.domain(view)
    asked = host if colon else target
    for name in (
        asked,
        f"{asked}.{namespace}.svc.{domain}",
        f"{asked}.svc.{domain}",
        f"{asked}.{domain}",
    ):
        service = scope.find(view, client.caller, name)
        if service is None or (name != asked and service.kind != "Service"):
            continue
        if colon:
            port = service.port(names.parse_port(number) or 0)
        else:
            port = service.ports[0] if len(service.ports) == 1 else None
        return (service, port) if port else None
    return None


def _mutual(full: Cluster) -> UpstreamTlsContext | None:
    """The mesh's own TLS in gRPC's words; None: it is another TLS."""
    given = UpstreamTlsContext()
    full.transport_socket.typed_config.Unpack(given)
    common = given.common_tls_context
    if [one.name for one in common.tls_certificate_sds_secret_configs] != [CERTIFICATE]:
        return None
    context = CommonTlsContext()
    own = context.tls_certificate_provider_instance
    own.instance_name, own.certificate_name = _PROVIDER, CERTIFICATE
    checks = CertificateValidationContext()
    roots = checks.ca_certificate_provider_instance
    roots.instance_name, roots.certificate_name = _PROVIDER, ROOTS
    # The older of the two fields: the newer one is none that gRPC reads.
    wanted = common.combined_validation_context.default_validation_context
    checks.match_subject_alt_names.extend(
        one.matcher for one in wanted.match_typed_subject_alt_names
    )
    context.combined_validation_context.default_validation_context.CopyFrom(checks)
    return UpstreamTlsContext(sni=given.sni, common_tls_context=context)
