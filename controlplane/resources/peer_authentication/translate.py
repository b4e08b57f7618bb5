"""Which mode holds for a port of a workload: port over workload over namespace over mesh."""

from __future__ import annotations

from typing import Any, Literal

from controlplane.registry import mesh, workloads
from controlplane.registry.selection import is_for_all
from controlplane.registry.workloads import Labels
from controlplane.resources.resource import Resource
from controlplane.world.view import View, query

Mode = Literal["DISABLE", "PERMISSIVE", "STRICT"]


@query
def mode(view: View, namespace: str, labels: Labels, port: int) -> Mode:
    """The mode of one port of a workload (not of a service; 0 is any other port). Of several
    policies at one level the oldest holds; UNSET inherits; nothing said is PERMISSIVE."""
    root = mesh.root_namespace(view)
    own = view.resources("PeerAuthentication", namespace)
    # As in Istio, the root namespace's own policies are for the mesh: selectors there do nothing.
    of_workload = [one for one in own if namespace != root and _selects(one, labels)]
    of_namespace = [one for one in own if is_for_all(one)]
    of_mesh = [one for one in view.resources("PeerAuthentication", root) if is_for_all(one)]
    said = [policy[0].spec.mtls for policy in (of_workload, of_namespace, of_mesh) if policy]
    if of_workload:
        said.insert(0, (of_workload[0].spec.port_level_mtls or {}).get(port))
    for one in said:
        if one is not None and one.mode != "UNSET":
            chosen: Mode = one.mode
            return chosen
    return "PERMISSIVE"


@query
def ever_disabled(view: View, namespace: str) -> bool:
    """Whether some policy that counts in a namespace turns mutual TLS off for anybody."""
    return any(
        one is not None and one.mode == "DISABLE"
        for place in (namespace, mesh.root_namespace(view))
        for policy in view.resources("PeerAuthentication", place)
        for one in (policy.spec.mtls, *(policy.spec.port_level_mtls or {}).values())
    )


@query
def ports_with_mode(view: View, namespace: str, labels: Labels) -> frozenset[int]:
    """The ports of a workload for which its policy says something of its own."""
    if namespace == mesh.root_namespace(view):
        return frozenset()
    for one in view.resources("PeerAuthentication", namespace):
        if _selects(one, labels):
            return frozenset(one.spec.port_level_mtls or ())
    return frozenset()


def _selects(policy: Resource[Any], labels: Labels) -> bool:
    selector = policy.spec.selector
    return not is_for_all(policy) and workloads.matches(
        workloads.pairs(selector.match_labels), labels
    )
