"""Who says which files of a folder to look at again: the kernel (inotify), or the clock."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from typing import Final, Protocol

from inotify_simple import INotify, flags

from controlplane.sources import tree

#: Changes that come one after the other within this time are looked at together, a release that
#: is unpacked for example, but none waits longer than the second.
_QUIET: Final = 0.002
_LONGEST: Final = 0.2
#: How often the clock says so, in seconds.
INTERVAL: Final = 0.5

#: A file counts when its writer closes it, not while it is half written.
_MASK: Final = (
    flags.CLOSE_WRITE
    | flags.CREATE
    | flags.MOVED_TO
    | flags.MOVED_FROM
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ATTRIB
    | flags.ONLYDIR
)
#: Something about the folders themselves: all is looked at again.
_FOLDERS: Final = (
    flags.Q_OVERFLOW | flags.ISDIR | flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT
)


class Watcher(Protocol):
    """Says what to look at again."""

    #: Whether a file that is named has been written to its end.
    settled: bool

    def follow(self, directories: set[str]) -> bool:
        """Watches exactly these folders from now on. True if one of them is new: what happened in
        it before is not told. Raises OSError when the kernel watches no more folders."""

    async def changes(self) -> set[str] | None:
        """Waits. The paths of files; None is everything."""

    def close(self) -> None:
        """Watches nothing any more."""


class Kernel:
    """inotify."""

    settled = True

    def __init__(self, root: str) -> None:
        """Raises OSError when there are no more instances of inotify."""
        self._root = root
        self._inotify = INotify(nonblocking=True)
        self._folders: dict[str, int] = {}
        #: Several folders of one watch are links to one folder.
        self._paths: dict[int, set[str]] = {}
        self._ready = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._ready.set)

    def follow(self, directories: set[str]) -> bool:
        for path in self._folders.keys() - directories:
            self._forget(path)
        new = False
        for path in sorted(directories - self._folders.keys()):
            try:
                watch = self._inotify.add_watch(os.path.join(self._root, path), _MASK)
            except OSError as error:
                if error.errno in {errno.ENOSPC, errno.ENOMEM}:
                    raise
                continue  # It has gone meanwhile, or is not to be read: the next walk says so.
            self._folders[path] = watch
            self._paths.setdefault(watch, set()).add(path)
            new = True
        return new

    async def changes(self) -> set[str] | None:
        # Without the folder itself there is nothing to hear: look whether it has come back.
        patience = None if "" in self._folders else INTERVAL
        try:
            async with asyncio.timeout(patience):
                await self._ready.wait()
        except TimeoutError:
            return None
        found = self._read()
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST
        while loop.time() < end:
            try:
                async with asyncio.timeout(_QUIET):
                    await self._ready.wait()
            except TimeoutError:
                break
            more = self._read()
            found = None if found is None or more is None else found | more
        return found

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._inotify.fileno())
        self._inotify.close()

    def _read(self) -> set[str] | None:
        self._ready.clear()
        found: set[str] = set()
        everything = False
        for event in self._inotify.read(timeout=0):
            paths = self._paths.get(event.wd, set())
            if event.mask & flags.IGNORED:
                for path in list(paths):
                    self._folders.pop(path, None)
                self._paths.pop(event.wd, None)
                everything = everything or bool(paths)
            elif event.mask & _FOLDERS or event.name.startswith(".."):
                # `..data` is what Kubernetes swaps when a mount changes.
                everything = everything or not _ours(event.name)
            elif not tree.hidden(event.name) and tree.holds_documents(event.name):
                below = {os.path.join(path, event.name) for path in paths}
                if not event.mask & flags.CREATE or any(map(self._is_whole, below)):
                    found |= below
        return None if everything else found

    def _is_whole(self, path: str) -> bool:
        """Whether what has just been made is a link: a new file counts when it is closed."""
        try:
            status = os.lstat(os.path.join(self._root, path))
        except OSError:
            return False
        return not stat.S_ISREG(status.st_mode) or status.st_nlink > 1

    def _forget(self, path: str) -> None:
        watch = self._folders.pop(path)
        paths = self._paths.get(watch, set())
        paths.discard(path)
        if not paths:
            self._paths.pop(watch, None)
            try:
                self._inotify.rm_watch(watch)
            except OSError:
                pass  # The folder has gone, and its watch with it.


class Clock:
    """Looks at everything twice a second: for file systems that tell nothing, and when the kernel
    has no watches left."""

    settled = False

    def follow(self, directories: set[str]) -> bool:
        del directories
        return False

    async def changes(self) -> set[str] | None:
        await asyncio.sleep(INTERVAL)
        return None

    def close(self) -> None:
        """Nothing is held."""


def _ours(name: str) -> bool:
    """A hidden folder, such as `.mesh`, which is none of the configuration."""
    return name.startswith(".") and not name.startswith("..")
