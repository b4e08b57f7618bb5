"""Which policies are for a workload: the mesh's and its namespace's own, by labels or by what they
are attached to."""

from __future__ import annotations

from typing import Any

from controlplane.registry import mesh, workloads
from controlplane.registry.workloads import Labels
from controlplane.resources.common.target import GATEWAY, PolicyTargetReference
from controlplane.resources.resource import Resource
from controlplane.world.view import View, query

#: The label of a gateway's proxies that the Gateway API's `Gateway` is named by.
GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"


@query
def selected(view: View, kind: str, namespace: str, labels: Labels) -> tuple[Resource[Any], ...]:
    """The resources of a kind with `selector` and `targetRefs` that hold for a workload: those of
    the root namespace, then those of its own; within each the oldest first."""
    return tuple(
        one
        for place in dict.fromkeys((mesh.root_namespace(view), namespace))
        for one in view.resources(kind, place)
        if _selects(one, namespace, labels)
    )


def is_for_all(resource: Resource[Any]) -> bool:
    """Whether a resource chooses no workloads: it is the mesh's or a namespace's default."""
    selector = resource.spec.selector
    return not references(resource) and (selector is None or not selector.match_labels)


def references(resource: Resource[Any]) -> tuple[PolicyTargetReference, ...]:
    """What a policy is attached to; none where it selects by labels."""
    one = getattr(resource.spec, "target_ref", None)
    return (one,) if one is not None else getattr(resource.spec, "target_refs", ())


def attached(resource: Resource[Any], namespace: str, labels: Labels) -> bool:
    """Whether one of its references means the gateway that a proxy is of, which is in the policy's
    own namespace. References to services are for waypoints, as in Istio."""
    own = dict(labels).get(GATEWAY_NAME)
    return resource.namespace == namespace and any(
        (one.group, one.kind) == GATEWAY and one.name == own for one in references(resource)
    )


def _selects(resource: Resource[Any], namespace: str, labels: Labels) -> bool:
    if references(resource):
        return attached(resource, namespace, labels)
    return is_for_all(resource) or workloads.matches(
        workloads.pairs(resource.spec.selector.match_labels), labels
    )
