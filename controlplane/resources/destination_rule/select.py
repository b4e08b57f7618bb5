"""Which DestinationRule holds for a service and a client, and what several of them make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controlplane.registry import mesh, services, workloads
from controlplane.registry.model import Service
from controlplane.registry.visibility import exported_to, sees
from controlplane.registry.workloads import Labels
from controlplane.resources.common.tls import ClientTLSSettings
from controlplane.resources.common.traffic_policy import TrafficPolicy
from controlplane.resources.destination_rule.schema import Subset
from controlplane.resources.resource import Key, Resource
from controlplane.translation.names import covers
from controlplane.world.view import View, query


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for connections to a host."""

    policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    #: The resources it is made of, the one that gave the policy first.
    keys: tuple[Key, ...] = ()
    #: Whether it is for some clients only (`workloadSelector`).
    selecting: bool = False

    def __hash__(self) -> int:
        # Rules are arguments of queries; policies hold mappings, which have no hash.
        return hash(self.keys)

    def subset(self, name: str) -> Subset | None:
        return next((one for one in self.subsets if one.name == name), None)


#: No rule.
NONE = Rule()


@query
def rule(view: View, service: Service, client: str, labels: Labels) -> Rule:
    """The rule for clients of namespace `client`: their own namespace's, then that of the
    service's, then the mesh's. `labels`: those that selectors ask for (`relevant`)."""
    root = mesh.root_namespace(view)
    places = [client] if client != root else []
    places += [one for one in (service.namespace, root) if one not in places]
    for namespace in places:
        found = _in_namespace(view, namespace, service.host, client, labels)
        if found.keys:
            return found
    return NONE


@query
def relevant(view: View, labels: Labels) -> Labels:
    """Those of a client's labels that some rule's selector asks for."""
    asked = {
        label
        for resource in view.resources("DestinationRule")
        if resource.spec.workload_selector is not None
        for label in resource.spec.workload_selector.match_labels
    }
    return tuple(pair for pair in labels if pair[0] in asked)


@query
def _in_namespace(view: View, namespace: str, host: str, client: str, labels: Labels) -> Rule:
    """The most specific host of a namespace's rules that covers `host`; those that select the
    client before those that are for all."""
    matching: dict[str, list[Resource[Any]]] = {}
    for pattern, resources in _by_host(view, namespace).items():
        seen = [one for one in resources if _visible(view, one, namespace, client)]
        if seen and covers(pattern, host):
            matching[pattern] = seen
    if not matching:
        return NONE
    chosen = matching[max(matching, key=lambda one: (one == host, len(one)))]
    selecting = [one for one in chosen if _selects(one, labels)]
    if selecting:
        # Rules with other selectors are rules of their own.
        first = selecting[0].spec.workload_selector
        return _merged(
            [one for one in selecting if one.spec.workload_selector == first], selecting=True
        )
    return _merged(_exported_alike([one for one in chosen if one.spec.workload_selector is None]))


@query
def _by_host(view: View, namespace: str) -> dict[str, list[Resource[Any]]]:
    found: dict[str, list[Resource[Any]]] = {}
    for resource in view.resources("DestinationRule", namespace):
        host = services.qualified(resource.spec.host, namespace, mesh.domain(view))
        found.setdefault(host, []).append(resource)
    return found


def _visible(view: View, resource: Resource[Any], namespace: str, client: str) -> bool:
    if resource.spec.workload_selector is not None:
        # As in Istio, a rule for some clients is for those of its own namespace.
        return client == namespace
    exported = exported_to(
        view, resource.spec.export_to, namespace, "default_destination_rule_export_to"
    )
    return sees(exported, client)


@query
def credentials(view: View, namespace: str, labels: Labels) -> frozenset[str]:
    """The Secrets that a sidecar's rules name: those of rules that select it, which is how somebody
    says that it may have them."""
    return frozenset(
        name
        for resource in view.resources("DestinationRule", namespace)
        if _selects(resource, labels)
        for tls in _tls_settings(resource.spec)
        for name in (tls.credential_name, tls.ca_cert_credential_name)
        if name
    )


def _tls_settings(spec: Any) -> list[ClientTLSSettings]:
    policies = [spec.traffic_policy, *(one.traffic_policy for one in spec.subsets)]
    given = [one for one in policies if one is not None]
    found = [one.tls for policy in given for one in (policy, *policy.port_level_settings)]
    return [one for one in found if one is not None]


def _selects(resource: Resource[Any], labels: Labels) -> bool:
    selector = resource.spec.workload_selector
    return selector is not None and workloads.matches(
        workloads.pairs(selector.match_labels), labels
    )


def _exported_alike(resources: list[Resource[Any]]) -> list[Resource[Any]]:
    """Those that are one rule, as Istio merges (ENABLE_ENHANCED_DESTINATIONRULE_MERGE): what is
    exported alike; a wider one counts with a narrower one, too, and by itself. Of several rules for
    one client the last holds."""
    rules: list[tuple[frozenset[str], list[Resource[Any]]]] = []
    for one in resources:
        exported = frozenset(one.spec.export_to)
        alone = True
        for known, rule in rules:
            if known == exported or (known and exported >= known):
                rule.append(one)
            alone = alone and known != exported
        if alone:
            rules.append((exported, [one]))
    return rules[-1][1] if rules else []


def _merged(resources: list[Resource[Any]], *, selecting: bool = False) -> Rule:
    """Several rules for one host: the oldest's policy, the subsets of all, as Istio merges."""
    policy = next((one.spec.traffic_policy for one in resources if one.spec.traffic_policy), None)
    subsets: dict[str, Subset] = {}
    for resource in resources:
        for subset in resource.spec.subsets:
            subsets.setdefault(subset.name, subset)
    return Rule(policy, tuple(subsets.values()), tuple(one.key for one in resources), selecting)
