"""A world out of YAML, for tests of what is worked out of it."""

from __future__ import annotations

from typing import Any

import yaml

from controlplane.resources import mesh_config
from controlplane.resources.kinds import KINDS
from controlplane.resources.resource import Key, Metadata, Resource
from controlplane.resources.schema import decode
from controlplane.world.proxy import Locality, Proxy
from controlplane.world.world import World


def resources(text: str) -> list[Resource[Any]]:
    """The resources of YAML documents, all of which must be right."""
    documents = [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]
    return [_resource(one, index) for index, one in enumerate(documents)]


def world(text: str) -> World:
    """A world that has these resources. A ConfigMap `istio-system/istio` is MeshConfig."""
    made = World()
    made.change(resources(text))
    given = made.view().resource("ConfigMap", "istio-system", "istio")
    if given is not None:
        value = yaml.load(given.spec.data["mesh"], yaml.CSafeLoader)
        config, problems = mesh_config.apply(value, mesh_config.MeshConfig())
        assert not [one for one in problems if not one.warning], problems
        made.change(facts={"mesh-config": config})
    return made


def _resource(document: dict[str, Any], index: int) -> Resource[Any]:
    kind = KINDS[document["apiVersion"], document["kind"]]
    metadata = document["metadata"]
    namespace = metadata.get("namespace", "default") if kind.namespaced else ""
    body = document.get(kind.body, {}) if kind.body else document
    spec, problems = decode(kind.spec, body, kind.body, strict=kind.strict)
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    if not problems:
        about = Metadata(namespace, metadata["name"], labels, annotations)
        problems = [one for one in kind.validate(spec, about) if not one.warning]
    assert not problems, (metadata["name"], problems)
    key = Key(kind.name, namespace, metadata["name"])
    # In the order in which they are written, as if each had come a second later.
    return Resource(key, spec, labels, annotations, created=float(index))


def proxy(text: str) -> Proxy:
    """A sidecar, from the fields of `Proxy` in YAML; labels and metadata as objects."""
    fields = yaml.load(text, yaml.CSafeLoader)
    for name in ("labels", "metadata"):
        fields[name] = tuple(sorted(fields.get(name, {}).items()))
    fields["addresses"] = tuple(fields["addresses"])
    if "runs" in fields:
        fields["runs"] = tuple(fields["runs"])
    fields["locality"] = Locality(*fields.get("locality", ()))
    return Proxy(**{"type": "sidecar", **fields})
