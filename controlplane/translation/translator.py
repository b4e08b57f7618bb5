"""Which query answers which subscription: the translation's side of the border to xDS."""

from __future__ import annotations

from controlplane.registry import scope
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule import select as destination_rules
from controlplane.resources.virtual_service import select
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation import endpoints, names
from controlplane.translation.clusters import fixed
from controlplane.translation.clusters import inbound as inbound_clusters
from controlplane.translation.clusters import outbound as outbound_clusters
from controlplane.translation.listeners import inbound as inbound_listeners
from controlplane.translation.listeners import outbound as outbound_listeners
from controlplane.translation.listeners.addresses import Capture, capture
from controlplane.translation.routes import outbound as routes
from controlplane.world.graph import Node
from controlplane.world.proxy import Proxy
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded
from mesh import api


class IstioTranslator:
    """`xds.translator.Translator`, for sidecars."""

    def everything(self, view: View, type_url: str, proxy: Proxy) -> Node:
        what = (proxy.namespace, _workload(proxy), proxy.labels, capture(proxy))
        if type_url == api.CLUSTER:
            return view.node(all_clusters, what)
        if type_url == api.LISTENER:
            return view.node(all_listeners, what)
        return view.node(nothing, ())

    def named(self, view: View, type_url: str, proxy: Proxy, name: str) -> Node:
        if type_url == api.ENDPOINT:
            return view.node(assignment, (proxy.namespace, proxy.labels, name))
        if type_url == api.ROUTE:
            return view.node(route, (proxy.namespace, proxy.labels, name))
        return view.node(absent, ())


@query
def all_clusters(
    view: View, namespace: str, workload: str, labels: Labels, capture: Capture
) -> tuple[Encoded, ...]:
    """CDS of a sidecar."""
    seen = scope.of_workload(view, namespace, labels)
    relevant = destination_rules.relevant(view, labels)
    return (
        *fixed.outbound(view),
        *fixed.inbound(view),
        *(
            cluster
            for service in seen.services()
            for cluster in outbound_clusters.clusters(view, service, namespace, relevant)
        ),
        *inbound_clusters.clusters(view, namespace, workload, labels, capture),
    )


@query
def all_listeners(
    view: View, namespace: str, workload: str, labels: Labels, capture: Capture
) -> tuple[Encoded, ...]:
    """LDS of a sidecar."""
    sidecar = scope.sidecar(view, namespace, labels)
    return (
        *outbound_listeners.listeners(view, namespace, sidecar, capture),
        *inbound_listeners.listeners(view, namespace, workload, labels, capture),
    )


@query
def route(view: View, namespace: str, labels: Labels, name: str) -> Encoded | None:
    """RDS of a sidecar."""
    asked_for = {*select.relevant(view, labels), *destination_rules.relevant(view, labels)}
    client = Client(namespace, scope.sidecar(view, namespace, labels), tuple(sorted(asked_for)))
    return routes.configuration(view, client, name)


@query
def assignment(view: View, namespace: str, labels: Labels, name: str) -> Encoded | None:
    """EDS: the hosts of a cluster that the sidecar's scope has."""
    asked = names.parse_outbound(name)
    if asked is None:
        return None
    service = scope.find(view, namespace, scope.sidecar(view, namespace, labels), asked.host)
    if service is None or service.port(asked.port) is None:
        return None
    labels_of_subset: Labels = ()
    if asked.subset:
        relevant = destination_rules.relevant(view, labels)
        subset = destination_rules.rule(view, service, namespace, relevant).subset(asked.subset)
        if subset is None:
            return None
        labels_of_subset = endpoints.subset_labels(subset)
    return endpoints.assignment(view, service, asked.port, asked.subset, labels_of_subset)


@query
def nothing(view: View) -> tuple[Encoded, ...]:
    """A wildcard of a type that is only served by name."""
    del view
    return ()


@query
def absent(view: View) -> None:
    """A name that means nothing."""
    del view


def _workload(proxy: Proxy) -> str:
    return proxy.id.partition(".")[0]
