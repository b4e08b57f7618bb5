"""Fields of EnvoyFilter."""

from controlplane.resources.common.selector import WorkloadSelector
from controlplane.resources.common.target import PolicyTargetReference
from controlplane.resources.envoy_filter import KIND
from controlplane.resources.envoy_filter.schema import (
    ClusterMatch,
    ConfigObjectMatch,
    ConfigPatch,
    EnvoyFilter,
    FilterChainMatch,
    FilterMatch,
    ListenerMatch,
    Patch,
    ProxyMatch,
    RouteConfigurationMatch,
    RouteMatch,
    SubFilterMatch,
    VirtualHostMatch,
    WaypointMatch,
    WaypointRouteMatch,
)
from tests.support.judging import judge


def test_names() -> None:
    assert KIND.api_versions() == ("networking.istio.io/v1alpha3",)
    assert (KIND.plural, KIND.short) == ("envoyfilters", ())


def test_every_field() -> None:
    spec, errors, _ = judge(
        KIND,
        """
        workloadSelector: {labels: {app: a}}
        priority: -5
        configPatches:
        - applyTo: HTTP_FILTER
          match:
            context: SIDECAR_INBOUND
            proxy: {proxyVersion: '^1\\.2.*', metadata: {a: b}}
            listener:
              name: l
              portNumber: 8080
              portName: http
              listenerFilter: envoy.filters.listener.tls_inspector
              filterChain:
                name: c
                sni: s
                transportProtocol: tls
                applicationProtocols: h2
                destinationPort: 80
                transportSocket: envoy.transport_sockets.tls
                filter:
                  name: envoy.filters.network.http_connection_manager
                  subFilter: {name: envoy.filters.http.router}
          patch:
            operation: INSERT_BEFORE
            filterClass: AUTHZ
            value:
              name: lua
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
        - applyTo: HTTP_ROUTE
          match:
            context: GATEWAY
            routeConfiguration:
              name: r
              portNumber: 80
              portName: http
              gateway: ns/gw
              vhost: {name: v, domainName: d, route: {name: n, action: REDIRECT}}
          patch: {operation: REMOVE}
        - applyTo: CLUSTER
          match: {cluster: {name: c, portNumber: 80, service: s, subset: v1}}
          patch: {operation: MERGE, value: {connect_timeout: 1s}}
        """,
    )
    assert errors == []
    lua = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    assert spec == EnvoyFilter(
        workload_selector=WorkloadSelector({"app": "a"}),
        priority=-5,
        config_patches=(
            ConfigPatch(
                "HTTP_FILTER",
                ConfigObjectMatch(
                    context="SIDECAR_INBOUND",
                    proxy=ProxyMatch("^1\\.2.*", {"a": "b"}),
                    listener=ListenerMatch(
                        name="l",
                        port_number=8080,
                        port_name="http",
                        listener_filter="envoy.filters.listener.tls_inspector",
                        filter_chain=FilterChainMatch(
                            name="c",
                            sni="s",
                            transport_protocol="tls",
                            application_protocols="h2",
                            destination_port=80,
                            transport_socket="envoy.transport_sockets.tls",
                            filter=FilterMatch(
                                "envoy.filters.network.http_connection_manager",
                                SubFilterMatch("envoy.filters.http.router"),
                            ),
                        ),
                    ),
                ),
                Patch("INSERT_BEFORE", {"name": "lua", "typed_config": {"@type": lua}}, "AUTHZ"),
            ),
            ConfigPatch(
                "HTTP_ROUTE",
                ConfigObjectMatch(
                    context="GATEWAY",
                    route_configuration=RouteConfigurationMatch(
                        name="r",
                        port_number=80,
                        port_name="http",
                        gateway="ns/gw",
                        vhost=VirtualHostMatch("v", "d", RouteMatch("n", "REDIRECT")),
                    ),
                ),
                Patch("REMOVE"),
            ),
            ConfigPatch(
                "CLUSTER",
                ConfigObjectMatch(cluster=ClusterMatch(80, "s", "v1", "c")),
                Patch("MERGE", {"connect_timeout": "1s"}),
            ),
        ),
    )


def test_waypoints() -> None:
    spec, errors, _ = judge(
        KIND,
        """
        targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]
        configPatches:
        - applyTo: HTTP_ROUTE
          match:
            context: WAYPOINT
            waypoint:
              portNumber: 80
              route: {name: r}
              filter: {name: f, subFilter: {name: s}}
          patch: {operation: MERGE, value: {}}
        """,
    )
    assert errors == []
    assert spec.target_refs == (
        PolicyTargetReference("Gateway", "waypoint", "gateway.networking.k8s.io"),
    )
    assert spec.config_patches[0].match.waypoint == WaypointMatch(
        80, WaypointRouteMatch("r"), FilterMatch("f", SubFilterMatch("s"))
    )
