"""Fields without effect: who uses one is told where and what happens instead, and docs/parity.md
has the same rows. That no other field is read for nothing: `tests/golden/test_fields.py`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from controlplane.problem import Refused
from controlplane.resources import mesh_config
from controlplane.resources.kinds import KINDS
from controlplane.resources.not_yet import NotYet, told
from controlplane.sources import document, reader
from tests.support.our_paths import paths, plain

ROOT = Path(__file__).parents[4]
PARITY = ROOT / "docs/parity.md"
_BEGIN, _END = "<!-- fields without effect: begin -->\n", "<!-- fields without effect: end -->\n"

TABLES: dict[str, tuple[type[Any], str, tuple[NotYet, ...]]] = {
    **{kind.name: (kind.spec, kind.body, kind.not_yet) for kind in KINDS.values()},
    "MeshConfig": (mesh_config.MeshConfig, "", mesh_config.NOT_YET),
}
ROWS = [(name, row) for name, (_, _, rows) in sorted(TABLES.items()) for row in rows]


def test_parity_has_the_same_rows() -> None:
    text = PARITY.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    wanted = before + _BEGIN + _rendered() + _END + after
    if os.environ.get("UPDATE_GOLDEN"):
        PARITY.write_text(wanted)
    assert text == wanted, "UPDATE_GOLDEN=1 writes them anew"


def _rendered() -> str:
    groups: dict[tuple[str, str, tuple[Any, ...], bool], list[str]] = {}
    for name, row in ROWS:
        groups.setdefault((name, row.instead, row.only, row.unsafe), []).append(row.path)
    lines = ["| kind | fields | what happens instead |", "|---|---|---|"]
    for (name, instead, only, unsafe), found in groups.items():
        fields = ", ".join(f"`{one}`" for one in found)
        values = f": {', '.join(map(str, only))}" if only else ""
        lines.append(f"| {name} | {fields}{values} | {'refused: ' if unsafe else ''}{instead} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("name", "row"), ROWS, ids=lambda one: getattr(one, "path", one))
def test_a_row_names_a_field_of_the_schema(name: str, row: NotYet) -> None:
    spec, body, _ = TABLES[name]
    if row.path.startswith("metadata.annotations["):
        return
    path = row.path.removeprefix(f"{body}.") if body else row.path
    assert plain(path) in {one for one, _, _ in paths(spec)}


_TABLE = (
    NotYet("spec.a", "nothing happens"),
    NotYet("spec.list[].mode", "it stays shut", only=("OPEN",)),
    NotYet("spec.map{}.b", "b is c"),
    NotYet("metadata.annotations['x.y/z']", "nobody reads it"),
    NotYet("spec.lock", "it would be open", unsafe=True),
    NotYet("spec.long", "it is cut", when=lambda text: len(text) > 3),
)


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ({}, []),
        ({"spec": {"a": False}}, []),
        ({"spec": {"a": 0, "map": {"k": {"b": ""}}}}, []),
        ({"spec": {"a": {}}}, ["spec.a"]),
        ({"spec": {"a": None}}, []),
        (
            {"spec": {"list": [{"mode": "SHUT"}, {"mode": "OPEN"}, {}, 7]}},
            ["spec.list[1].mode"],
        ),
        ({"spec": {"map": {"x-y": {"b": 1}}}}, ["spec.map['x-y'].b"]),
        ({"metadata": {"annotations": {"x.y/z": "t"}}}, ["metadata.annotations['x.y/z']"]),
        ({"spec": {"long": "abc"}}, []),
        ({"spec": {"long": "abcd"}}, ["spec.long"]),
        ({"spec": []}, []),
    ],
)
def test_what_is_given_is_found(value: Any, paths: list[str]) -> None:
    found = list(told(_TABLE, value))
    assert [one.path for one in found] == paths
    assert all(one.warning for one in found)


def test_what_is_about_safety_is_refused() -> None:
    (found,) = told(_TABLE, {"spec": {"lock": True}})
    assert not found.warning
    assert found.reason == (
        "cannot be acted on yet and is refused, because it is about safety: it would be open"
    )


def test_of_a_text_inside_the_path_goes_on() -> None:
    table = (NotYet("a.b", "nothing"),)
    assert [one.path for one in told(table, {"a": {"b": 1}}, "data.mesh")] == ["data.mesh.a.b"]


def _document(text: str) -> document.Document:
    (found,) = document.read(text.encode(), "f.yaml").documents
    return found


def test_a_source_tells_the_place() -> None:
    text = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: b
  trafficPolicy:
    outlierDetection:
      failurePercentageThreshold: 7
"""
    resource, warned = reader.read_with_warnings(_document(text), KINDS)
    assert resource.spec.host == "b"
    assert str(warned) == (
        "f.yaml:8: DestinationRule default/a:"
        " spec.trafficPolicy.outlierDetection.failurePercentageThreshold: warning:"
        " is read, not acted on yet: errors in a row count, not their share, as in Istio"
    )


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "RequestAuthentication"])
@pytest.mark.parametrize(
    "target",
    [
        "{kind: Service, name: b}",
        "{group: networking.istio.io, kind: ServiceEntry, name: b}",
        "{group: gateway.networking.k8s.io, kind: GatewayClass, name: b}",
    ],
)
def test_a_policy_that_nobody_would_enforce_is_refused(kind: str, target: str) -> None:
    text = f"""apiVersion: security.istio.io/v1
kind: {kind}
metadata: {{name: a}}
spec:
  targetRefs:
  - {target}
"""
    with pytest.raises(Refused) as caught:
        reader.read(_document(text), KINDS)
    assert f"f.yaml:6: {kind} default/a: spec.targetRefs[0].kind: cannot be acted on yet" in str(
        caught.value
    )
    reader.read(
        _document(
            text.replace(target, "{group: gateway.networking.k8s.io, kind: Gateway, name: b}")
        ),
        KINDS,
    )


def test_mesh_config_in_its_config_map_is_told_of_by_line() -> None:
    text = """apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: cluster.local
    defaultConfig:
      statNameLength: 300
"""
    _, warned = reader.read_with_warnings(_document(text), KINDS)
    assert str(warned).startswith(
        "f.yaml:8: ConfigMap istio-system/istio: data.mesh.defaultConfig.statNameLength: warning:"
    )
    with pytest.raises(Refused) as caught:
        reader.read(_document(text.replace("300", "many")), KINDS)
    assert str(caught.value).startswith(
        "f.yaml:8: ConfigMap istio-system/istio: data.mesh.defaultConfig.statNameLength: must be"
    )
    one_line = text.replace("|\n    trustDomain: cluster.local\n    def", "'def").replace(
        "Config:\n      statNameLength: 300", "Config: {statNameLength: 300}'"
    )
    _, warned = reader.read_with_warnings(_document(one_line), KINDS)
    assert str(warned).startswith("f.yaml:5: ConfigMap istio-system/istio: data.mesh.defaultConfig")
    _, unwarned = reader.read_with_warnings(
        _document(text.replace("name: istio", "name: x")), KINDS
    )
    assert unwarned is None
