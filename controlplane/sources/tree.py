"""Which files of a folder hold configuration, and whether one has changed.

Hidden files and folders are none of it. A symbolic link is followed while it ends inside the
folder, which is what Kubernetes' mounts of ConfigMaps and Secrets look like.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from controlplane.problem import Origin, Problem, Refused
from controlplane.sources.document import SUFFIXES

#: More files than this are not looked at, nor more folders: links can make many of few.
MOST_FILES: Final = 20_000
MOST_FOLDERS: Final = 10_000


class Signature(NamedTuple):
    """What changes when a file does."""

    inode: int
    changed: int
    modified: int
    size: int


@dataclass(slots=True)
class Tree:
    """A folder as it was found. Paths are below the folder; "" is the folder itself."""

    #: What a file looks like, or why it is not read.
    files: dict[str, Signature | Refused] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    #: Folders that could not be looked into, by path: what was known below them still counts.
    unreadable: dict[str, Refused] = field(default_factory=dict)


def walk(root: str) -> Tree:
    """Every file that counts."""
    tree = Tree()
    real_root = os.path.realpath(root)
    # With the real paths of the folders above, so that a link to one of them ends the walk.
    pending: list[tuple[str, tuple[str, ...]]] = [("", (real_root,))]
    while pending:
        below, above = pending.pop()
        if len(tree.directories) >= MOST_FOLDERS:
            reason = f"more than {MOST_FOLDERS} folders; {below} and others are not read"
            tree.unreadable[""] = _refused(root, "", reason)
            return tree
        try:
            with os.scandir(os.path.join(root, below)) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            tree.unreadable[below] = _refused(root, below, reason, "folder")
            continue
        tree.directories.add(below)
        for entry in found:
            path = os.path.join(below, entry.name)
            if hidden(entry.name):
                continue
            if _is_directory(entry):
                real = os.path.realpath(entry.path)
                if real not in above and _inside(real, real_root):
                    pending.append((path, (*above, real)))
            elif holds_documents(entry.name):
                if len(tree.files) >= MOST_FILES:
                    reason = f"more than {MOST_FILES} files; {path} and others are not read"
                    tree.unreadable[""] = _refused(root, "", reason)
                    return tree
                seen = look(root, path, real_root)
                if seen is not None:
                    tree.files[path] = seen
    return tree


def look(root: str, path: str, real_root: str | None = None) -> Signature | Refused | None:
    """One file; None if there is none."""
    full = os.path.join(root, path)
    try:
        status = os.stat(full)
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)) and not os.path.islink(full):
            return None
        return _refused(root, path, f"cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        return None if stat.S_ISDIR(status.st_mode) else _refused(root, path, "is no regular file")
    if not _inside(os.path.realpath(full), real_root or os.path.realpath(root)):
        return _refused(root, path, "is a link to outside of the folder, which is not followed")
    return signature(status)


def signature(status: os.stat_result) -> Signature:
    return Signature(status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size)


def hidden(name: str) -> bool:
    """Whether a name, or one of those above it, begins with a dot."""
    return name.startswith(".") or f"{os.sep}." in name


def holds_documents(name: str) -> bool:
    return name.endswith(SUFFIXES)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _inside(real: str, real_root: str) -> bool:
    return real == real_root or real.startswith(real_root.rstrip(os.sep) + os.sep)


def _refused(root: str, path: str, reason: str, what: str = "") -> Refused:
    full = os.path.join(root, path) if path else root
    what = what or ("file" if path else "folder")
    return Refused(what, "", "", [Problem("", reason)], Origin(full, 1))
