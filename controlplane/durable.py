"""Writing files so that what was written is whole or not there, whenever the machine stops."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from typing import Final, TypeAlias

#: As `os` takes them.
Path: TypeAlias = str | os.PathLike[str]

_MARK: Final = ".mesh-write"
_LOCK: Final = ".lock"
_CLAIM: Final = ".claimed"


def write(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Replaces a file by renaming. When it returns the data is on the disk; until the rename
    readers see the old file, and never a part of the new. From its first byte nobody may read it
    who may not in the end. Raises OSError.

    `owner`, user and group, keeps whose it is, as far as that is allowed.
    """
    directory, name = os.path.split(path)
    # A hidden name: nobody reads it as configuration.
    temporary = os.path.join(directory, f".{name[:100]}.{secrets.token_hex(4)}{_MARK}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            # The umask does not count where a mode was decided upon.
            os.fchmod(file.fileno(), mode)
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                _give(file.fileno(), owner)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        _unlink(temporary)
        raise
    sync_directory(directory)


def append(path: Path, line: bytes, mode: int) -> None:
    """Adds a line; when it returns that is on the disk. `mode` is that of a new file. What a writer
    before has left unfinished (a full disk, a power cut) stays a line of its own. Raises
    OSError."""
    is_new = not os.path.exists(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
    with open(descriptor, "ab") as file:
        end = os.fstat(descriptor).st_size
        if end and os.pread(descriptor, 1, end - 1) != b"\n":
            line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_directory(os.path.dirname(path))


def remove(path: Path) -> None:
    """Removes a file; when it returns that is on the disk."""
    os.unlink(path)
    sync_directory(os.path.dirname(path))


def make_directory(path: Path) -> None:
    """Makes a folder and those above it, each on the disk when it returns."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path) or "."
    make_directory(parent)
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    sync_directory(parent)


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keeps out other processes, and threads, that call this for the folder. It is made, the
    owner's alone, if it is not there. Raises OSError."""
    os.makedirs(directory, 0o700, exist_ok=True)
    path = os.path.join(directory, _LOCK)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def claim(directory: Path) -> int | None:
    """Makes a folder this process's, until the descriptor that is returned is closed or the process
    ends; None if it is another's. Raises OSError."""
    path = os.path.join(directory, _CLAIM)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def sync_directory(path: Path) -> None:
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(directory: Path) -> None:
    """Removes what a writer that was killed has left. Only for who holds the lock of the folder."""
    with os.scandir(directory) as entries:
        left = [one.path for one in entries if one.name.endswith(_MARK) and one.name[0] == "."]
    for path in left:
        _unlink(path)


def _give(descriptor: int, owner: tuple[int, int]) -> None:
    try:
        os.fchown(descriptor, *owner)
    except PermissionError:
        pass  # Only root may; the file is the writer's then, as with any editor.


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
