"""Our schemas and rules against Istio's own: its CRDs field by field, its samples, its examples
of good and bad resources.

Both come from istio.io's Go modules. What we leave out, or have beyond, is listed by name below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.resources.kinds import KINDS
from controlplane.resources.resource import Kind
from tests.support.documents import problems_of
from tests.support.gomodules import ISTIO, ISTIO_API, go_module
from tests.support.our_fields import Field, our_fields

_CRDS = "kubernetes/customresourcedefinitions.gen.yaml"

#: Fields of Istio that we do not have, `Kind.path`, and why.
NOT_OURS: dict[str, str] = {}
#: Fields that we have beyond Istio's, and why.
BEYOND: dict[str, str] = {}


@cache
def _crds() -> Mapping[str, Any]:
    text = (go_module(ISTIO_API) / _CRDS).read_text()
    found = (one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one)
    return {f"{one['spec']['group']}/{one['spec']['names']['kind']}": one for one in found}


def _istio_fields(schema: Any, path: str) -> Iterator[tuple[str, Field]]:
    kind = "integer|string" if schema.get("x-kubernetes-int-or-string") else schema.get("type", "")
    # The API server would take null for "" as well, the schema says so in its list.
    enum = frozenset(one for one in schema.get("enum", ()) if one)
    yield path, Field(kind, enum, frozenset(schema.get("required", ())))
    for name, below in schema.get("properties", {}).items():
        yield from _istio_fields(below, f"{path}.{name}")
    if "items" in schema:
        yield from _istio_fields(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _istio_fields(schema["additionalProperties"], f"{path}{{}}")


def _istio_kinds() -> list[Kind]:
    ours = {id(kind): kind for kind in KINDS.values() if kind.group.endswith(".istio.io")}
    return list(ours.values())


def _served() -> list[Any]:
    return [
        pytest.param(kind, version, id=f"{kind.name}-{version}")
        for kind in _istio_kinds()
        for version in kind.versions
    ]


@pytest.mark.parametrize(("kind", "version"), _served())
def test_every_field_of_istio_is_ours_and_none_beyond(kind: Kind, version: str) -> None:
    crd = _crds()[f"{kind.group}/{kind.name}"]
    (one,) = [each for each in crd["spec"]["versions"] if each["name"] == version]
    schema = one["schema"]["openAPIV3Schema"]["properties"]["spec"]
    istio = {
        path: field
        for path, field in _istio_fields(schema, kind.name)
        if not _below(path, NOT_OURS)
    }
    ours = {
        path: field for path, field in our_fields(kind.spec, kind.name) if not _below(path, BEYOND)
    }
    differences = [
        f"{path}: Istio {istio.get(path, 'none')}, we {ours.get(path, 'none')}"
        for path in sorted(istio.keys() | ours.keys())
        if istio.get(path) != ours.get(path)
    ]
    assert differences == []


def _below(path: str, listed: Mapping[str, str]) -> bool:
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in listed)


def test_every_kind_and_version_that_istio_serves_is_ours() -> None:
    served = {
        (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"])
        for crd in _crds().values()
        for version in crd["spec"]["versions"]
        if version["served"]
    }
    ours = {key for key, kind in KINDS.items() if kind.group.endswith(".istio.io")}
    assert served == ours


@pytest.mark.parametrize("kind", _istio_kinds(), ids=lambda kind: kind.name)
def test_names_are_those_of_istio(kind: Kind) -> None:
    names = _crds()[f"{kind.group}/{kind.name}"]["spec"]["names"]
    assert kind.plural == names["plural"]
    assert set(kind.short) == set(names.get("shortNames", ()))
    scope = _crds()[f"{kind.group}/{kind.name}"]["spec"]["scope"]
    assert kind.namespaced == (scope == "Namespaced")


def test_what_we_list_as_different_is_still_different() -> None:
    istio: set[str] = set()
    ours: set[str] = set()
    for kind in _istio_kinds():
        for version in _crds()[f"{kind.group}/{kind.name}"]["spec"]["versions"]:
            schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
            istio |= {path for path, _ in _istio_fields(schema, kind.name)}
        ours |= {path for path, _ in our_fields(kind.spec, kind.name)}
    assert [one for one in NOT_OURS if one in ours or one not in istio] == []
    assert [one for one in BEYOND if one in istio or one not in ours] == []


#: What we warn of in the samples, a rule after one that takes everything; so does Istio.
_WARNED = {
    "samples/bookinfo/networking/fault-injection-details-v1.yaml",
    # Asks for spans, which our own sidecars do not report.
    "samples/open-telemetry/tracing/telemetry.yaml",
}
#: Samples that are templates and no YAML.
_TEMPLATES = "samples/ambient-argo/tag-chart/templates"
_EXAMPLES = "pkg/config/validation/testdata/crds"


def _documents(file: Path) -> list[dict[str, Any]]:
    """Those of our kinds."""
    # YAML 1.1, which PyYAML reads, takes the colons of this one for a mapping.
    text = file.read_text().replace("[1.2.3.4, 001:db8::]", '[1.2.3.4, "001:db8::"]')
    return [
        document
        for document in yaml.load_all(text, Loader=yaml.SafeLoader)
        if isinstance(document, dict)
        and (document.get("apiVersion"), document.get("kind")) in KINDS
    ]


def test_the_public_samples_have_no_problems() -> None:
    root = go_module(ISTIO)
    read = 0
    errors: list[str] = []
    warned: set[str] = set()
    for file in sorted((root / "samples").glob("**/*.yaml")):
        name = str(file.relative_to(root))
        if name.startswith(_TEMPLATES):
            continue
        for document in _documents(file):
            read += 1
            wrong = _errors(document)
            errors += [f"{name}: {problem}" for problem in wrong]
            # Every EnvoyFilter is warned of, whatever it says.
            if document["kind"] != "EnvoyFilter" and len(problems_of(document)) > len(wrong):
                warned.add(name)
    assert errors == []
    assert warned == _WARNED
    assert read >= 250


@pytest.mark.parametrize("name", ["networking/virtual-service-all-v1", "platform/kube/bookinfo"])
def test_nothing_of_bookinfo_is_left_unread(name: str) -> None:
    file = go_module(ISTIO) / "samples" / "bookinfo" / f"{name}.yaml"
    documents = [one for one in yaml.safe_load_all(file.read_text()) if one]
    assert documents
    assert documents == _documents(file)


def _examples(which: str) -> dict[str, dict[str, Any]]:
    """By kind and name."""
    folder = go_module(ISTIO) / _EXAMPLES
    return {
        f"{file.name}[{index}] {document['metadata']['name']}": document
        for file in sorted(folder.glob(f"*-{which}.yaml"))
        for index, document in enumerate(_documents(file))
    }


def test_what_istio_takes_is_taken() -> None:
    examples = _examples("valid")
    refused = {name: _errors(document) for name, document in examples.items()}
    assert {name: errors for name, errors in refused.items() if errors} == {}
    assert len(examples) > 30


def test_what_istio_refuses_is_refused() -> None:
    examples = _examples("invalid")
    assert [name for name, document in examples.items() if not _errors(document)] == []
    assert len(examples) > 50


def _errors(document: dict[str, Any]) -> list[str]:
    return [problem for problem in problems_of(document) if ": warning: " not in problem]
