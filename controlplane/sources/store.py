"""The one place that writes configuration: objects into the files of a folder.

An object that somebody put into a file is replaced there, and the rest of the file stays as it is,
byte by byte; a new one gets a file of its own, `NAMESPACE/KIND-NAME.yaml`. Writers take turns: the
folder's lock (`.lock`, flock) is held from reading to renaming. Other programs (an editor) know
nothing of the lock: a file that is not as it was read is not replaced. What has been acknowledged
is on the disk; `durable` says how.

Several objects are written one after the other, as kubectl does it, after all of them have been
validated: a machine that stops in between leaves some written, each of them whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from controlplane import durable
from controlplane.problem import Origin, Problem, Refused
from controlplane.resources.resource import Key, Kind
from controlplane.sources import document, reader, render, tree
from controlplane.sources.document import Document
from controlplane.sources.lines import steps
from controlplane.sources.shelf import read_file

#: What became of an object.
Outcome = Literal["created", "configured", "unchanged", "deleted"]

#: How long a writer waits for the others, in seconds.
_PATIENCE: Final = 30.0


class StoreError(Exception):
    """It was not written; `str()` says what, where and why."""


class Conflict(StoreError):
    """Somebody else has written in between."""


class NotFound(StoreError):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it stands in a file."""

    key: Key
    kind: Kind
    document: Document

    @property
    def version(self) -> str:
        """Its `resourceVersion`."""
        return reader.version(self.document.value)

    def object(self) -> dict[str, Any]:
        """As an API server would show it: with its namespace and its version."""
        value = dict(self.document.value)
        metadata = dict(value["metadata"])
        if self.key.namespace:
            metadata["namespace"] = self.key.namespace
        metadata["resourceVersion"] = self.version
        value["metadata"] = metadata
        return value


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one object."""

    key: Key
    kind: Kind
    outcome: Outcome
    #: As it is now; as it was, if it was deleted.
    version: str
    #: What its kind warns of although it was taken, a line each.
    warnings: str = ""


@dataclass(slots=True)
class _File:
    """A file as it was read."""

    signature: tree.Signature
    mode: int
    text: str
    stored: list[Stored]
    refused: tuple[Refused, ...] = ()
    #: Documents of no known kind and such that cannot be read: nobody may throw them away either.
    others: int = 0


@dataclass(slots=True)
class _Index:
    """Where everything is, as far as it is known to be so."""

    files: dict[str, _File] = field(default_factory=dict)
    places: dict[Key, list[str]] = field(default_factory=dict)


class Store:
    """One folder. May be used by one thread at a time; any number of processes may have one."""

    def __init__(
        self, folder: str, kinds: reader.Kinds, *, limits: document.Limits | None = None
    ) -> None:
        self._root = os.path.abspath(folder)
        self._kinds = kinds
        self._limits = limits or document.Limits()
        self._index = _Index()
        self._refused: list[Refused] = []
        #: Folders from which what killed writers left has been removed.
        self._swept: set[str] = set()

    @property
    def folder(self) -> str:
        return self._root

    def read(self) -> list[Stored]:
        """All objects that have a name, good or not, by path. Of two of one name the first."""
        self._refresh()
        found: dict[Key, Stored] = {}
        for path in sorted(self._index.files):
            for one in self._index.files[path].stored:
                found.setdefault(one.key, one)
        return list(found.values())

    def refused(self) -> list[Refused]:
        """What the last `read` could not take."""
        files = self._index.files
        return [*self._refused, *(one for path in sorted(files) for one in files[path].refused)]

    def apply(
        self,
        documents: Iterable[Document],
        *,
        namespace: str = reader.DEFAULT_NAMESPACE,
        dry_run: bool = False,
    ) -> Iterator[Result | StoreError]:
        """Writes them in their order; each is on the disk when its result comes. Iterate to the
        end: others wait for their turn.

        An object replaces the one of its name as a whole. One that has a `resourceVersion` only
        replaces that version. Raises ExceptionGroup of all Refused before anything is written, and
        StoreError if the folder cannot be written to. For an object that cannot be written its
        error comes in place of its result.
        """
        wanted = self._validated(documents, namespace)
        with self._locked(make=True) if not dry_run else contextlib.nullcontext():
            self._refresh()
            for key, one, warnings in wanted:
                try:
                    yield dataclasses.replace(self._put(key, one, dry_run), warnings=warnings)
                except StoreError as error:
                    yield error

    def delete(
        self, keys: Iterable[Key], *, dry_run: bool = False
    ) -> Iterator[Result | StoreError]:
        """Removes them in their order, wherever they stand. As with `apply`, an error comes in
        place of a result; it is NotFound if there is none."""
        with self._locked(make=False) if not dry_run else contextlib.nullcontext():
            self._refresh()
            for key in keys:
                try:
                    yield self._remove(key, dry_run)
                except StoreError as error:
                    yield error

    def _validated(
        self, documents: Iterable[Document], namespace: str
    ) -> list[tuple[Key, Document, str]]:
        wanted: list[tuple[Key, Document, str]] = []
        refused: list[Exception] = []
        for one in documents:
            try:
                resource, warned = reader.read_with_warnings(one, self._kinds, namespace=namespace)
                wanted.append((resource.key, one, str(warned) if warned else ""))
            except Refused as why:
                refused.append(why)
        if refused:
            raise ExceptionGroup("refused", refused)
        return wanted

    @contextlib.contextmanager
    def _locked(self, *, make: bool) -> Iterator[None]:
        if make:
            with _told(self._root):
                durable.make_directory(self._root)
        elif not os.path.isdir(self._root):
            yield
            return
        descriptor = _lock(os.path.join(self._root, ".lock"))
        self._swept.clear()
        try:
            yield
        finally:
            os.close(descriptor)

    def _refresh(self) -> None:
        """Reads what has changed since the last time."""
        found = tree.walk(self._root)
        self._refused = list(found.unreadable.values()) if os.path.exists(self._root) else []
        files = self._index.files
        for path in files.keys() - found.files.keys():
            self._forget(path)
        for path, one in found.files.items():
            if isinstance(one, Refused):
                self._forget(path)
                self._refused.append(one)
            elif path not in files or files[path].signature != one:
                self._learn(path)

    def _learn(self, path: str) -> None:
        self._forget(path)
        full = os.path.join(self._root, path)
        try:
            status, data = read_file(full, self._limits.bytes)
        except FileNotFoundError:
            return
        except OSError as error:
            problem = Problem("", f"cannot be read: {error.strerror}")
            self._refused.append(Refused("file", "", "", [problem], Origin(full, 1)))
            return
        contents = document.read(data, full, self._limits)
        refused = list(contents.refused)
        stored: list[Stored] = []
        for one in contents.documents:
            try:
                resource = reader.read(one, self._kinds)
            except Refused as why:
                refused.append(why.with_traceback(None))
                # It may be wrong and still be what somebody wants to mend or to delete.
                key = reader.key(one, self._kinds)
            else:
                key = resource.key
            if key is not None:
                head = reader.header(one, self._kinds)
                stored.append(Stored(key, self._kinds[head.api_version, head.kind], one))
        others = len(contents.documents) - len(stored) + len(contents.refused)
        self._index.files[path] = _File(
            tree.signature(status),
            status.st_mode & 0o777,
            data.decode("utf-8-sig", "replace"),
            stored,
            tuple(refused),
            others,
        )
        for each in stored:
            places = self._index.places.setdefault(each.key, [])
            if path not in places:
                places.append(path)
                places.sort()

    def _forget(self, path: str) -> None:
        file = self._index.files.pop(path, None)
        for one in file.stored if file is not None else ():
            places = self._index.places.get(one.key, [])
            if path in places:
                places.remove(path)
            if not places:
                self._index.places.pop(one.key, None)

    def _find(self, key: Key) -> tuple[str, Stored] | None:
        """The one that counts."""
        for path in self._index.places.get(key, ()):
            for one in self._index.files[path].stored:
                if one.key == key:
                    return path, one
        return None

    def _put(self, key: Key, given: Document, dry_run: bool) -> Result:
        kind = self._kinds[given.value["apiVersion"], given.value["kind"]]
        found = self._find(key)
        asked = given.value["metadata"].get("resourceVersion")
        self._check_version(key, kind, asked, found[1] if found else None)
        value = _written(given.value, key, found[1].document.value if found else None)
        version = reader.version(value)
        if found is not None and version == reader.version(found[1].object()):
            return Result(key, kind, "unchanged", found[1].version)
        if not dry_run:
            if found is None:
                self._create(key, kind, value)
            else:
                self._replace(found[0], found[1], value)
        return Result(key, kind, "created" if found is None else "configured", version)

    def _check_version(self, key: Key, kind: Kind, asked: Any, found: Stored | None) -> None:
        if asked in {None, ""}:
            return
        if found is None:
            raise Conflict(
                f"{_called(key, kind)} is to replace version {asked}, but there is none:"
                " it has been deleted; remove metadata.resourceVersion to create it"
            )
        if asked != found.version:
            raise Conflict(
                f"{_called(key, kind)} ({found.document.origin}) is of version {found.version},"
                f" not {asked}: it has been changed since it was read; read it again and apply"
                " your changes to that"
            )

    def _create(self, key: Key, kind: Kind, value: dict[str, Any]) -> None:
        path = _own_path(key, kind)
        full = os.path.join(self._root, path)
        with _told(full):
            durable.make_directory(os.path.dirname(full))
        file = self._index.files.get(path)
        text = render.to_yaml(value)
        mode = 0o600 if kind.secret else 0o644
        if file is not None:
            # Somebody else's document stands in the file of that name.
            before = file.text if file.text.endswith("\n") or not file.text else file.text + "\n"
            text = f"{before}---\n{text}"
            mode = file.mode & 0o600 if kind.secret else file.mode
        self._write(path, text, mode, file)

    def _replace(self, path: str, stored: Stored, value: dict[str, Any]) -> None:
        file = self._index.files[path]
        text = _with(file.text, stored.document, value)
        mode = file.mode & 0o600 if stored.kind.secret else file.mode
        self._write(path, text, mode, file)

    def _remove(self, key: Key, dry_run: bool) -> Result:
        result: Result | None = None
        # Of several with one name, the next would take its place.
        while (found := self._find(key)) is not None:
            path, stored = found
            result = result or Result(key, stored.kind, "deleted", stored.version)
            if dry_run:
                break
            file = self._index.files[path]
            if len(file.stored) == 1 and file.others == 0:
                self._write(path, None, file.mode, file)
            else:
                self._write(path, _without(file.text, stored.document), file.mode, file)
        if result is None:
            raise NotFound(f"{_called(key, None)} not found in {self._root}")
        return result

    def _write(self, path: str, text: str | None, mode: int, before: _File | None) -> None:
        """Replaces a file, or removes it, unless somebody without our lock has changed it."""
        full = os.path.realpath(os.path.join(self._root, path))
        now = tree.look(self._root, path)
        if now != (before.signature if before is not None else None):
            if isinstance(now, Refused):
                raise StoreError(str(now))
            raise Conflict(f"{full}: has been changed by another program just now; try again")
        directory = os.path.dirname(full)
        with _told(full):
            if directory not in self._swept:
                durable.sweep(directory)
                self._swept.add(directory)
            if text is None:
                durable.remove(full)
            else:
                durable.write(full, text.encode(), mode, _owner(full))
        self._forget(path)
        if text is not None:
            self._learn(path)


def _lock(path: str) -> int:
    """Takes turns; the lock lasts until the descriptor is closed, or its process ends."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with _told(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            # Somebody else's turn, or somebody has removed the file that we hold.
            time.sleep(0.005)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    reason = f"another command has been writing for {_PATIENCE:g} s; try again"
    raise StoreError(f"{path}: {reason}")


def _owner(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_uid, status.st_gid


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def _written(given: dict[str, Any], key: Key, before: dict[str, Any] | None) -> dict[str, Any]:
    """What goes to the disk: as it was given, without what is an API server's, with the moment of
    its creation."""
    metadata = {
        name: one
        for name, one in given["metadata"].items()
        if name not in reader.SERVERS_OWN and one is not None
    }
    if key.namespace:
        metadata["namespace"] = key.namespace
    if before is not None:
        # Also when there is none: it is as old as the source says that it is.
        metadata.pop("creationTimestamp", None)
        stamp = before["metadata"].get("creationTimestamp")
        if isinstance(stamp, str) and reader.parse_timestamp(stamp) is not None:
            metadata["creationTimestamp"] = stamp
    elif "creationTimestamp" not in metadata:
        metadata["creationTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        name: metadata if name == "metadata" else one
        for name, one in given.items()
        if name != "status"
    }


def _called(key: Key, kind: Kind | None) -> str:
    name = f"{key.namespace}/{key.name}" if key.namespace else key.name
    return f"{kind.id if kind else key.kind} {name}"


def _own_path(key: Key, kind: Kind) -> str:
    name = f"{kind.id.lower()}-{key.name}"
    if len(name) > 200:
        # A name of a file has 255 bytes at most.
        name = f"{name[:180]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return os.path.join(key.namespace, f"{name}.yaml")


def _with(text: str, one: Document, value: dict[str, Any]) -> str:
    """The text of a file with one document replaced."""
    if one.path:
        value = _with_item(one, value)
    chunk = one.chunk
    body = chunk.text
    if chunk.json:
        new = render.to_json(value).rstrip("\n")
    else:
        lead, tail = _around(body)
        new = lead + render.to_yaml(value) + tail
    return text[: chunk.start] + new + text[chunk.end :]


def _without(text: str, one: Document) -> str:
    """The text of a file without one document. Others are in it."""
    chunk = one.chunk
    if one.path:
        return _with(text, one, {})
    tail = "" if chunk.json else _around(chunk.text)[1]
    return text[: chunk.start] + tail + text[chunk.end :]


def _with_item(one: Document, value: dict[str, Any]) -> dict[str, Any]:
    """The List around an item, with the item replaced, or removed if there is nothing for it."""
    whole = document.whole(one.chunk)
    *above, index = steps(one.path)
    items: Any = whole
    for step in above:
        items = items[step]
    if value:
        items[index] = value
    else:
        del items[index]
    return whole


def _around(body: str) -> tuple[str, str]:
    """What stands before and after the object in its part of a file: `---`, comments, blank lines,
    which stay."""
    lines = body.splitlines(keepends=True)
    begin = 0
    while begin < len(lines) and _ASIDE.match(lines[begin]):
        begin += 1
    end = len(lines)
    while end > begin and _ASIDE.match(lines[end - 1]):
        end -= 1
    lead = lines[:begin]
    if begin < len(lines) and lines[begin].startswith("---"):
        lead.append("---\n")
    return "".join(lead), "".join(lines[end:])


#: Nothing, a comment, a directive, or `---` with nothing but a comment.
_ASIDE: Final = re.compile(r"[ \t]*(#.*)?\r?\n?\Z|%.*|---[ \t]*(#.*)?\r?\n?\Z")
