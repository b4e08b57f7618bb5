"""Which query answers which subscription: the translation's side of the border to xDS."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.registry import scope
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule import select as destination_rules
from controlplane.resources.destination_rule.locality import preference
from controlplane.resources.envoy_filter.clusters import patched as patch_clusters
from controlplane.resources.envoy_filter.listeners import patched as patch_listeners
from controlplane.resources.envoy_filter.routes import patched as patch_routes
from controlplane.resources.envoy_filter.select import GATEWAY, OUTBOUND
from controlplane.resources.telemetry.select import reporting
from controlplane.resources.virtual_service import select as virtual_services
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation import endpoints, gateways, name_table, names, proxyless, secrets
from controlplane.translation.clusters import fixed
from controlplane.translation.clusters import inbound as inbound_clusters
from controlplane.translation.clusters import outbound as outbound_clusters
from controlplane.translation.listeners import gateway as gateway_listeners
from controlplane.translation.listeners import inbound as inbound_listeners
from controlplane.translation.listeners import outbound as outbound_listeners
from controlplane.translation.listeners.addresses import Capture, capture
from controlplane.translation.routes import gateway as gateway_routes
from controlplane.translation.routes import outbound as routes
from controlplane.world.graph import Node
from controlplane.world.proxy import Locality, Proxy
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded
from mesh import api
from mesh.api.name_table import TYPE_URL as NAMES


@dataclass(frozen=True, slots=True)
class Who:
    """What of a proxy everything that it is sent depends on. Proxies that are alike share it."""

    #: `sidecar` or `router`.
    type: str
    namespace: str
    account: str
    workload: str
    labels: Labels
    capture: Capture
    #: Istio's own filters.
    runs: tuple[str, ...] = ()


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
            what = (proxy.namespace, account, proxy.labels, proxy.locality, name)
            return view.node(assignment, what)
        if _is_proxyless(proxy):
            return view.node(without_proxy, (_who(proxy), type_url, name))
        if type_url == api.ROUTE:
            if proxy.type == "router":
                return view.node(gateway_route, (_who(proxy), name))
            who = (proxy.namespace, proxy.service_account, proxy.labels)
            return view.node(sidecar_route, (*who, name))
        if type_url == api.SECRET and proxy.type == "router":
            return view.node(gateway_secret, (_who(proxy), name))
        return view.node(absent, ())


@query
def all_clusters(view: View, who: Who) -> tuple[Encoded, ...]:
    """CDS of a proxy."""
    relevant = destination_rules.relevant(view, who.labels)
    found = [*_outbound_clusters(view, _caller(view, who), relevant, who.runs)]
    if who.type == "sidecar":
        found += fixed.inbound(view)
        found += inbound_clusters.clusters(
            view, who.namespace, who.workload, who.labels, who.capture, who.runs
        )
    return tuple(patch_clusters(view, found, who.type, who.namespace, who.labels))


@query
def all_names(view: View, who: Who) -> tuple[Encoded, ...]:
    """NDS of a sidecar."""
    return name_table.name_table(view, _caller(view, who))


@query
def _outbound_clusters(
    view: View, caller: scope.Caller, relevant: Labels, runs: tuple[str, ...]
) -> tuple[Encoded, ...]:
    """Those of services, put together once for all proxies that see the same."""
    found = [*fixed.outbound(view)]
    for service in scope.of_caller(view, caller).services():
        found += outbound_clusters.clusters(view, service, caller.namespace, relevant, runs)
    return tuple(found)


@query
def all_listeners(view: View, who: Who) -> tuple[Encoded, ...]:
    """LDS of a proxy."""
    return patch_listeners(view, _listeners(view, who), who.type, who.namespace, who.labels)


def _listeners(view: View, who: Who) -> tuple[Encoded, ...]:
    if who.type == "router":
        return gateway_listeners.listeners(
            view, _gates(view, who), who.namespace, who.labels, who.runs
        )
    return (
        *outbound_listeners.listeners(
            view,
            _client(view, who),
            who.capture,
            reporting(view, who.namespace, who.labels, "CLIENT", who.runs),
        ),
        *inbound_listeners.listeners(
            view, who.namespace, who.workload, who.labels, who.capture, who.runs
        ),
    )


@query
def gateway_route(view: View, who: Who, name: str) -> Encoded | None:
    """RDS of a gateway."""
    labels = _asked_for(view, who.labels)
    found = gateway_routes.configuration(view, _gates(view, who), who.namespace, labels, name)
    return patch_routes(view, found, GATEWAY, who.namespace, who.labels)


@query
def sidecar_route(
    view: View, namespace: str, account: str, labels: Labels, name: str
) -> Encoded | None:
    """RDS of a sidecar; replicas share it."""
    caller = _caller_of(view, namespace, labels, account)
    found = routes.configuration(view, Client(caller, _asked_for(view, labels)), name)
    return patch_routes(view, found, OUTBOUND, namespace, labels)


@query
def without_proxy(view: View, who: Who, type_url: str, name: str) -> Encoded | None:
    """LDS, RDS and CDS of gRPC's own clients."""
    found = proxyless.BY_TYPE.get(type_url)
    return found(view, _client(view, who), name) if found else None


@query
def assignment(
    view: View, namespace: str, account: str, labels: Labels, locality: Locality, name: str
) -> Encoded | None:
    """EDS: the hosts of a cluster that the proxy's scope has."""
    asked = names.parse_outbound(name)
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
    wanted = preference(view, service, asked.port, asked.subset, rule, locality, labels)
    return endpoints.assignment(
        view, service, asked.port, asked.subset, endpoints.subset_labels(subset), wanted
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
    return Client(_caller(view, who), _asked_for(view, who.labels))


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
    return gateways.gates(view, who.namespace, who.workload, who.labels, addresses)


def _is_proxyless(proxy: Proxy) -> bool:
    return proxy.type == "sidecar" and proxy.meta("GENERATOR") == proxyless.GENERATOR


def _who(proxy: Proxy) -> Who:
    workload = proxy.id.partition(".")[0]
    return Who(
        proxy.type,
        proxy.namespace,
        proxy.service_account,
        workload,
        proxy.labels,
        capture(proxy),
        proxy.runs,
    )
