"""Which policies are for a workload: the mesh's and its namespace's own, by labels."""

from __future__ import annotations

from typing import Any

from controlplane.registry import mesh, workloads
from controlplane.registry.workloads import Labels
from controlplane.resources.resource import Resource
from controlplane.world.view import View, query


@query
def selected(view: View, kind: str, namespace: str, labels: Labels) -> tuple[Resource[Any], ...]:
    """The resources of a kind with `selector` and `targetRefs` that hold for a workload: those of
    the root namespace, then those of its own; within each the oldest first."""
    return tuple(
        one
        for place in dict.fromkeys((mesh.root_namespace(view), namespace))
        for one in view.resources(kind, place)
        if _selects(one, labels)
    )


def is_for_all(resource: Resource[Any]) -> bool:
    """Whether a resource chooses no workloads: it is the mesh's or a namespace's default."""
    selector = resource.spec.selector
    return selector is None or not selector.match_labels


def _selects(resource: Resource[Any], labels: Labels) -> bool:
    spec = resource.spec
    if spec.target_ref is not None or spec.target_refs:
        # Attached to a Gateway of the Gateway API, or to a service of a waypoint.
        return False
    return is_for_all(resource) or workloads.matches(
        workloads.pairs(spec.selector.match_labels), labels
    )
