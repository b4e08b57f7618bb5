"""Theory of operation: values that are worked out once and again only when what they read changed.

A node is an input (a resource, a list of a kind, a fact) or the answer of a query: a pure function
of the inputs and of other queries. While a query runs, every read is recorded; that record is what
decides, later, whether it must run again. Nobody lists dependencies by hand: none is forgotten.

    set_input    marks stale whatever depends on the input, however far away (no work is done)
    value_of     brings a node up to date: it runs only if something it read has changed, and if
                 its answer comes out equal, those who read it do not run at all ("early cutoff")
    touched      watched nodes that were marked since the last call: the only ones worth asking

One thread uses a graph. Between two `set_input` calls it is a frozen world: every value fits every
other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection

T = TypeVar("T")

#: So many users, or watchers, are a tuple: most nodes have one, and a set takes more than the node.
_FEW = 4


class Node:
    """One value and what it came from."""

    __slots__ = (
        "changed", "checked", "error", "key", "reads", "running", "stale", "used", "users",
        "value", "watchers", "work",
    )  # fmt: skip

    def __init__(self, key: Hashable, work: Callable[[Node], Any] | None) -> None:
        self.key = key
        #: What works the value out and records reads on this node; None for an input.
        self.work = work
        self.value: Any = None
        #: What the query raised instead of answering.
        self.error: Exception | None = None
        #: In the order in which they were read.
        self.reads: list[Node] | tuple[Node, ...] = ()
        self.users: Collection[Node] = ()
        self.watchers: Collection[Watcher] = ()
        #: Revisions: when the value last became another, was last known good, was last asked for.
        self.changed = 0
        self.checked = 0
        self.used = 0
        self.stale = work is not None
        self.running = False

    def __repr__(self) -> str:
        return f"Node({self.key!r}, changed={self.changed}{', stale' if self.stale else ''})"


class Watcher(Protocol):
    """Somebody who wants to know when a value may have changed."""

    def __hash__(self) -> int: ...


class Graph:
    """All nodes, and the revision they are at."""

    def __init__(self) -> None:
        self.revision = 1
        self._nodes: dict[Hashable, Node] = {}
        self._touched: set[Node] = set()

    def __len__(self) -> int:
        return len(self._nodes)

    def input(self, key: Hashable, first: Callable[[], Any]) -> Node:
        """The node of an input; `first` gives its value when nobody has read it before."""
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = Node(key, None)
            node.value = first()
            node.changed = node.checked = self.revision
        return node

    def query(self, key: Hashable, work: Callable[[Node], Any]) -> Node:
        """The node of a query."""
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = Node(key, work)
        return node

    def set_input(self, key: Hashable, value: Callable[[], Any]) -> None:
        """An input has another value. What nobody has read costs nothing."""
        node = self._nodes.get(key)
        if node is None:
            return
        given = value()
        if given == node.value:
            return
        node.value = given
        node.changed = self.revision
        self._mark(node)

    def advance(self) -> None:
        """Begins the next revision; the inputs that change together are set after it."""
        self.revision += 1

    def read(self, reader: Node | None, node: Node) -> Any:
        """The value of `node`, up to date, and the record that `reader` read it. Raises what the
        query raised."""
        if reader is not None and reader not in node.users:
            # It is being worked out: see `_run`.
            assert isinstance(reader.reads, list)
            reader.reads.append(node)
            node.users = _with(node.users, reader)
        return self.value_of(node)

    def value_of(self, node: Node) -> Any:
        """The value, up to date. Raises what the query raised."""
        node.used = self.revision
        if node.stale:
            self._refresh(node)
        if node.error is not None:
            # Raised anew each time; without this the traceback of the one before would grow.
            raise node.error.with_traceback(None)
        return node.value

    def watch(self, node: Node, watcher: Watcher) -> None:
        """`node` is kept, and reported by `touched` when it may have changed."""
        if watcher not in node.watchers:
            node.watchers = _with(node.watchers, watcher)

    def unwatch(self, node: Node, watcher: Watcher) -> None:
        node.watchers = _without(node.watchers, watcher)
        if not node.watchers:
            self._touched.discard(node)

    def touched(self) -> set[Node]:
        """Watched nodes that may have changed since the last call; ask them to know."""
        touched, self._touched = self._touched, set()
        return touched

    def depends_on(self, node: Node, keys: Collection[Hashable]) -> set[Hashable]:
        """Those of the keys that were read for the value of `node`, however far away."""
        found: set[Hashable] = set()
        seen = {node}
        waiting = [node] if keys else []
        while waiting:
            for read in waiting.pop().reads:
                if read not in seen:
                    seen.add(read)
                    waiting.append(read)
                    if read.work is None and read.key in keys:
                        found.add(read.key)
        return found

    def collect(self, revisions: int = 8) -> int:
        """Forgets answers that nobody watches, read or asked for in the last `revisions` (-1: or
        ever), so that the memory follows use. Returns how many."""
        before = len(self._nodes)
        oldest = self.revision - revisions
        idle = [node for node in self._nodes.values() if _idle(node, oldest)]
        while idle:
            node = idle.pop()
            if self._nodes.pop(node.key, None) is None:
                continue
            for read in node.reads:
                read.users = _without(read.users, node)
                if _idle(read, oldest):
                    idle.append(read)
        return before - len(self._nodes)

    def _mark(self, node: Node) -> None:
        if node.watchers:
            self._touched.add(node)
        waiting = list(node.users)
        while waiting:
            user = waiting.pop()
            # What depends on a stale node is stale already.
            if user.stale:
                continue
            user.stale = True
            if user.watchers:
                self._touched.add(user)
            waiting += user.users

    def _refresh(self, node: Node) -> None:
        if node.running:
            raise RuntimeError(f"{node.key!r} asks for itself")
        node.running = True
        try:
            if node.checked == 0 or self._reads_changed(node):
                self._run(node)
        finally:
            node.running = False
        node.checked = self.revision
        node.stale = False

    def _reads_changed(self, node: Node) -> bool:
        for read in node.reads:
            if read.stale:
                self._refresh(read)
            if read.changed > node.checked:
                return True
        return False

    def _run(self, node: Node) -> None:
        for read in node.reads:
            read.users = _without(read.users, node)
        reads: list[Node] = []
        node.reads = reads
        value, error = None, None
        assert node.work is not None
        try:
            value = node.work(node)
        except Exception as raised:  # noqa: BLE001  # whoever reads it raises it again
            error = raised
        node.reads = tuple(reads)
        same = node.checked != 0 and value == node.value and _alike(error, node.error)
        node.value, node.error = (node.value if same else value), error
        if not same:
            node.changed = self.revision


def _idle(node: Node, oldest: int) -> bool:
    return not node.users and not node.watchers and node.used < oldest and not node.running


def _with(held: Collection[T], one: T) -> Collection[T]:
    """`held` and one more, which is not there yet."""
    if isinstance(held, set):
        held.add(one)
        return held
    return (*held, one) if len(held) < _FEW else {*held, one}


def _without(held: Collection[T], one: T) -> Collection[T]:
    if not isinstance(held, set):
        return tuple(other for other in held if other is not one)
    held.discard(one)
    return held or ()


def _alike(one: Exception | None, other: Exception | None) -> bool:
    return type(one) is type(other) and str(one) == str(other)
