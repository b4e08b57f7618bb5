"""Which AuthorizationPolicies hold for a workload."""

from __future__ import annotations

from typing import Any

from controlplane.registry import mesh, workloads
from controlplane.registry.workloads import Labels
from controlplane.resources.resource import Resource
from controlplane.world.view import View, query


@query
def policies(view: View, namespace: str, labels: Labels, action: str) -> tuple[Resource[Any], ...]:
    """The policies of one action: the mesh's (of the root namespace), then the namespace's own;
    within each the order of namespace and name, so that the answer does not depend on age."""
    root = mesh.root_namespace(view)
    found = []
    for place in dict.fromkeys((root, namespace)):
        held = (
            one
            for one in view.resources("AuthorizationPolicy", place)
            if one.spec.action == action and _selects(one, labels)
        )
        found += sorted(held, key=lambda one: one.name)
    return tuple(found)


def _selects(policy: Resource[Any], labels: Labels) -> bool:
    spec = policy.spec
    if spec.target_ref is not None or spec.target_refs:
        # Attached to a gateway or a service of a waypoint, not to sidecars.
        return False
    selector = spec.selector
    return selector is None or workloads.matches(workloads.pairs(selector.match_labels), labels)
