"""Which version of an object the world has held since which of its revisions, and waiting for one.

Of one event loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

from controlplane.resources.resource import Key, Resource

#: Of versions that others have replaced, and of objects that are gone: so many are remembered.
PAST = 10_000
#: The version of an object that is not there.
ABSENT = ""


class Entry(NamedTuple):
    """A version, and the revision that brought it."""

    version: str
    revision: int


class Ledger:
    """Costs an entry for each object; the past is bounded."""

    def __init__(self) -> None:
        self._now: dict[Key, Entry] = {}
        self._past: OrderedDict[tuple[Key, str], int] = OrderedDict()
        self._changed = asyncio.Event()
        #: The last revision that was noted.
        self.latest = 0

    def note(self, updated: Iterable[Resource[Any]], removed: Iterable[Key], revision: int) -> None:
        """The world holds this from `revision` on."""
        for key in removed:
            self._retire(key)
            if self._now.pop(key, None) is not None:
                self._remember(key, Entry(ABSENT, revision))
        for one in updated:
            held = self._now.get(one.key)
            if held is None or held.version != one.version:
                self._retire(one.key)
                self._now[one.key] = Entry(one.version, revision)
        self.latest = max(self.latest, revision)
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    def held(self, key: Key) -> Entry:
        """What is there now."""
        return self._now.get(key) or Entry(ABSENT, self._past.get((key, ABSENT), 0))

    def revision(self, key: Key, version: str, since: int = -1) -> int | None:
        """The revision that brought a version, also one that came after the revision `since` and
        has been replaced; None if it has not come, or is long gone.

        An object may get a version that it had before: that it came then says nothing.
        """
        held = self.held(key)
        if held.version == version:
            return held.revision
        past = self._past.get((key, version))
        return past if past is not None and past > since else None

    async def changed(self) -> None:
        """Until the next `note`."""
        await self._changed.wait()

    def _retire(self, key: Key) -> None:
        held = self._now.get(key)
        if held is not None:
            self._remember(key, held)

    def _remember(self, key: Key, entry: Entry) -> None:
        self._past[key, entry.version] = entry.revision
        self._past.move_to_end((key, entry.version))
        while len(self._past) > PAST:
            self._past.popitem(last=False)
