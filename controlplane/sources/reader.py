"""A document to a resource, or everything that is wrong with it, each with its line."""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from controlplane.problem import MOST, Problem, Refused, bounded, shown
from controlplane.resources.resource import Key, Kind, Metadata, Resource
from controlplane.resources.schema import below, decode
from controlplane.sources.document import Document

#: What can be read: (apiVersion, kind) to its kind.
Kinds = Mapping[tuple[str, str], Kind]

_LOG: Final = logging.getLogger(__name__)

#: Where objects live that name no namespace.
DEFAULT_NAMESPACE: Final = "default"

#: Fields of `metadata` that an API server writes and nobody else: taken, and left out.
SERVERS_OWN: Final = (
    "uid",
    "generation",
    "selfLink",
    "managedFields",
    "ownerReferences",
    "finalizers",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
)

#: So much of a kind or a name is said that can be none: the longest has 253 characters.
_SAID: Final = 320
#: Of all annotations of one object together, as in Kubernetes.
_MOST_ANNOTATIONS: Final = 256 << 10


class Header(NamedTuple):
    """What a document says that it is, right or wrong."""

    api_version: str
    kind: str
    namespace: str
    name: str


def read(
    document: Document, kinds: Kinds, *, namespace: str = DEFAULT_NAMESPACE, created: float = 0.0
) -> Resource[Any]:
    """The resource. Raises Refused with all that is wrong.

    `namespace` is for those that name none; `created`, seconds since 1970, for those that do not
    say when they were created.
    """
    return _Reading(document, kinds, namespace).resource(created)


def read_with_warnings(
    document: Document, kinds: Kinds, *, namespace: str = DEFAULT_NAMESPACE
) -> tuple[Resource[Any], Refused | None]:
    """The resource, and what its kind warns of although it is taken: said as `Refused` says it."""
    reading = _Reading(document, kinds, namespace)
    return reading.resource(0.0), reading.warnings()


def header(document: Document, kinds: Kinds, namespace: str = DEFAULT_NAMESPACE) -> Header:
    """What can be said of a document before it is read; "" for what it does not say."""
    value = document.value
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    api_version, kind = _text(value.get("apiVersion")), _text(value.get("kind"))
    known = kinds.get((api_version, kind))
    if known is not None and not known.namespaced:
        where = ""
    else:
        where = _text(metadata.get("namespace")) or namespace
    return Header(api_version, kind, where, _text(metadata.get("name")))


def key(document: Document, kinds: Kinds, namespace: str = DEFAULT_NAMESPACE) -> Key | None:
    """What a document is about, if it is of a kind that is known and has a name: it may be wrong
    in everything else."""
    head = header(document, kinds, namespace)
    if (head.api_version, head.kind) not in kinds or not head.name:
        return None
    return Key(kinds[head.api_version, head.kind].id, head.namespace, head.name)


def version(value: Mapping[str, Any]) -> str:
    """The `resourceVersion` of an object: equal for equal objects. What an API server adds does not
    count."""
    counted = {name: one for name, one in value.items() if name not in {"status", "metadata"}}
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        counted["metadata"] = {
            name: one
            for name, one in metadata.items()
            if name not in SERVERS_OWN and one not in ({}, None)
        }
    text = json.dumps(counted, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parse_timestamp(text: str) -> float | None:
    """Seconds since 1970 of RFC 3339; None if it is none."""
    if not _RFC3339.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[-+]\d\d:\d\d)", re.ASCII
)
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_METADATA: Final = (
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "generateName",
    *SERVERS_OWN,
)


class _Reading:
    """One document on its way."""

    def __init__(self, document: Document, kinds: Kinds, namespace: str) -> None:
        self._document = document
        self._kinds = kinds
        self._header = header(document, kinds, namespace)
        self._default_namespace = namespace
        self._problems: list[Problem] = []

    def resource(self, created: float) -> Resource[Any]:
        kind = self._kind()
        metadata, at = self._metadata(kind)
        spec = self._spec(kind, metadata) if kind is not None else None
        if kind is None or any(not problem.warning for problem in self._problems):
            raise self._refused()
        return Resource(
            Key(kind.id, metadata.namespace, metadata.name),
            spec,
            metadata.labels,
            metadata.annotations,
            created if at is None else at,
            version(self._document.value),
            self._document.origin,
        )

    def warnings(self) -> Refused | None:
        return self._refused() if self._problems else None

    def _problem(self, path: str, reason: str) -> None:
        if not self._enough:
            self._problems.append(Problem(path, reason))

    @property
    def _enough(self) -> bool:
        """More is wrong than anybody will read."""
        return len(self._problems) > MOST

    def _refused(self) -> Refused:
        head = self._header
        problems = [
            replace(one, line=one.line or self._document.line_of(one.path) + one.lines_below)
            for one in bounded(self._problems)
        ]
        problems.sort(key=lambda problem: problem.line)
        what = _called(head, self._kinds)[:_SAID] or "document"
        namespace = head.namespace[:_SAID] if head.name else ""
        return Refused(what, namespace, head.name[:_SAID], problems, self._document.origin)

    def _kind(self) -> Kind | None:
        value, head = self._document.value, self._header
        known = self._kinds.get((head.api_version, head.kind))
        if known is not None:
            return known
        missing = [name for name in ("apiVersion", "kind") if not _text(value.get(name))]
        for name in missing:
            given = value.get(name)
            self._problem(name, "is required" if given is None else "must be a string")
        if not missing:
            self._problem(*_unknown_kind(head, self._kinds))
        return None

    def _metadata(self, kind: Kind | None) -> tuple[Metadata, float | None]:
        """With the moment of its creation, if it says so."""
        given = self._document.value.get("metadata")
        if not isinstance(given, dict):
            self._problem("metadata", "is required" if given is None else "must be an object")
            return Metadata(self._header.namespace, "", {}, {}), None
        for name in given:
            if name not in _METADATA and not self._enough:
                self._problem(below("metadata", name), _unknown(name, _METADATA))
        if given.get("generateName") is not None:
            self._problem("metadata.generateName", "is not taken; give it a name")
        name = self._name(given)
        namespace = self._namespace(given, kind)
        labels = self._strings(given, "labels", _label_value)
        annotations = self._strings(given, "annotations", None)
        if sum(len(one) + len(other) for one, other in annotations.items()) > _MOST_ANNOTATIONS:
            self._problem("metadata.annotations", f"are more than {_MOST_ANNOTATIONS >> 10} KiB")
        return Metadata(namespace, name, labels, annotations), self._created(given)

    def _name(self, given: dict[str, Any]) -> str:
        name = given.get("name")
        if name is None:
            if given.get("generateName") is None:
                self._problem("metadata.name", "is required")
        elif not isinstance(name, str):
            self._problem("metadata.name", "must be a string; write it in quotes")
        elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
            reason = "must be a DNS subdomain: a-z, 0-9, '-' and '.', 253 characters at most"
            self._problem("metadata.name", reason)
        else:
            return name
        return ""

    def _namespace(self, given: dict[str, Any], kind: Kind | None) -> str:
        namespace = given.get("namespace")
        if kind is not None and not kind.namespaced:
            if namespace:
                self._problem("metadata.namespace", f"a {kind.name} has none; remove it")
            return ""
        if namespace is None or namespace == "":
            return self._default_namespace
        if not isinstance(namespace, str):
            self._problem("metadata.namespace", "must be a string; write it in quotes")
        elif not _LABEL.fullmatch(namespace):
            reason = "must be a DNS label: a-z, 0-9 and '-', 63 characters at most"
            self._problem("metadata.namespace", reason)
        else:
            return namespace
        return ""

    def _strings(
        self, given: dict[str, Any], field: str, check: Callable[[str], str] | None
    ) -> dict[str, str]:
        """Labels or annotations."""
        path = f"metadata.{field}"
        value = given.get(field)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._problem(path, "must be an object")
            return {}
        for name, text in value.items():
            if reason := _qualified_name(name):
                self._problem(below(path, name), reason)
            if not isinstance(text, str):
                self._problem(below(path, name), "must be a string; write it in quotes")
            elif check is not None and (reason := check(text)):
                self._problem(below(path, name), reason)
        return {name: text for name, text in value.items() if isinstance(text, str)}

    def _created(self, given: dict[str, Any]) -> float | None:
        stamp = given.get("creationTimestamp")
        if stamp is None:
            return None
        moment = parse_timestamp(stamp) if isinstance(stamp, str) else None
        if moment is None:
            self._problem("metadata.creationTimestamp", "must be a time like 2026-11-27T01:00:00Z")
        return moment

    def _spec(self, kind: Kind, metadata: Metadata) -> Any:
        value = self._document.value
        if kind.body:
            body = value.get(kind.body)
            if kind.strict:
                allowed = ("apiVersion", "kind", "metadata", kind.body, "status")
                for name in value:
                    if name not in allowed and not self._enough:
                        self._problem(below("", name), _unknown(name, allowed))
        else:
            without = ("apiVersion", "kind", "metadata", "status")
            body = {name: one for name, one in value.items() if name not in without}
        given = {} if body is None else body
        try:
            spec, problems = decode(kind.spec, given, kind.body, strict=kind.strict)
            if not problems:
                problems = bounded(kind.judge(spec, metadata, value))
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not stop all others
            _LOG.exception("%s: cannot be read", self._document.origin)
            what = type(error).__name__
            problems = [Problem(kind.body, f"we fail to read it ({what}, see the log); report it")]
        self._problems += problems
        return spec if not problems or all(one.warning for one in problems) else None


def _called(head: Header, kinds: Kinds) -> str:
    """The kind as keys have it. A kind of another group than the known one of its name must not be
    taken for that."""
    known = kinds.get((head.api_version, head.kind))
    if known is not None:
        return known.id
    group = head.api_version.rpartition("/")[0]
    groups = {api.rpartition("/")[0] for api, kind in kinds if kind == head.kind}
    return f"{head.kind}.{group}" if groups and group and group not in groups else head.kind


def _unknown_kind(head: Header, kinds: Kinds) -> tuple[str, str]:
    """(path, reason)"""
    served = [api_version for api_version, kind in kinds if kind == head.kind]
    if served:
        reason = f"{shown(head.api_version)} has no {head.kind}; it is {' or '.join(served)}"
        return "apiVersion", reason
    names = sorted({kind for _, kind in kinds})
    near = difflib.get_close_matches(head.kind[:100], names, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    known = f"known are {', '.join(names)}"
    return "kind", f"there is no kind {shown(head.kind)}; {guess}{known}"


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name[:100], known, n=1)
    return "there is no such field" + (f"; did you mean {near[0]}?" if near else "")


def _qualified_name(name: str) -> str:
    """What is wrong with the name of a label or an annotation; "" if nothing is."""
    prefix, slash, rest = name.rpartition("/")
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        return "what is before '/' must be a DNS subdomain"
    if not _QUALIFIED.fullmatch(rest):
        return "its name must be letters, digits, '-', '_' and '.', 63 characters at most"
    return ""


def _label_value(text: str) -> str:
    if text and not _QUALIFIED.fullmatch(text):
        return "must be letters, digits, '-', '_' and '.', 63 characters at most"
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
