"""The one way of resources into the core, from whatever source: what changed is offered, what was
taken and refused is kept in the store, and whoever fetches resources hears what is wanted now.
"""

from __future__ import annotations

from mesh import api, engine
from mesh.accel.resources import diff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mesh.xds.store import Store


class Outcome:
    """What became of an update."""

    __slots__ = ("applied", "bad", "problems")

    def __init__(self, applied: engine.Applied, problems: list[str], bad: Collection[str]) -> None:
        self.applied = applied
        #: One line for each, with the resource's name.
        self.problems = problems
        #: The names of those that were refused.
        self.bad = bad

    def changed(self) -> bool:
        return bool(self.applied.accepted or self.applied.removed)


class Intake:
    """Lives on the main thread."""

    def __init__(self, core: engine.Engine, store: Store) -> None:
        self.core = core
        self.store = store
        #: Called with every `Applied`: it says all that is wanted from elsewhere.
        self.followers: list[Callable[[engine.Applied], None]] = []

    def follow(self, applied: engine.Applied) -> None:
        for follower in self.followers:
            follower(applied)

    def whole(
        self,
        type_url: str,
        offered: list[tuple[str, bytes]],
        version: str,
        *,
        refused: Sequence[tuple[str, str, str]] = (),
        alive: Collection[str] = (),
        versions: Mapping[str, str] | None = None,
    ) -> Outcome:
        """All resources of a type: what is not among them goes. `refused` (name, field, reason)
        were offered, too, but could not be read: like what the core refuses, they keep their last
        version. `alive` is there as it was. The caller has the outcome followed."""
        kept = {name for name, _, _ in refused} | set(alive)
        updated, removed, duplicated = diff(self.store.bodies(type_url), offered)
        removed = [name for name in removed if name not in kept]
        twice = [f"{kind(type_url)} '{name}' is there twice" for name in duplicated]
        outcome = self._apply(type_url, updated, removed, version, refused, twice, versions)
        self.store.forgive(type_url, set(outcome.bad))
        if outcome.changed() or not outcome.problems:
            self.store.set_version(type_url, version)
        return outcome

    def part(
        self,
        type_url: str,
        offered: list[tuple[str, bytes]],
        version: str,
        *,
        removed: Sequence[str] = (),
        refused: Sequence[tuple[str, str, str]] = (),
        versions: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Some resources of a type; the others stay. The caller has the outcome followed."""
        updated, _, duplicated = diff({}, offered)
        twice = [f"{kind(type_url)} '{name}' is there twice" for name in duplicated]
        return self._apply(type_url, updated, list(removed), version, refused, twice, versions)

    def _apply(
        self,
        type_url: str,
        updated: list[tuple[str, bytes]],
        removed: list[str],
        version: str,
        refused: Sequence[tuple[str, str, str]],
        problems: list[str],
        versions: Mapping[str, str] | None,
    ) -> Outcome:
        applied = self.core.apply(type_url, updated, removed, False)
        bodies = dict(updated)
        own = versions or {}
        unreadable = {name for name, _, _ in refused}
        for name in applied.removed:
            self.store.drop(type_url, name)
        for name in applied.accepted:
            self.store.put(type_url, name, bodies[name], own.get(name, version))
        for name in applied.unchanged:
            self.store.mend(type_url, name)
        failed: dict[str, list[str]] = {}
        for name, field, reason in (*refused, *applied.rejected):
            text = details(field, reason)
            failed.setdefault(name, []).append(text)
            problems.append(f"{kind(type_url)} '{name}': {text}")
        for name, reasons in failed.items():
            body = b"" if name in unreadable else bodies.get(name, b"")
            self.store.fail(type_url, name, body, own.get(name, version), "; ".join(reasons))
        return Outcome(applied, problems, failed.keys())


def kind(type_url: str) -> str:
    """`listener`, `cluster`, `endpoints`, `route`, `secret` or `extension configuration`: what
    people call the type."""
    return {
        api.LISTENER: "listener",
        api.CLUSTER: "cluster",
        api.ROUTE: "route",
        api.SECRET: "secret",
        api.EXTENSION: "extension configuration",
    }.get(type_url, "endpoints")


def details(field: str, reason: str) -> str:
    return f"{field}: {reason}" if field else reason
