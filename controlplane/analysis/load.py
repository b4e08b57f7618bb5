"""Files to a collection, and back from a finding to its line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.analysis import raw
from controlplane.analysis.assumed import ingress_gateway
from controlplane.analysis.collection import Collection
from controlplane.problem import Problem, Refused
from controlplane.resources.mesh_config import MeshConfig, MeshNetworks, apply, networks
from controlplane.resources.not_yet import told
from controlplane.resources.resource import Key, Kind, Metadata, Resource
from controlplane.resources.schema import below
from controlplane.sources import reader, text
from controlplane.sources.document import Contents, Document
from controlplane.sources.reader import Kinds

#: Groups whose kinds we should know; of others a folder may hold what it likes.
_OURS = frozenset(
    {"networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"}
)
#: Keys of the ConfigMap `istio`.
_MESH, _NETWORKS = "mesh", "meshNetworks"
_CONFIG_MAP = "istio"
#: Namespaces of Kubernetes itself, which no mesh reaches.
_IGNORED = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


@dataclass(slots=True)
class Loaded:
    """What files hold."""

    collection: Collection
    #: Where each resource is written.
    documents: dict[Key, Document]
    #: What is no document, or does not say what it is.
    unreadable: list[Refused] = field(default_factory=list)
    #: How many documents there were of kinds that nobody looks at.
    skipped: dict[str, int] = field(default_factory=dict)
    #: Resources that were written twice: the last one counts. A line each.
    repeated: list[str] = field(default_factory=list)
    #: Texts inside of a ConfigMap, by its key and the field: the document, and its line before 1.
    texts: dict[tuple[Key, str], tuple[Document, int]] = field(default_factory=dict)

    def place(self, key: Key, path: str) -> str:
        """`file:line`; "" for what no file holds."""
        document = self.documents.get(key)
        if document is None:
            return ""
        for (owner, above), (inner, before) in self.texts.items():
            if owner == key and path.startswith(f"{above}."):
                line = before + inner.line_of(path.removeprefix(f"{above}."))
                return f"{document.file}:{line}"
        return f"{document.file}:{document.line_of(path)}"


def load(
    files: Iterable[Contents],
    kinds: Kinds,
    *,
    namespace: str = reader.DEFAULT_NAMESPACE,
    mesh: MeshConfig | None = None,
) -> Loaded:
    """All that the files hold. `mesh` is what their MeshConfig, if there is one, is laid over."""
    return _Loading(kinds, namespace).run(files, mesh)


class _Loading:
    """Files on their way into a collection."""

    def __init__(self, kinds: Kinds, namespace: str) -> None:
        self._said: list[Problem] = []
        self._not_yet = {kind.id: kind.not_yet for kind in kinds.values()}
        self._kinds: Kinds = {name: self._listening(kind) for name, kind in kinds.items()}
        self._namespace = namespace
        self._resources: dict[Key, Resource[Any]] = {}
        self._problems: dict[Key, tuple[Problem, ...]] = {}
        self._loaded = Loaded(Collection({}), {})

    def run(self, files: Iterable[Contents], mesh: MeshConfig | None) -> Loaded:
        loaded = self._loaded
        for contents in files:
            loaded.unreadable += contents.refused
            for document in contents.documents:
                self._document(document)
        mesh, mesh_networks = self._mesh(mesh)
        loaded.collection = Collection(
            self._resources,
            problems=self._problems,
            assumed=ingress_gateway((mesh or MeshConfig()).root_namespace),
            mesh=mesh,
            networks=mesh_networks,
        )
        return loaded

    def _listening(self, kind: Kind) -> Kind:
        """The kind, whose rules are kept aside: a resource that breaks one can be read all the
        same, and what it says to others is to be told, too."""

        def validate(spec: Any, metadata: Metadata) -> Iterator[Problem]:
            self._said += kind.validate(spec, metadata)
            return iter(())

        return dataclasses.replace(kind, validate=validate, not_yet=())

    def _document(self, document: Document) -> None:
        head = reader.header(document, self._kinds, self._namespace)
        known = (head.api_version, head.kind)
        group = head.api_version.rpartition("/")[0]
        if (head.name if head.kind == "Namespace" else head.namespace) in _IGNORED:
            return
        if known in raw.KINDS:
            self._raw(document)
        elif known in self._kinds or group in _OURS or not (head.kind and group):
            self._known(document)
        else:
            skipped = self._loaded.skipped
            skipped[head.kind] = skipped.get(head.kind, 0) + 1

    def _raw(self, document: Document) -> None:
        metadata = document.value.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        key = Key(document.value["kind"], "", raw.text(metadata.get("name")))
        self._place(key, document)
        self._resources[key] = Resource(
            key,
            document.value,
            raw.labels(metadata.get("labels")),
            raw.labels(metadata.get("annotations")),
            origin=document.origin,
        )

    def _known(self, document: Document) -> None:
        self._said.clear()
        try:
            resource = reader.read(document, self._kinds, namespace=self._namespace)
        except Refused as refused:
            if not (refused.name and refused.kind != "document"):
                self._loaded.unreadable.append(refused)
                return
            key = Key(refused.kind, refused.namespace, refused.name)
            self._place(key, document)
            self._resources.pop(key, None)
            self._problems[key] = (*refused.problems, *self._said)
        else:
            key = resource.key
            self._place(key, document)
            self._resources[key] = resource
            self._problems.pop(key, None)
            self._said += told(self._not_yet[key.kind], document.value)
            if self._said:
                self._problems[key] = tuple(self._said)

    def _place(self, key: Key, document: Document) -> None:
        earlier = self._loaded.documents.get(key)
        if earlier is not None:
            name = f"{key.kind} {key.namespace}/{key.name}" if key.namespace else " ".join(key)
            self._loaded.repeated.append(
                f"{document.origin}: {name} is in {earlier.origin} already; the last one counts"
            )
        self._loaded.documents[key] = document

    def _mesh(self, mesh: MeshConfig | None) -> tuple[MeshConfig | None, MeshNetworks | None]:
        """What the ConfigMap `istio` says."""
        mesh_networks: MeshNetworks | None = None
        for key, resource in list(self._resources.items()):
            if key.kind != "ConfigMap" or key.name != _CONFIG_MAP:
                continue
            problems: list[Problem] = []
            if (value := self._text(resource, _MESH, problems)) is not None:
                result, told = apply(value, mesh, f"data.{_MESH}")
                mesh = result or mesh
                problems += told
            if (value := self._text(resource, _NETWORKS, problems)) is not None:
                mesh_networks, told = networks.read(value, f"data.{_NETWORKS}")
                problems += told
            if problems:
                # What the ConfigMap's own rules have said of the text is not said again.
                said = self._problems.get(key, ())
                known = {(one.path, one.reason) for one in said}
                new = [one for one in problems if (one.path, one.reason) not in known]
                self._problems[key] = (*said, *new)
        return mesh, mesh_networks

    def _text(
        self, resource: Resource[Any], name: str, problems: list[Problem]
    ) -> Mapping[str, Any] | None:
        written = resource.spec.data.get(name)
        if written is None:
            return None
        path = below("data", name)
        inner = text.read(written, name)
        if inner is None:
            return {}
        if isinstance(inner, str):
            problems.append(Problem(path, inner))
            return None
        outer = self._loaded.documents[resource.key]
        # A block (`|`) begins on the line below its name.
        before = outer.line_of(path) if "\n" in written else outer.line_of(path) - 1
        self._loaded.texts[resource.key, path] = (inner, before)
        return inner.value
