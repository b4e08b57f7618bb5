"""Which patches hold for a proxy, in the order in which they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import re2
from google.protobuf.message import Message

from controlplane.registry import mesh, selection, workloads
from controlplane.registry.workloads import Labels
from controlplane.resources.envoy_filter import objects
from controlplane.resources.envoy_filter.schema import ConfigObjectMatch, Patch, ProxyMatch
from controlplane.resources.resource import Key, Resource
from controlplane.world.view import View, query

#: What SIDECAR_INBOUND, SIDECAR_OUTBOUND and GATEWAY are about.
INBOUND, OUTBOUND, GATEWAY = "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"
_ANY = ConfigObjectMatch()
_VERSION = "ISTIO_VERSION"


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


def is_for(patch: Wanted, kind: str) -> bool:
    """Whether a patch that adds something is for proxies of a kind, `sidecar` or `router`."""
    contexts = (GATEWAY,) if kind == "router" else (INBOUND, OUTBOUND)
    return any(patch.about(one) for one in contexts)


@dataclass(frozen=True, slots=True)
class Target:
    """What of a proxy its patches depend on."""

    namespace: str
    labels: Labels
    #: Those of its node's metadata that some patch asks for.
    node: Labels = ()


@query
def target(view: View, namespace: str, labels: Labels, node: Labels) -> Target:
    """A proxy, by all of its node's metadata."""
    asked = _asked(view)
    return Target(namespace, labels, tuple(pair for pair in node if pair[0] in asked))


@query
def patches(view: View, target: Target, apply_to: str) -> tuple[Wanted, ...]:
    """The patches of one sort: of the root namespace, then of the proxy's; by priority, then the
    oldest first."""
    root = mesh.root_namespace(view)
    found: list[Wanted] = []
    for place in dict.fromkeys((root, target.namespace)):
        held = [one for one in view.resources("EnvoyFilter", place) if _selects(one, target)]
        for resource in sorted(held, key=lambda one: one.spec.priority):
            for index, one in enumerate(resource.spec.config_patches):
                match = one.match or _ANY
                if one.apply_to != apply_to or one.patch is None:
                    continue
                if _is_of(match.proxy, dict(target.node)):
                    found.append(Wanted(resource.key, index, apply_to, match, one.patch))
    return tuple(found)


def _selects(resource: Resource[Any], target: Target) -> bool:
    if resource.spec.target_refs:
        return selection.attached(resource, target.namespace, target.labels)
    selector = resource.spec.workload_selector
    return selector is None or workloads.matches(workloads.pairs(selector.labels), target.labels)


def _is_of(wanted: ProxyMatch | None, node: dict[str, str]) -> bool:
    """As in Istio, who does not say its version is of none."""
    if wanted is None:
        return True
    version = node.get(_VERSION, "")
    if wanted.proxy_version and not (version and re2.search(wanted.proxy_version, version)):
        return False
    return all(node.get(name) == value for name, value in wanted.metadata.items())


@query
def _asked(view: View) -> frozenset[str]:
    """The names of metadata that patches ask for."""
    found: set[str] = set()
    for resource in view.resources("EnvoyFilter"):
        for one in resource.spec.config_patches:
            proxy = one.match.proxy if one.match else None
            if proxy is not None:
                found.update(proxy.metadata)
                if proxy.proxy_version:
                    found.add(_VERSION)
    return frozenset(found)
