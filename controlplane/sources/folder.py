"""A folder of YAML and JSON as a source, watched.

Files are `*.yaml`, `*.yml` and `*.json`, in folders below it too; `tree` says which of them count.
A file that is renamed into its place counts at once, one that is written in place when its writer
closes it. Every error keeps what was good before. A folder that cannot be read removes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from controlplane.sources import document, reader, tree
from controlplane.sources.history import History
from controlplane.sources.layers import Difference
from controlplane.sources.shelf import Shelf
from controlplane.sources.source import Change, Listing
from controlplane.sources.watcher import Clock, Kernel, Watcher

_LOG: Final = logging.getLogger(__name__)
#: Folders that come while others are looked at: after so many rounds the next event continues.
_ROUNDS: Final = 10


class Folder:
    """The source. Of one event loop; it begins with the first `list` or `watch`, or as a context,
    and ends with `close`."""

    def __init__(
        self,
        path: str,
        kinds: reader.Kinds,
        *,
        limits: document.Limits | None = None,
        poll: bool = False,
        history: History | None = None,
    ) -> None:
        """`poll`: looks twice a second instead of waiting for the kernel's word, which does not
        come over a network file system."""
        self._root = os.path.abspath(path)
        self._kinds = kinds
        self._limits = limits
        self._poll = poll
        self._history = history or History()
        self._begun: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._watcher: Watcher | None = None
        self._shelf: Shelf | None = None
        self._listing: Listing | None = None

    @property
    def name(self) -> str:
        """The folder's path."""
        return self._root

    async def list(self) -> Listing:
        """Everything, now."""
        await self._begin()
        assert self._listing is not None
        return self._listing

    async def watch(self, version: str) -> AsyncIterator[Change]:
        """What happens after `version`, for ever. Raises Gone."""
        await self._begin()
        async for change in self._history.after(version):
            yield change

    async def close(self) -> None:
        """Stops watching. Raises what watching failed with, if it did."""
        try:
            for task in (self._begun, self._task):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
        finally:
            if self._watcher is not None:
                self._watcher.close()
                self._watcher = None

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _begin(self) -> None:
        if self._begun is None:
            self._begun = asyncio.create_task(self._start())
        await asyncio.shield(self._begun)

    async def _start(self) -> None:
        self._watcher = self._watch_with()
        self._shelf = Shelf(self._root, self._kinds, self._limits, settle=not self._watcher.settled)
        await self._look(None)
        self._listing = self._listed()
        self._task = asyncio.create_task(self._follow(), name=f"follow {self._root}")

    def _watch_with(self) -> Watcher:
        if not self._poll:
            try:
                return Kernel(self._root)
            except OSError as error:
                self._warn(error)
        return Clock()

    def _warn(self, error: OSError) -> None:
        _LOG.warning(
            "%s: the kernel watches no more folders (%s); it is looked at twice a second instead."
            " Raise fs.inotify.max_user_watches and max_user_instances",
            self._root,
            error.strerror,
        )

    async def _follow(self) -> None:
        try:
            while True:
                assert self._watcher is not None
                await self._look(await self._watcher.changes())
        except Exception as error:
            # Whoever watches must not take silence for peace.
            self._history.fail(error)
            raise

    async def _look(self, paths: set[str] | None) -> None:
        assert self._shelf is not None
        if paths is not None:
            self._tell(await asyncio.to_thread(self._shelf.look, paths))
            return
        for _ in range(_ROUNDS):
            found = await asyncio.to_thread(tree.walk, self._root)
            new = self._followed(found.directories)
            self._tell(await asyncio.to_thread(self._shelf.look_at_all, found))
            if not new:
                break

    def _tell(self, difference: Difference | None) -> None:
        assert self._shelf is not None
        # Before the first listing there is nobody to tell.
        if difference is not None and self._listing is not None:
            shelf = self._shelf
            self._history.add(
                difference.updated, difference.removed, shelf.refused(), shelf.warnings()
            )
            self._listing = self._listed()

    def _followed(self, directories: set[str]) -> bool:
        assert self._watcher is not None
        try:
            return self._watcher.follow(directories)
        except OSError as error:
            self._warn(error)
            self._watcher.close()
            self._watcher = Clock()
            return True

    def _listed(self) -> Listing:
        assert self._shelf is not None
        shelf = self._shelf
        return Listing(shelf.resources(), shelf.refused(), self._history.version, shelf.warnings())
