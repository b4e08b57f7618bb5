"""How translators read the world: every read is recorded, and no other door is open to them.

    @query
    def services(view: View) -> Mapping[str, Service]:
        return {... for resource in view.resources("Service")}

    services(view)      # worked out at most once a change of what it read

A query is a pure function of its arguments (hashable) and of what it reads through `view`. It must
not keep `view`. Give it what it uses of a proxy (a namespace, a locality) and not the proxy: two
proxies that are alike in that then share the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    from controlplane.resources.resource import Resource
    from controlplane.world.graph import Graph, Node
    from controlplane.world.world import World

P = ParamSpec("P")
T = TypeVar("T")
#: The key of a query's node: the function, and what it is asked besides the view.
Question: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]


class View:
    """The world, as one query (or the push, which is none) sees it."""

    __slots__ = ("_reader", "_world")

    def __init__(self, world: World, reader: Node | None) -> None:
        self._world = world
        self._reader = reader

    @property
    def graph(self) -> Graph:
        return self._world.graph

    def resource(self, kind: str, namespace: str, name: str) -> Resource[Any] | None:
        """One resource; None if there is none of that name."""
        node = self._world.resource_node(kind, namespace, name)
        found: Resource[Any] | None = self.graph.read(self._reader, node)
        return found

    def resources(self, kind: str, namespace: str | None = None) -> tuple[Resource[Any], ...]:
        """All of a kind, in one namespace or in all: the oldest first, then by namespace and
        name, which is the order in which they win."""
        node = self._world.list_node(kind, namespace)
        found: tuple[Resource[Any], ...] = self.graph.read(self._reader, node)
        return found

    def fact(self, name: str, default: T) -> T:
        """What is known from elsewhere than resources: the mesh's roots of trust, for one."""
        value = self.graph.read(self._reader, self._world.fact_node(name))
        return default if value is None else value

    def node(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Node:
        """The node of a query; for those who watch it (`Graph.watch`)."""
        work = getattr(work, "__wrapped__", work)
        return self._world.graph.query((work, arguments), self._world.answer)

    def ask(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        answer: T = self.graph.read(self._reader, self.node(work, arguments))
        return answer


def query(
    work: Callable[Concatenate[View, P], T],
) -> Callable[Concatenate[View, P], T]:
    """Makes a function of a view a query: its answer is kept until something it read changes."""

    @wraps(work)
    def ask(view: View, *arguments: P.args, **named: P.kwargs) -> T:
        assert not named, "arguments of a query are positional: they are its key"
        return view.ask(work, arguments)

    return cast("Callable[Concatenate[View, P], T]", ask)
