"""What `-f` names: files, folders, the standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

from controlplane.commands.common import CommandError
from controlplane.problem import Refused
from controlplane.sources import document, tree
from controlplane.sources.shelf import read_file


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
    """Names and contents of what one name stands for. Raises CommandError."""
    most = document.Limits().bytes
    if name == "-":
        yield "standard input", sys.stdin.buffer.read(most + 1)
    elif "://" in name:
        raise CommandError(f"{name}: nothing is fetched; save it to a file, or pipe it to -f -")
    elif os.path.isdir(name):
        for path in sorted(_below(name, recursive)):
            yield path, _read(path, most)
    else:
        yield name, _read(name, most)


def _below(folder: str, recursive: bool) -> Iterator[str]:
    if recursive:
        for path in tree.walk(folder).files:
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
