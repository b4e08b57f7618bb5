"""Resources that lie over each other: files of a folder by their path, sources by their order.

The first layer that has a resource wins; the others' is refused, naming both places.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from controlplane.problem import Origin, Problem, Refused
from controlplane.resources.resource import Key, Resource

#: What names a layer, and orders it.
Place = TypeVar("Place", str, int)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one place holds."""

    #: What people call it.
    name: str
    resources: Mapping[Key, Resource[Any]]
    refused: tuple[Refused, ...] = ()
    #: What was taken all the same.
    warnings: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """What has changed for those who see all layers as one."""

    updated: tuple[Resource[Any], ...]
    removed: tuple[Key, ...]


class Layers(Generic[Place]):
    """All layers as one. Costs what changes, not what is there."""

    def __init__(self) -> None:
        self._layers: dict[Place, Layer] = {}
        #: Who has it, the first wins.
        self._claims: dict[Key, list[Place]] = {}
        self._seen: dict[Key, Resource[Any]] = {}
        self._shadowed: dict[Key, tuple[Refused, ...]] = {}
        self._touched: set[Key] = set()
        #: Places at which something is refused or warned of.
        self._complaints: set[Place] = set()
        self._complaints_changed = False

    def __getitem__(self, place: Place) -> Layer:
        return self._layers[place]

    def get(self, place: Place) -> Layer | None:
        return self._layers.get(place)

    def places(self) -> set[Place]:
        return set(self._layers)

    def put(self, place: Place, layer: Layer) -> None:
        """Replaces what is at a place."""
        before = self._layers.get(place)
        self._layers[place] = layer
        old = before.resources if before is not None else {}
        for key in old.keys() - layer.resources.keys():
            self._unclaim(key, place)
        for key, resource in layer.resources.items():
            if key not in old:
                insort(self._claims.setdefault(key, []), place)
                self._touched.add(key)
            elif old[key] is not resource:
                self._touched.add(key)
        said = (before.refused, before.warnings) if before is not None else ((), ())
        if said != (layer.refused, layer.warnings):
            self._complaints_changed = True
            complains = layer.refused or layer.warnings
            (self._complaints.add if complains else self._complaints.discard)(place)

    def change(
        self,
        place: Place,
        updated: Iterable[Resource[Any]],
        removed: Iterable[Key],
        refused: tuple[Refused, ...],
        warnings: tuple[Refused, ...] = (),
    ) -> None:
        """Replaces a part of what is at a place."""
        layer = self._layers[place]
        resources = dict(layer.resources)
        for key in removed:
            resources.pop(key, None)
        resources.update((one.key, one) for one in updated)
        self.put(place, Layer(layer.name, resources, refused, warnings))

    def drop(self, place: Place) -> None:
        """There is no such place any more."""
        before = self._layers.pop(place, None)
        if before is None:
            return
        for key in before.resources:
            self._unclaim(key, place)
        if place in self._complaints:
            self._complaints.discard(place)
            self._complaints_changed = True

    def difference(self) -> Difference | None:
        """What has changed since the last call; None if nothing has, in what is refused or warned
        of either. A new version counts although it means the same: somebody may wait for it."""
        updated: list[Resource[Any]] = []
        removed: list[Key] = []
        for key in self._touched:
            claims = self._claims.get(key)
            before = self._seen.get(key)
            if not claims:
                self._seen.pop(key, None)
                if before is not None:
                    removed.append(key)
            else:
                resource = self._layers[claims[0]].resources[key]
                self._seen[key] = resource
                if before != resource or before.version != resource.version:
                    updated.append(resource)
            self._shadow(key, claims or [])
        self._touched.clear()
        changed, self._complaints_changed = self._complaints_changed, False
        if not (updated or removed or changed):
            return None
        return Difference(tuple(sorted(updated, key=lambda one: one.key)), tuple(sorted(removed)))

    def resources(self) -> tuple[Resource[Any], ...]:
        """All that are seen, as of the last difference."""
        return tuple(self._seen.values())

    def refused(self) -> tuple[Refused, ...]:
        """By layer, then those that lie below others."""
        found: list[Refused] = []
        for place in sorted(self._complaints):
            found += self._layers[place].refused
        for key in sorted(self._shadowed):
            found += self._shadowed[key]
        return tuple(found)

    def warnings(self) -> tuple[Refused, ...]:
        """Of what was taken all the same, by layer."""
        places = sorted(self._complaints)
        return tuple(one for place in places for one in self._layers[place].warnings)

    def _unclaim(self, key: Key, place: Place) -> None:
        claims = self._claims[key]
        claims.remove(place)
        if not claims:
            del self._claims[key]
        self._touched.add(key)

    def _shadow(self, key: Key, claims: list[Place]) -> None:
        before = self._shadowed.pop(key, ())
        now = tuple(
            duplicate(key, self._where(key, claims[0]), self._layers[place].resources[key].origin)
            for place in claims[1:]
        )
        if now:
            self._shadowed[key] = now
        if [str(one) for one in before] != [str(one) for one in now]:
            self._complaints_changed = True

    def _where(self, key: Key, place: Place) -> str:
        layer = self._layers[place]
        return str(layer.resources[key].origin or layer.name)


def duplicate(key: Key, first: str, origin: Origin | None) -> Refused:
    """A resource that is there twice: `first` is where the one is that counts."""
    reason = f"is there twice; the one of {first} counts, remove one of them"
    return Refused(key.kind, key.namespace, key.name, [Problem("", reason)], origin)
