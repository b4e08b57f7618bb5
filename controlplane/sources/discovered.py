"""Resources of the namespaces that the mesh knows: `discoverySelectors` of MeshConfig.

Without selectors these are all. The root namespace, and what stands in no namespace, always count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.resources.mesh_config import MeshConfig
from controlplane.resources.mesh_config.schema import LabelSelector, LabelSelectorRequirement
from controlplane.resources.resource import Key, Resource
from controlplane.sources.layers import Difference

#: Kubernetes gives it to each namespace.
_NAME = "kubernetes.io/metadata.name"
#: Where MeshConfig itself stands.
_SYSTEM = "istio-system"


class Discovered:
    """Everything that sources have, and which of it counts."""

    def __init__(self) -> None:
        self._held: dict[str, dict[Key, Resource[Any]]] = {}
        self._selectors: tuple[LabelSelector, ...] = ()
        self._always = frozenset({"", _SYSTEM})
        #: Namespaces whose resources have been passed on.
        self._known: set[str] = set()

    def names(self) -> list[Key]:
        """Of all that is held, whether it counts or not."""
        return [key for held in self._held.values() for key in held]

    def choose(self, config: MeshConfig) -> Difference:
        """From now on MeshConfig says this."""
        self._selectors = config.discovery_selectors
        self._always = frozenset({"", _SYSTEM, config.root_namespace})
        return self._moved({*self._held, *self._known})

    def change(self, updated: Iterable[Resource[Any]], removed: Iterable[Key]) -> Difference:
        """What a change means for those who see only what counts."""
        more: list[Resource[Any]] = []
        less: list[Key] = []
        touched: set[str] = set()
        for key in removed:
            self._held.get(key.namespace, {}).pop(key, None)
            if key.kind == "Namespace":
                touched.add(key.name)
            if key.namespace in self._known:
                less.append(key)
        for one in updated:
            self._held.setdefault(one.namespace, {})[one.key] = one
            if one.key.kind == "Namespace":
                touched.add(one.name)
            if one.namespace not in self._known and self._counts(one.namespace):
                touched.add(one.namespace)
            elif one.namespace in self._known:
                more.append(one)
        moved = self._moved(touched)
        gone = {*less, *moved.removed}
        found = {one.key: one for one in (*more, *moved.updated) if one.key not in gone}
        return Difference(tuple(found.values()), tuple(sorted(gone)))

    def _moved(self, namespaces: Iterable[str]) -> Difference:
        """The namespaces that count now and did not, and the other way round."""
        updated: list[Resource[Any]] = []
        removed: list[Key] = []
        for name in list(namespaces):
            counts = self._counts(name)
            if counts == (name in self._known):
                continue
            held = self._held.get(name, {})
            if counts:
                self._known.add(name)
                updated += held.values()
            else:
                self._known.discard(name)
                removed += held
        return Difference(tuple(updated), tuple(sorted(removed)))

    def _counts(self, namespace: str) -> bool:
        if namespace in self._always or not self._selectors:
            return True
        resource = self._held.get("", {}).get(Key("Namespace", "", namespace))
        labels = {_NAME: namespace, **(resource.labels if resource else {})}
        return any(_selects(one, labels) for one in self._selectors)


def _selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Kubernetes' rules: everything in it must hold."""
    return all(labels.get(name) == value for name, value in selector.match_labels.items()) and all(
        _holds(one, labels) for one in selector.match_expressions
    )


def _holds(wanted: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    given = labels.get(wanted.key)
    match wanted.operator:
        case "In":
            return given in wanted.values
        case "NotIn":
            return given not in wanted.values
        case "Exists":
            return given is not None
        case "DoesNotExist":
            return given is None
    return False
