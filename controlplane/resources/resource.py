"""A resource as the rest of the control plane knows it: read, validated, frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from controlplane.problem import Origin, Problem
from controlplane.resources.not_yet import NotYet, told

Spec_co = TypeVar("Spec_co", covariant=True)


class Key(NamedTuple):
    """What names a resource. `kind` is `Kind.id`; `namespace` is "" for kinds that have none."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Resource(Generic[Spec_co]):
    """One object of the API. Equal resources mean the same configuration: `version` and `origin`
    do not count, so that touching a file changes nothing."""

    key: Key
    #: The dataclass that the kind's `schema.py` defines.
    spec: Spec_co
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    #: `metadata.creationTimestamp` in seconds since 1970, or when the source first saw it.
    #: Where two resources contend, the oldest wins; then the order of namespace and name.
    created: float = 0.0
    #: The source's version of it.
    version: str = field(default="", compare=False)
    origin: Origin | None = field(default=None, compare=False)

    @property
    def namespace(self) -> str:
        return self.key.namespace

    @property
    def name(self) -> str:
        return self.key.name


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of the API: its names, its shape and its rules. One folder of `resources` each."""

    #: "" for Kubernetes' core group.
    group: str
    #: Every served version, the preferred one first. All have the same fields.
    versions: tuple[str, ...]
    name: str
    plural: str
    #: Names that the command line takes as well: `vs`.
    short: tuple[str, ...]
    #: The dataclass of `schema.py` that `schema.decode` fills.
    spec: type[Any]
    #: Rules that go beyond types, one file `validate.py` each: (spec, metadata) to problems with
    #: paths that begin with `spec`. Must not look at other resources (that is analysis).
    validate: Callable[[Any, Metadata], Iterable[Problem]]
    namespaced: bool = True
    #: Where the spec is: "spec", or "" for kinds whose fields stand at the top (Secret).
    body: str = "spec"
    #: Fields that the schema does not have are refused. Kubernetes' kinds, of which we read a few
    #: fields, are not strict.
    strict: bool = True
    #: Fields that have no effect yet.
    not_yet: tuple[NotYet, ...] = ()
    #: Another group has a kind of this name, which keeps it to itself: see `id`.
    shares_name: bool = False

    @property
    def id(self) -> str:
        """What keys call it, and all who look resources up: its name; `Gateway.GROUP` where another
        group had a kind of that name first. `kinds` refuses two that are alike."""
        return f"{self.name}.{self.group}" if self.shares_name else self.name

    def judge(self, spec: Any, metadata: Metadata, value: Mapping[str, Any]) -> list[Problem]:
        """All that is to be said of a document whose types are right."""
        return [*self.validate(spec, metadata), *told(self.not_yet, value)]

    def api_versions(self) -> tuple[str, ...]:
        """`networking.istio.io/v1`, and so on."""
        prefix = f"{self.group}/" if self.group else ""
        return tuple(prefix + version for version in self.versions)

    @property
    def secret(self) -> bool:
        """What its fields hold is shown to nobody who did not ask for it, files of it are 0600."""
        return (self.group, self.name) == ("", "Secret")


@dataclass(frozen=True, slots=True)
class Metadata:
    """`metadata` of an object, as far as rules need it."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
