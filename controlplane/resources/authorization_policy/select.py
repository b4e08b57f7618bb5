"""Which AuthorizationPolicies hold for a workload."""

from __future__ import annotations

from typing import Any

from controlplane.registry import selection
from controlplane.registry.workloads import Labels
from controlplane.resources.resource import Resource
from controlplane.world.view import View, query


@query
def policies(view: View, namespace: str, labels: Labels, action: str) -> tuple[Resource[Any], ...]:
    """The policies of one action, in the order of their names, so that the answer does not depend
    on age: all of them count."""
    held = selection.selected(view, "AuthorizationPolicy", namespace, labels)
    chosen = (one for one in held if one.spec.action == action)
    return tuple(sorted(chosen, key=lambda one: (one.namespace, one.name)))
