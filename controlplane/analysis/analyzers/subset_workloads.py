"""DestinationRules for hosts that there are not, and subsets in use that have no workloads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.destinations import destinations
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.hosts import Hosts, fqdn
from controlplane.analysis.workloads import KINDS, Index, Workload, matches, workloads

_REGION = "topology.kubernetes.io/region"
_ZONE = "topology.kubernetes.io/zone"
_SUBZONE = "topology.istio.io/subzone"
_HOSTNAME = "kubernetes.io/hostname"


def _run(collection: Collection) -> Iterator[Finding]:
    hosts = Hosts(collection)
    all_workloads = Index(_with_places(collection))
    know_workloads = collection.knows(*KINDS)
    used = {
        (fqdn(place.destination.host, one.namespace), place.destination.subset)
        for one in collection.of("VirtualService")
        for place in destinations(one.spec)
    }
    for one in collection.of("DestinationRule"):
        host = hosts.find(one.spec.host, one.namespace, one.spec.export_to)
        if host is None:
            if collection.knows("Service", "ServiceEntry"):
                yield found(
                    codes.UNKNOWN_DESTINATION_RULE_HOST, one.key, "spec.host", host=one.spec.host
                )
            continue
        own = list(host.endpoints)
        if host.selector:
            selected = all_workloads.selected(host.selector, host.namespace)
            own += [workload.labels for workload in selected]
        # Endpoints may come from elsewhere: DNS, Endpoints that somebody writes.
        if not own and not (host.selector and know_workloads):
            continue
        name = fqdn(one.spec.host, one.namespace)
        for index, subset in enumerate(one.spec.subsets):
            # Nobody is harmed by a subset that nobody uses yet.
            if (name, subset.name) not in used:
                continue
            if not any(matches(subset.labels, labels) for labels in own):
                path = f"spec.subsets[{index}]"
                yield found(codes.SUBSET_WITHOUT_WORKLOADS, one.key, path, subset=subset.name)


def _with_places(collection: Collection) -> Iterator[Workload]:
    """Workloads, with labels that say where they run: subsets may go by these as well."""
    nodes = {one.name: one.labels for one in collection.of("Node")}
    for one in workloads(collection):
        if one.pod is None or not one.pod.node_name:
            yield one
            continue
        node = nodes.get(one.pod.node_name, {})
        places = {name: node[name] for name in (_REGION, _ZONE, _SUBZONE) if name in node}
        labels = {**one.labels, **places, _HOSTNAME: one.pod.node_name}
        yield dataclasses.replace(one, labels=labels)


ANALYZER = Analyzer(
    name="destinationrule.SubsetSelectPodAnalyzer",
    description="DestinationRules for unknown hosts, subsets without workloads",
    codes=(codes.SUBSET_WITHOUT_WORKLOADS, codes.UNKNOWN_DESTINATION_RULE_HOST),
    run=_run,
)
