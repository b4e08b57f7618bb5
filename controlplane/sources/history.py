"""The last changes of a source, kept for those who watch it."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from controlplane.problem import Refused
from controlplane.resources.resource import Key, Resource
from controlplane.sources.source import Change, Gone

_NUMBER: Final = re.compile(r"[0-9]{1,18}")


class History:
    """Bounded both ways: a watcher that falls behind is told Gone, and costs nobody else anything.
    For one event loop."""

    def __init__(self, most_changes: int = 1_000, most_resources: int = 100_000) -> None:
        self._most_changes = most_changes
        self._most_resources = most_resources
        self._resources = 0
        self._changes: deque[Change] = deque()
        #: A version of another life of this process must not be taken for one of ours.
        self._life = secrets.token_hex(4)
        #: The number of the newest change.
        self._newest = 0
        self._added = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def version(self) -> str:
        """After the newest change."""
        return f"{self._life}.{self._newest}"

    def add(
        self,
        updated: tuple[Resource[Any], ...],
        removed: tuple[Key, ...],
        refused: tuple[Refused, ...],
        warnings: tuple[Refused, ...] = (),
    ) -> None:
        """Tells all who watch."""
        self._newest += 1
        self._changes.append(Change(updated, removed, refused, self.version, warnings))
        self._resources += len(updated) + len(removed)
        while len(self._changes) > 1 and (
            len(self._changes) > self._most_changes or self._resources > self._most_resources
        ):
            oldest = self._changes.popleft()
            self._resources -= len(oldest.updated) + len(oldest.removed)
        self._wake()

    def fail(self, failure: BaseException) -> None:
        """There will be no changes any more; whoever watches is told why."""
        self._failure = failure
        self._wake()

    async def after(self, version: str) -> AsyncIterator[Change]:
        """What happens after `version`, for ever. Raises Gone, or what the source failed with."""
        life, _, digits = version.partition(".")
        if life != self._life or not _NUMBER.fullmatch(digits) or int(digits) > self._newest:
            raise Gone(version)
        seen = int(digits)
        while True:
            added = self._added
            while seen < self._newest:
                oldest = self._newest - len(self._changes) + 1
                if seen + 1 < oldest:
                    raise Gone(version)
                seen += 1
                yield self._changes[seen - oldest]
            if self._failure is not None:
                raise self._failure
            await added.wait()

    def _wake(self) -> None:
        before, self._added = self._added, asyncio.Event()
        before.set()
