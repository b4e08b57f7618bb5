"""Which patches hold for a proxy, in the order in which they are made."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from controlplane.registry import mesh, workloads
from controlplane.registry.workloads import Labels
from controlplane.resources.envoy_filter import objects
from controlplane.resources.envoy_filter.schema import ConfigObjectMatch, Patch
from controlplane.resources.resource import Key
from controlplane.world.view import View, query

#: What SIDECAR_INBOUND, SIDECAR_OUTBOUND and GATEWAY are about.
INBOUND, OUTBOUND, GATEWAY = "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"
_ANY = ConfigObjectMatch()


@dataclass(frozen=True, slots=True)
class Wanted:
    """One patch."""

    key: Key
    index: int
    apply_to: str
    match: ConfigObjectMatch
    patch: Patch

    def __hash__(self) -> int:
        return hash((self.key, self.index))

    def value(self) -> Message:
        """What is to be merged or added. Validation has read it before."""
        return objects.build(self.apply_to, self.patch.value or {})

    def about(self, context: str) -> bool:
        return self.match.context in {"ANY", context}


@query
def patches(view: View, namespace: str, labels: Labels, apply_to: str) -> tuple[Wanted, ...]:
    """The patches of one sort: of the root namespace, then of the proxy's; by priority, then the
    oldest first."""
    root = mesh.root_namespace(view)
    found: list[Wanted] = []
    for place in dict.fromkeys((root, namespace)):
        held = [
            one
            for one in view.resources("EnvoyFilter", place)
            if not one.spec.target_refs
            and (
                one.spec.workload_selector is None
                or workloads.matches(workloads.pairs(one.spec.workload_selector.labels), labels)
            )
        ]
        for resource in sorted(held, key=lambda one: one.spec.priority):
            for index, one in enumerate(resource.spec.config_patches):
                if one.apply_to == apply_to and one.patch is not None:
                    found.append(
                        Wanted(resource.key, index, apply_to, one.match or _ANY, one.patch)
                    )
    return tuple(found)
