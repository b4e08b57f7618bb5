"""Files that must survive a kill at any moment, and that nobody else may read."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, body: bytes, *, secret: bool) -> None:
    """Puts a file in place whole or not at all: written beside, flushed to disk, moved, and the
    move flushed. `secret`: readable by the owner alone from its first byte. Raises OSError."""
    beside = path.with_name(f".{path.name}.new")
    mode = 0o600 if secret else 0o644
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    flush_directory(path.parent)


def append(path: Path, line: bytes, *, secret: bool) -> None:
    """Adds a line that is on disk when this returns. Raises OSError."""
    mode = 0o600 if secret else 0o644
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        flush_directory(path.parent)


def flush_directory(path: Path) -> None:
    """What was created in or moved into a directory stays there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
