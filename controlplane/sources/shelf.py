"""What the files of a folder hold: read when told so, the last good state kept. No waiting here.

A resource that was good and is wrong now stays as it was. While a file has a part that cannot be
read, what was read from it before and is not in it now still counts: the part may be just that. So
it is with an object of an unknown kind, if something of its name is missed.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from typing import Any

from controlplane.problem import Origin, Problem, Refused
from controlplane.resources.resource import Key, Resource
from controlplane.sources import document, reader, tree
from controlplane.sources.first_seen import FirstSeen
from controlplane.sources.layers import Difference, Layer, Layers, duplicate


class Shelf:
    """A folder's files by path."""

    def __init__(
        self,
        root: str,
        kinds: reader.Kinds,
        limits: document.Limits | None = None,
        *,
        settle: bool = False,
        remember: bool = True,
    ) -> None:
        """`settle`: nobody says when a file has been written to its end, so one that is written in
        place counts when two looks at it have found the same. `remember`: moments of first sight
        are written into the folder."""
        self._root = root
        self._kinds = kinds
        self._limits = limits or document.Limits()
        self._settle = settle
        self._remember = remember
        self._seen = FirstSeen(root)
        self._layers: Layers[str] = Layers()
        self._signatures: dict[str, tree.Signature] = {}
        self._unsettled: dict[str, tree.Signature] = {}
        #: By file, objects of unknown kinds that stand for nothing that we knew.
        self._strangers: dict[str, set[reader.Header]] = {}
        self._first = True

    def look(self, paths: set[str]) -> Difference | None:
        """Looks at some files again."""
        for path in sorted(paths):
            if not tree.hidden(path):
                self._meet(path, tree.look(self._root, path))
        return self._difference()

    def look_at_all(self, found: tree.Tree) -> Difference | None:
        """Looks at all files again."""
        for path, one in found.files.items():
            self._meet(path, one)
        gone = self._layers.places() - found.files.keys()
        for path in gone:
            if path not in found.unreadable and not _below_one_of(path, found.unreadable):
                self._drop(path)
        for path, refused in found.unreadable.items():
            self._layers.put(path + os.sep, Layer(path, {}, (refused,)))
        for path in self._layers.places():
            if path.endswith(os.sep) and path[:-1] not in found.unreadable:
                self._layers.drop(path)
        difference = self._difference()
        if self._first and not found.unreadable:
            self._first = False
            self._seen.keep({one.key for one in self._layers.resources()})
            self._save()
        return difference

    def resources(self) -> tuple[Resource[Any], ...]:
        return self._layers.resources()

    def refused(self) -> tuple[Refused, ...]:
        return self._layers.refused()

    def warnings(self) -> tuple[Refused, ...]:
        return self._layers.warnings()

    def _difference(self) -> Difference | None:
        difference = self._layers.difference()
        if difference is not None:
            for key in difference.removed:
                self._seen.forget(key)
        self._save()
        return difference

    def _save(self) -> None:
        if self._remember:
            self._seen.save()

    def _meet(self, path: str, found: tree.Signature | Refused | None) -> None:
        if found is None:
            self._drop(path)
        elif isinstance(found, Refused):
            self._signatures.pop(path, None)
            self._keep(path, found)
        elif self._signatures.get(path) != found and self._settled(path, found):
            self._read(path)

    def _settled(self, path: str, found: tree.Signature) -> bool:
        known = self._signatures.get(path)
        if not self._settle or known is None or known.inode != found.inode:
            # New, or renamed to here: it is whole.
            return True
        if self._unsettled.get(path) == found:
            del self._unsettled[path]
            return True
        self._unsettled[path] = found
        return False

    def _read(self, path: str) -> None:
        full = os.path.join(self._root, path)
        try:
            status, data = read_file(full, self._limits.bytes)
        except FileNotFoundError:
            self._drop(path)
            return
        except OSError as error:
            problem = Problem("", f"cannot be read: {error.strerror}")
            self._keep(path, Refused("file", "", "", [problem], Origin(full, 1)))
            return
        self._signatures[path] = tree.signature(status)
        self._layers.put(path, self._layer(path, document.read(data, full, self._limits), status))

    def _layer(self, path: str, contents: document.Contents, status: os.stat_result) -> Layer:
        before = self._layers.get(path)
        old = before.resources if before is not None else {}
        resources: dict[Key, Resource[Any]] = {}
        refused = list(contents.refused)
        warnings: list[Refused] = []
        # Something may be what is missed.
        uncertain = bool(refused)
        unknown: set[reader.Header] = set()
        for one in contents.documents:
            key = reader.key(one, self._kinds)
            if key is None:
                head = reader.header(one, self._kinds)
                if _is_unknown(head, self._kinds):
                    unknown.add(head)
                else:
                    uncertain = True
            elif key in resources:
                refused.append(duplicate(key, str(resources[key].origin), one.origin))
                continue
            try:
                resource, warned = reader.read_with_warnings(one, self._kinds)
                if warned is not None:
                    warnings.append(warned)
                if one.value["metadata"].get("creationTimestamp") is None:
                    first = self._seen.when(resource.key, status.st_mtime)
                    resource = dataclasses.replace(resource, created=first)
                resources[resource.key] = resource
            except Refused as why:
                # With its frames it would hold all that the file has.
                refused.append(why.with_traceback(None))
                if key is not None and key in old:
                    resources[key] = old[key]
        missed = old.keys() - resources.keys()
        kept = missed if uncertain else self._misspelt(path, unknown, missed)
        resources.update((key, old[key]) for key in kept)
        for key, resource in resources.items():
            # The same object, if it means the same and stands where it stood.
            if key in old and _same(old[key], resource):
                resources[key] = old[key]
        return Layer(path, resources, tuple(refused), tuple(warnings))

    def _misspelt(self, path: str, unknown: set[reader.Header], missed: set[Key]) -> set[Key]:
        """Of what is missed, that which stands there under a kind that we do not know."""
        before = self._strangers.get(path, set())
        kept: set[Key] = set()
        self._strangers[path] = set()
        for head in unknown:
            same = {key for key in missed if _same_name(key, head)} if head not in before else set()
            kept |= same
            if not same:
                self._strangers[path].add(head)
        return kept

    def _keep(self, path: str, refused: Refused) -> None:
        """It cannot be read now."""
        before = self._layers.get(path)
        self._layers.put(path, Layer(path, before.resources if before else {}, (refused,)))

    def _drop(self, path: str) -> None:
        self._layers.drop(path)
        self._signatures.pop(path, None)
        self._unsettled.pop(path, None)
        self._strangers.pop(path, None)


def read_file(path: str, most: int) -> tuple[os.stat_result, bytes]:
    """A regular file, one byte more than `most` at most: enough to see that it is too large.
    Raises OSError."""
    # Nobody waits for the other end of a FIFO.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "is no regular file", path)
        return status, file.read(most + 1)


def _is_unknown(head: reader.Header, kinds: reader.Kinds) -> bool:
    said = head.api_version and head.kind
    return bool(said) and (head.api_version, head.kind) not in kinds


def _same(one: Resource[Any], other: Resource[Any]) -> bool:
    return (one, one.version, one.origin) == (other, other.version, other.origin)


def _same_name(key: Key, head: reader.Header) -> bool:
    return key.name == head.name and key.namespace in {"", head.namespace}


def _below_one_of(path: str, folders: dict[str, Refused]) -> bool:
    return any(not folder or path.startswith(folder + os.sep) for folder in folders)
