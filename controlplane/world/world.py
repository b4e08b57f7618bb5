"""Everything the control plane knows, at one revision."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any, cast

from controlplane.resources.resource import Key, Resource
from controlplane.world.graph import Graph, Node
from controlplane.world.view import Question, View

#: Changes that are remembered, to tell what a proxy refuses.
_HISTORY = 256


class World:
    """The resources and facts, and the graph of what was worked out of them.

    Changes come in by `change` alone, those that belong together in one call.
    """

    def __init__(self) -> None:
        self.graph = Graph()
        self._kinds: dict[str, dict[tuple[str, str], Resource[Any]]] = {}
        self._facts: dict[str, Any] = {}
        #: The newest revisions, and what each of them changed.
        self._history: deque[tuple[int, frozenset[Key]]] = deque(maxlen=_HISTORY)
        #: What works queries out: one for the nodes of all, which are many.
        self.answer = self._answer

    @property
    def revision(self) -> int:
        return self.graph.revision

    def view(self) -> View:
        """The world as it is now, for the push and for tests."""
        return View(self, None)

    def names(self) -> list[Key]:
        """What names all resources."""
        return [
            Key(kind, namespace, name)
            for kind, held in self._kinds.items()
            for namespace, name in held
        ]

    def change(
        self,
        updated: Iterable[Resource[Any]] = (),
        removed: Iterable[Key] = (),
        facts: dict[str, Any] | None = None,
    ) -> None:
        """Begins the next revision. What is equal to what was there changes nothing."""
        self.graph.advance()
        keys: set[Key] = set()
        for key in removed:
            if self._kinds.get(key.kind, {}).pop((key.namespace, key.name), None) is not None:
                keys.add(key)
        for resource in updated:
            held = self._kinds.setdefault(resource.key.kind, {})
            held[resource.namespace, resource.name] = resource
            keys.add(resource.key)
        if keys:
            self._history.append((self.revision, frozenset(keys)))
        for key in keys:
            self.graph.set_input(("resource", key), partial(self._resource, key))
        for _, kind, namespace in {one for key in keys for one in _lists(key)}:
            self._list_changed(kind, namespace)
        for name, value in (facts or {}).items():
            if value is None:
                self._facts.pop(name, None)
            else:
                self._facts[name] = value
            self.graph.set_input(("fact", name), partial(self._facts.get, name))

    def changed(self, after: int, upto: int, node: Node) -> list[Key]:
        """The resources that have changed within these revisions and that `node` depends on, as
        far back as is remembered; in their order."""
        keys: set[Key] = set()
        for revision, those in self._history:
            if after < revision <= upto:
                keys |= those
        inputs: dict[Any, set[Key]] = {}
        for key in keys:
            for one in (("resource", key), *_lists(key)):
                inputs.setdefault(one, set()).add(key)
        found = (inputs[one] for one in self.graph.depends_on(node, inputs.keys()))
        return sorted(set().union(*found))

    def resource_node(self, kind: str, namespace: str, name: str) -> Node:
        key = Key(kind, namespace, name)
        return self.graph.input(("resource", key), lambda: self._resource(key))

    def list_node(self, kind: str, namespace: str | None) -> Node:
        return self.graph.input(("list", kind, namespace), lambda: self._list(kind, namespace))

    def fact_node(self, name: str) -> Node:
        return self.graph.input(("fact", name), lambda: self._facts.get(name))

    def _answer(self, node: Node) -> Any:
        work, arguments = cast("Question", node.key)
        return work(View(self, node), *arguments)

    def _list_changed(self, kind: str, namespace: str | None) -> None:
        self.graph.set_input(("list", kind, namespace), lambda: self._list(kind, namespace))

    def _resource(self, key: Key) -> Resource[Any] | None:
        return self._kinds.get(key.kind, {}).get((key.namespace, key.name))

    def _list(self, kind: str, namespace: str | None) -> tuple[Resource[Any], ...]:
        held = self._kinds.get(kind, {})
        chosen = (one for (space, _), one in held.items() if namespace in {None, space})
        return tuple(sorted(chosen, key=lambda one: (one.created, one.namespace, one.name)))


def _lists(key: Key) -> tuple[tuple[str, str, str | None], ...]:
    """The lists that a resource is in."""
    return ("list", key.kind, key.namespace), ("list", key.kind, None)
