"""File subscriptions: Envoy's `path_config_source`.

A file is read when it is first wanted, and again when a file of its name is moved into its
directory; with `watched_directory`, when anything is moved into that directory (that is how
Kubernetes swaps a ConfigMap). A write in place is not noticed, as in Envoy: a half-written file
must never be read.

A secret may name files of its own. The core says in which directories they are; when something is
moved into one of them, the secret is offered again as it is, and the core reads its files anew.
"""

from __future__ import annotations

import os

from mesh import api, engine
from mesh.xds.intake import details, kind
from mesh.xds.tally import SCOPES, Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.loop import Loop, Timer
    from mesh.xds.intake import Intake


class Subscription:
    """One file that is to hold resources of one type."""

    __slots__ = ("answered", "name", "path", "scope", "timeout", "timer", "type_url", "watched")

    def __init__(
        self, type_url: str, name: str, path: str, watched: str, timeout: float, scope: str
    ) -> None:
        self.type_url = type_url
        #: The one resource it is for; "" for all of the type (LDS, CDS).
        self.name = name
        self.path = path
        self.watched = watched
        self.timeout = timeout
        self.scope = scope
        #: The first fetch has ended, well or badly: nothing waits for it any more.
        self.answered = False
        self.timer: Timer | None = None

    def key(self) -> tuple[str, str, str, str]:
        return self.type_url, self.name, self.path, self.watched

    def directory(self) -> str:
        return self.watched or os.path.dirname(self.path) or "."

    def concerned(self, directory: str, name: str) -> bool:
        """Whether what was moved into `directory` may have changed the file."""
        if directory != self.directory():
            return False
        return bool(self.watched) or name == os.path.basename(self.path)


class Session:
    """All file subscriptions. Lives on the main thread."""

    def __init__(
        self,
        intake: Intake,
        watcher: engine.Watcher,
        loop: Loop,
        read: Callable[[str], bytes],
        *,
        ignore_unknown: bool = False,
    ) -> None:
        self._intake = intake
        self._core = intake.core
        self._store = intake.store
        self._tally = Tally(intake.core)
        self._watcher = watcher
        self._loop = loop
        self._read = read
        self._ignore_unknown = ignore_unknown
        self._subscriptions: dict[tuple[str, str, str, str], Subscription] = {}
        #: Directory to (type_url, name) of the resources that have files of their own in it.
        self._watched: dict[str, set[tuple[str, str]]] = {}
        #: Of what is followed.
        self._revision = -1
        self._due: list[Subscription] = []
        self._busy = False
        intake.followers.append(self.follow)

    def subscribe(self, type_url: str, path: str, watched: str, timeout: float) -> None:
        """Follows a file of `dynamic_resources` and fetches it, and all that it refers to."""
        subscription = Subscription(type_url, "", path, watched, timeout, SCOPES[type_url])
        self._begin(subscription)
        self._fetch_due()

    def follow(self, applied: engine.Applied) -> None:
        """Follows exactly the files that the configuration refers to now, besides those of
        `dynamic_resources`."""
        self._watch(applied.watched)
        if applied.revision == self._revision:
            return
        self._revision = applied.revision
        asked = {one[:4]: one for one in applied.wanted}
        for key in [key for key in self._subscriptions if key[1] and key not in asked]:
            self._end(self._subscriptions.pop(key))
        for key, one in asked.items():
            if key not in self._subscriptions:
                self._begin(Subscription(*one))
        self._fetch_due()

    def changed(self, moves: list[tuple[str, str]]) -> None:
        """Files were moved: reads again what they concern."""
        lost_track = ("", "") in moves
        for subscription in self._subscriptions.values():
            if lost_track or any(subscription.concerned(*move) for move in moves):
                self._add_due(subscription)
        # What is fetched anyway has its files read with it.
        fetched = {(one.type_url, one.name) for one in self._due}
        stale = {
            resource
            for directory, resources in self._watched.items()
            if lost_track or any(directory == moved for moved, _ in moves)
            for resource in resources
        }
        self._fetch_due()
        for type_url, name in sorted(stale - fetched):
            self._reload(type_url, name)

    def waiting(self) -> list[tuple[str, str]]:
        """(type_url, path) of the first fetches that have not ended."""
        return [
            (one.type_url, one.path)
            for one in self._subscriptions.values()
            # A listener that waits for an extension warms; others do not wait.
            if not one.answered and one.type_url != api.EXTENSION
        ]

    def _begin(self, subscription: Subscription) -> None:
        self._subscriptions[subscription.key()] = subscription
        self._tally.begin(subscription.type_url, subscription.scope)
        self._add_watch(subscription.directory(), subscription.path)
        self._add_due(subscription)

    def _add_watch(self, directory: str, what: str) -> None:
        try:
            self._watcher.add(directory)
        except OSError as error:
            engine.log(
                "warning",
                "config",
                f"cannot watch {directory} for {what}: {error.strerror}; it is read once",
            )

    def _release(self, directory: str) -> None:
        """Stops watching a directory that nothing is read from any more."""
        subscribed = any(one.directory() == directory for one in self._subscriptions.values())
        if not subscribed and directory not in self._watched:
            self._watcher.remove(directory)

    def _watch(self, watched: list[tuple[str, str, str]]) -> None:
        before, self._watched = self._watched, {}
        for type_url, name, directory in watched:
            self._watched.setdefault(directory, set()).add((type_url, name))
        for directory in self._watched.keys() - before.keys():
            names = ", ".join(sorted(name for _, name in self._watched[directory]))
            self._add_watch(directory, f"the files of {names}")
        for directory in before.keys() - self._watched.keys():
            self._release(directory)

    def _end(self, subscription: Subscription) -> None:
        if subscription.timer is not None:
            subscription.timer.cancel()
        if subscription in self._due:
            self._due.remove(subscription)
        self._release(subscription.directory())
        self._store.drop(subscription.type_url, subscription.name)

    def _add_due(self, subscription: Subscription) -> None:
        if subscription not in self._due:
            self._due.append(subscription)

    def _fetch_due(self) -> None:
        """Fetches in the order of types until nothing is due. A fetch may make others due."""
        if self._busy:
            return
        self._busy = True
        try:
            while self._due:
                self._due.sort(key=lambda one: api.ORDER.index(one.type_url))
                self._fetch(self._due.pop(0))
        finally:
            self._busy = False

    def _fetch(self, subscription: Subscription) -> None:
        first = not subscription.answered
        try:
            text = self._read(subscription.path)
        except OSError as error:
            # It may have vanished between two moves, or may still come.
            self._tally.attempt(subscription.scope)
            self._failed(subscription, error.strerror or str(error))
            if first and subscription.timer is None and subscription.timeout > 0:
                subscription.timer = self._loop.after(
                    subscription.timeout, lambda: self._timed_out(subscription)
                )
            return
        self._tally.attempt(subscription.scope)
        try:
            version, offered, refused = engine.load_discovery_response(
                text, subscription.path, subscription.type_url, self._ignore_unknown
            )
        except engine.ConfigError as error:
            self._failed(subscription, str(error))
        else:
            self._apply(subscription, version, offered, refused)
        if first and subscription.path:
            self._answered(subscription)

    def _apply(
        self,
        subscription: Subscription,
        version: str,
        offered: list[tuple[str, bytes]],
        refused: list[tuple[str, str, str]],
    ) -> None:
        """Takes what is offered. `refused` (name, field, reason) was offered too, but could not
        be read: like what the core refuses, it keeps its last version."""
        type_url = subscription.type_url
        names = [name for name, _ in offered] + list(dict.fromkeys(name for name, _, _ in refused))
        if subscription.name and (problem := _not_the_one(subscription, names)):
            self._rejected(subscription, [problem])
            return
        if subscription.name and not names:
            if type_url in {api.SECRET, api.EXTENSION}:
                what = f"no {kind(type_url)} '{subscription.name}' in it"
                self._rejected(subscription, [what])
            else:
                self._tally.empty(subscription.scope)
            return
        take = self._intake.part if subscription.name else self._intake.whole
        outcome = take(type_url, offered, version, refused=refused)
        if outcome.problems:
            self._rejected(subscription, outcome.problems)
        else:
            self._tally.accepted(type_url, subscription.scope, version, outcome.changed())
        self._intake.follow(outcome.applied)

    def _reload(self, type_url: str, name: str) -> None:
        """Files of a resource may have changed: offers it again as it was offered last."""
        body, version = self._store.newest(type_url, name)
        if not body:
            return
        applied = self._core.apply(type_url, [(name, body)], [], False)
        if applied.accepted:
            self._store.put(type_url, name, body, version)
            engine.log("info", "config", f"{kind(type_url)} '{name}': its files were read again")
        elif applied.rejected:
            text = "; ".join(details(field, reason) for _, field, reason in applied.rejected)
            self._store.fail(type_url, name, body, version, text)
            self._core.count(f"sds.{name}.key_rotation_failed", 1)
            engine.log(
                "warning",
                "config",
                f"{kind(type_url)} '{name}': its files changed and are rejected: {text} "
                "(what served before keeps serving)",
            )
        else:
            self._store.mend(type_url, name)
        self._intake.follow(applied)

    def _rejected(self, subscription: Subscription, problems: list[str]) -> None:
        self._tally.rejected(subscription.scope)
        engine.log(
            "warning",
            "config",
            f"filesystem config for {subscription.type_url} rejected: {subscription.path}: "
            + "; ".join(problems)
            + " (what served before keeps serving)",
        )

    def _failed(self, subscription: Subscription, reason: str) -> None:
        self._tally.failed(subscription.scope)
        engine.log(
            "warning",
            "config",
            f"filesystem config for {subscription.type_url} not read: {subscription.path}: "
            f"{reason} (what served before keeps serving)",
        )

    def _answered(self, subscription: Subscription) -> None:
        """The first fetch has ended. If it brought nothing, what waited for it goes on without,
        as in Envoy."""
        subscription.answered = True
        if subscription.timer is not None:
            subscription.timer.cancel()
        type_url, name = subscription.type_url, subscription.name
        if name and not self._store.holds(type_url, name):
            self._core.fetch_timed_out(type_url, name)

    def _timed_out(self, subscription: Subscription) -> None:
        subscription.timer = None
        if subscription.answered or subscription.key() not in self._subscriptions:
            return
        self._tally.timed_out(subscription.scope)
        self._answered(subscription)


def _not_the_one(subscription: Subscription, names: list[str]) -> str:
    """Envoy takes exactly the one resource that was asked for from such a file."""
    if len(names) > 1:
        return f"{len(names)} resources where one is expected, '{subscription.name}'"
    if names and names[0] != subscription.name:
        return f"'{names[0]}' where '{subscription.name}' is expected"
    return ""
