"""Which query answers which subscription: the translation's side of the border to xDS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.registry import scope
from controlplane.registry.cluster_local import cluster_local
from controlplane.registry.proxies import Names
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule import select as destination_rules
from controlplane.resources.destination_rule.locality import only_healthy, preference
from controlplane.resources.envoy_filter.clusters import patched as patch_clusters
from controlplane.resources.envoy_filter.extensions import extension
from controlplane.resources.envoy_filter.listeners import patched as patch_listeners
from controlplane.resources.envoy_filter.routes import patched as patch_routes
from controlplane.resources.envoy_filter.select import GATEWAY, OUTBOUND, Target
from controlplane.resources.envoy_filter.select import target as patching
from controlplane.resources.telemetry.select import reporting
from controlplane.resources.virtual_service import select as virtual_services
from controlplane.resources.virtual_service.translate import Client
from controlplane.resources.workload_entry import naming
from controlplane.translation import (
    east_west,
    endpoints,
    gateways,
    name_table,
    names,
    proxyless,
    secrets,
    settings,
)
from controlplane.translation.clusters import fixed
from controlplane.translation.clusters import inbound as inbound_clusters
from controlplane.translation.clusters import outbound as outbound_clusters
from controlplane.translation.clusters.protocol_options import Wire
from controlplane.translation.listeners import gateway as gateway_listeners
from controlplane.translation.listeners import inbound as inbound_listeners
from controlplane.translation.listeners import outbound as outbound_listeners
from controlplane.translation.listeners.addresses import Capture, capture
from controlplane.translation.routes import gateway as gateway_routes
from controlplane.translation.routes import outbound as routes
from controlplane.translation.settings import preserves_case
from controlplane.world.graph import Node
from controlplane.world.proxy import ISTIO_FILTERS, SYSTEM_ROOTS, Locality, Proxy
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded
from controlplane.xds.type_urls import EXTENSION
from mesh import api
from mesh.api.name_table import TYPE_URL as NAMES


@dataclass(frozen=True, slots=True)
class Who:
    """What of a proxy everything that it is sent depends on. Proxies that are alike share it."""

    #: `sidecar` or `router`.
    type: str
    namespace: str
    account: str
    #: What the sources may call the workload.
    called: Names
    labels: Labels
    capture: Capture
    #: Whether it has no address of IPv4.
    only_ipv6: bool = False
    #: Its node's metadata: patches and settings may ask for any of it.
    node: Labels = ()
    #: Istio's own filters, and what reports elsewhere.
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Where:
    """Where a client runs, as far as its choice of hosts depends on it."""

    locality: Locality
    cluster: str
    #: Of Kubernetes.
    node: str


class IstioTranslator:
    """`xds.translator.Translator`, for sidecars, gateways and gRPC's own clients."""

    def everything(self, view: View, type_url: str, proxy: Proxy) -> Node:
        if _is_proxyless(proxy):
            return view.node(nothing, ())
        if type_url == api.CLUSTER:
            return view.node(all_clusters, (_who(proxy),))
        if type_url == api.LISTENER:
            return view.node(all_listeners, (_who(proxy),))
        if type_url == NAMES and proxy.type == "sidecar":
            return view.node(all_names, (_who(proxy),))
        return view.node(nothing, ())

    def named(self, view: View, type_url: str, proxy: Proxy, name: str) -> Node:
        if type_url == api.ENDPOINT:
            account = proxy.service_account if proxy.type == "sidecar" else ""
            where = Where(proxy.locality, proxy.cluster, proxy.meta("NODE_NAME"))
            what = (proxy.namespace, account, proxy.labels, where, name)
            return view.node(assignment, what)
        if _is_proxyless(proxy):
            return view.node(without_proxy, (_who(proxy), type_url, name))
        if type_url == api.CLUSTER:
            return view.node(one_cluster, (_who(proxy), name))
        if type_url == api.LISTENER:
            return view.node(one_listener, (_who(proxy), name))
        if type_url == api.ROUTE:
            if proxy.type == "router":
                return view.node(gateway_route, (_who(proxy), name))
            who = (proxy.namespace, proxy.service_account, proxy.labels, _node(proxy))
            return view.node(sidecar_route, (*who, name))
        if type_url == api.SECRET and proxy.type == "router":
            return view.node(gateway_secret, (_who(proxy), name))
        if type_url == api.SECRET:
            return view.node(secrets.of_sidecar, (proxy.namespace, proxy.labels, name))
        if type_url == EXTENSION:
            return view.node(extension_config, (_who(proxy), name))
        return view.node(absent, ())


@query
def all_clusters(view: View, who: Who) -> tuple[Encoded, ...]:
    """CDS of a proxy."""
    relevant = destination_rules.relevant(view, who.labels)
    case = preserves_case(view, _settings(who))
    filters = tuple(one for one in who.runs if one in ISTIO_FILTERS)
    roots = SYSTEM_ROOTS in who.runs
    wire = Wire("", who.type == "sidecar", False, case, filters, who.only_ipv6, roots)
    found = [*_outbound_clusters(view, _caller(view, who), relevant, wire)]
    if who.type == "sidecar":
        found += fixed.inbound(view, wire.preserve_case)
        found += inbound_clusters.clusters(
            view, who.namespace, who.called, who.labels, who.capture, wire
        )
    else:
        found += [
            outbound_clusters.passed_on(
                view, one.service, one.port, one.subset, who.namespace, relevant, wire
            )
            for one in east_west.of_gates(view, _gates(view, who), who.namespace, relevant)
        ]
    return tuple(patch_clusters(view, found, who.type, _target(view, who)))


@query
def all_names(view: View, who: Who) -> tuple[Encoded, ...]:
    """NDS of a sidecar."""
    return name_table.name_table(view, _caller(view, who))


@query
def _outbound_clusters(
    view: View, caller: scope.Caller, relevant: Labels, wire: Wire
) -> tuple[Encoded, ...]:
    """Those of services, put together once for all proxies that see the same."""
    found = [*fixed.outbound(view, wire.preserve_case)]
    for service in scope.of_caller(view, caller).services():
        found += outbound_clusters.clusters(view, service, caller.namespace, relevant, wire)
    return tuple(found)


@query
def all_listeners(view: View, who: Who) -> tuple[Encoded, ...]:
    """LDS of a proxy."""
    return patch_listeners(view, _listeners(view, who), who.type, _target(view, who))


def _listeners(view: View, who: Who) -> tuple[Encoded, ...]:
    if who.type == "router":
        return gateway_listeners.listeners(
            view, _gates(view, who), who.namespace, who.labels, _settings(who)
        )
    return (
        *outbound_listeners.listeners(
            view,
            _client(view, who),
            who.capture,
            reporting(view, who.namespace, who.labels, "CLIENT", who.runs),
        ),
        *inbound_listeners.listeners(
            view, who.namespace, who.called, who.labels, who.capture, _settings(who)
        ),
    )


@query
def one_cluster(view: View, who: Who, name: str) -> Encoded | None:
    """CDS by name: on demand (Envoy's ODCDS), beside the wildcard or without it."""
    return _by_name(view, all_clusters, who).get(name)


@query
def one_listener(view: View, who: Who, name: str) -> Encoded | None:
    """LDS by name."""
    return _by_name(view, all_listeners, who).get(name)


@query
def _by_name(
    view: View, all_of_type: Callable[[View, Who], tuple[Encoded, ...]], who: Who
) -> dict[str, Encoded]:
    return {one.name: one for one in all_of_type(view, who)}


@query
def gateway_route(view: View, who: Who, name: str) -> Encoded | None:
    """RDS of a gateway."""
    labels = _asked_for(view, who.labels)
    found = gateway_routes.configuration(
        view, _gates(view, who), who.namespace, labels, name, _settings(who)
    )
    return patch_routes(view, found, GATEWAY, _target(view, who))


@query
def sidecar_route(
    view: View, namespace: str, account: str, labels: Labels, node: Labels, name: str
) -> Encoded | None:
    """RDS of a sidecar."""
    target = patching(view, namespace, labels, node)
    caller = _caller_of(view, namespace, labels, account)
    return _shared_route(view, caller, settings.of(node, "sidecar"), target, name)


@query
def _shared_route(
    view: View, caller: scope.Caller, given: settings.Settings, target: Target, name: str
) -> Encoded | None:
    """That of all replicas, which differ in what nothing asks for."""
    client = Client(caller, _asked_for(view, target.labels), settings=given)
    return patch_routes(view, routes.configuration(view, client, name), OUTBOUND, target)


@query
def extension_config(view: View, who: Who, name: str) -> Encoded | None:
    """ECDS: the configuration of an extension."""
    return extension(view, who.type, _target(view, who), name)


@query
def without_proxy(view: View, who: Who, type_url: str, name: str) -> Encoded | None:
    """LDS, RDS and CDS of gRPC's own clients."""
    found = proxyless.BY_TYPE.get(type_url)
    return found(view, _client(view, who), name) if found else None


@query
def assignment(
    view: View,
    namespace: str,
    account: str,
    labels: Labels,
    where: Where,
    name: str,
) -> Encoded | None:
    """EDS: the hosts of a cluster that the proxy's scope has."""
    passed_on = names.parse_sni(name)
    asked = names.parse_outbound(name) or passed_on
    if asked is None:
        return None
    caller = _caller_of(view, namespace, labels, account)
    service = scope.find(view, caller, asked.host)
    if service is None or service.port(asked.port) is None:
        return None
    rule = destination_rules.rule(
        view, service, namespace, destination_rules.relevant(view, labels)
    )
    subset = rule.subset(asked.subset)
    if asked.subset and subset is None:
        return None
    wanted = preference(
        view, service, asked.port, asked.subset, rule, where.locality, labels, where.node
    )
    # A service of each node has no hosts of other clusters either.
    local = service.node_local or cluster_local(view, service.host)
    only = endpoints.Only(
        where.cluster if local else None,
        where.node if service.node_local else None,
        passed_on is not None,
        only_healthy(view, service, rule, asked.port, asked.subset),
    )
    return endpoints.assignment(
        view, service, asked.port, asked.subset, endpoints.subset_labels(subset), wanted, only
    )


@query
def gateway_secret(view: View, who: Who, name: str) -> Encoded | None:
    """A secret that the proxy's own configuration names: any workload may call itself a router, but
    not have the labels that a Gateway selects."""
    if not _gates(view, who):
        return None
    held = (*all_listeners(view, who), *all_clusters(view, who))
    if not secrets.named(name, held):
        return None
    return secrets.secret(view, who.namespace, name)


@query
def nothing(view: View) -> tuple[Encoded, ...]:
    """A wildcard of a type that is only served by name."""
    del view
    return ()


@query
def absent(view: View) -> None:
    """A name that means nothing."""
    del view


def _client(view: View, who: Who) -> Client:
    """What of a proxy its routes depend on."""
    return Client(_caller(view, who), _asked_for(view, who.labels), settings=_settings(who))


def _asked_for(view: View, labels: Labels) -> Labels:
    """Those of a client's labels that a resource asks for."""
    asked = {
        *virtual_services.relevant(view, labels),
        *destination_rules.relevant(view, labels),
    }
    return tuple(sorted(asked))


def _caller(view: View, who: Who) -> scope.Caller:
    """Policies are about who calls; a gateway calls for others, so it is kept from nothing."""
    account = who.account if who.type == "sidecar" else ""
    return _caller_of(view, who.namespace, who.labels, account)


def _caller_of(view: View, namespace: str, labels: Labels, account: str) -> scope.Caller:
    """`account`: "" for gateways, which no Sidecar resource is for, as in Istio."""
    if not account:
        return scope.Caller(namespace)
    return scope.caller(view, namespace, labels, account)


def _gates(view: View, who: Who) -> tuple[gateways.Gate, ...]:
    addresses = (who.capture.address,) if who.capture.address else ()
    return gateways.gates(view, who.namespace, who.called, who.labels, addresses)


def _is_proxyless(proxy: Proxy) -> bool:
    return proxy.type == "sidecar" and proxy.meta("GENERATOR") == proxyless.GENERATOR


def _settings(who: Who) -> settings.Settings:
    return settings.of(who.node, who.type, who.runs, only_ipv6=who.only_ipv6)


def _target(view: View, who: Who) -> Target:
    return patching(view, who.namespace, who.labels, who.node)


def _who(proxy: Proxy) -> Who:
    called = naming.candidates(naming.plain(proxy.id), proxy.service_account)
    return Who(
        proxy.type,
        proxy.namespace,
        proxy.service_account,
        called,
        proxy.labels,
        capture(proxy),
        bool(proxy.addresses) and all(":" in one for one in proxy.addresses),
        _node(proxy),
        proxy.runs,
    )


def _node(proxy: Proxy) -> Labels:
    """The metadata that patches and settings may ask for: not what our agent says of ports, which
    is in `capture` and of each workload alone."""
    known = {
        "CLUSTER_ID": proxy.cluster,
        "NAMESPACE": proxy.namespace,
        "NETWORK": proxy.network,
        "SERVICE_ACCOUNT": proxy.service_account,
    }
    said = {name: value for name, value in proxy.metadata if not name.startswith("FASTMESH_")}
    return tuple(sorted({**said, **known}.items()))
