"""What `-f` names: files, folders, the standard input."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator

from controlplane.commands.common import CommandError
from controlplane.problem import Refused
from controlplane.sources import document, tree
from controlplane.sources.shelf import read_file


def add_flags(parser: argparse.ArgumentParser, means: str, *, required: bool = False) -> None:
    """`-f` and `-R`."""
    parser.add_argument(
        "-f",
        "--filename",
        metavar="FILE",
        nargs="+",
        action="extend",
        required=required,
        default=[],
        help=means,
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="with a folder, those below it too"
    )


def documents(names: Iterable[str], *, recursive: bool) -> list[document.Document]:
    """All documents, in their order. Raises CommandError, and ExceptionGroup of Refused for what
    cannot be read."""
    found: list[document.Document] = []
    refused: list[Refused] = []
    for name in names:
        for path, data in files(name, recursive):
            contents = document.read(data, path)
            found += contents.documents
            refused += contents.refused
    if refused:
        raise ExceptionGroup("refused", refused)
    if not found:
        raise CommandError(f"no objects in {', '.join(names)}")
    return found


def files(name: str, recursive: bool) -> Iterator[tuple[str, bytes]]:
    """Names and contents of what one name stands for. Raises CommandError, and ExceptionGroup of
    Refused for folders that cannot be looked into."""
    if name != "-" and os.path.isdir(name):
        most = document.Limits().bytes
        for path in sorted(_below(name, recursive)):
            yield path, _read(path, most)
    else:
        yield one_file(name)


def one_file(name: str, most: int = document.Limits().bytes) -> tuple[str, bytes]:
    """Name and contents of what is no folder, one byte more than `most` at most. Raises
    CommandError."""
    if name == "-":
        if sys.stdin is None:
            raise CommandError("standard input: is closed")
        return "standard input", sys.stdin.buffer.read(most + 1)
    if "://" in name:
        raise CommandError(f"{name}: nothing is fetched; save it to a file, or pipe it to -f -")
    try:
        # Whatever somebody has named, a shell's `<(...)` for one.
        with open(name, "rb") as file:
            return name, file.read(most + 1)
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}") from error


def _below(folder: str, recursive: bool) -> Iterator[str]:
    if recursive:
        found = tree.walk(folder)
        if found.unreadable:
            # What was left out is not to be taken for what is not there.
            raise ExceptionGroup("unreadable", list(found.unreadable.values()))
        for path in found.files:
            yield os.path.join(folder, path)
        return
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not tree.hidden(entry.name) and tree.holds_documents(entry.name):
                    yield entry.path
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}") from error


def _read(path: str, most: int) -> bytes:
    try:
        return read_file(path, most)[1]
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
