"""The resources that are looked at together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.problem import Problem
from controlplane.resources.mesh_config import MeshConfig, MeshNetworks
from controlplane.resources.resource import Key, Resource


class Collection:
    """Resources by key, and what holds for the whole mesh."""

    def __init__(
        self,
        resources: Mapping[Key, Resource[Any]],
        *,
        problems: Mapping[Key, tuple[Problem, ...]] | None = None,
        assumed: Iterable[Resource[Any]] = (),
        mesh: MeshConfig | None = None,
        networks: MeshNetworks | None = None,
    ) -> None:
        """`problems`: what each kind's rules say to a resource; those that cannot be read are not
        among the resources. `assumed`: what is taken to be there besides, unless it is given."""
        self.problems = dict(problems or {})
        self.mesh = mesh or MeshConfig()
        self.networks = networks or MeshNetworks()
        self._given = frozenset(key.kind for key in (*resources, *self.problems))
        self._by_key: dict[Key, Resource[Any]] = {one.key: one for one in assumed}
        self._by_key.update(resources)
        self._by_kind: dict[str, list[Resource[Any]]] = {}
        for one in self._by_key.values():
            self._by_kind.setdefault(one.key.kind, []).append(one)

    def of(self, kind: str) -> tuple[Resource[Any], ...]:
        """All of a kind, as they were given."""
        return tuple(self._by_kind.get(kind, ()))

    def find(self, kind: str, namespace: str, name: str) -> Resource[Any] | None:
        return self._by_key.get(Key(kind, namespace, name))

    def exists(self, kind: str, namespace: str, name: str) -> bool:
        """Whether there is such a resource, one that cannot be read among them."""
        key = Key(kind, namespace, name)
        return key in self._by_key or key in self.problems

    def unreadable(self, kind: str) -> tuple[Key, ...]:
        """Those of a kind that are there and cannot be read."""
        return tuple(key for key in self.problems if key.kind == kind and key not in self._by_key)

    def knows(self, *kinds: str) -> bool:
        """Whether one of the kinds was given, so that one that is missing means something."""
        return any(kind in self._given for kind in kinds)
