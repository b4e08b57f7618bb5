"""Findings as they are written."""

import json

import yaml

from controlplane.analysis import codes
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.report import as_json, as_yaml, lines
from controlplane.resources.resource import Key

ERROR = found(
    codes.REFERENCED_RESOURCE_NOT_FOUND,
    Key("VirtualService", "default", "x"),
    "spec.gateways[0]",
    what="gateway",
    name="y",
)
INFO = found(codes.NAMESPACE_NOT_INJECTED, Key("Namespace", "", "a"), namespace="a")


def _place(finding: Finding) -> str:
    return "file.yaml:12" if finding is ERROR else ""


def test_lines_are_istioctls() -> None:
    first, second = lines([ERROR, INFO], _place).splitlines()
    assert first == (
        'Error [IST0101] (VirtualService default/x file.yaml:12) Referenced gateway not found: "y"'
    )
    assert second.startswith("Info [IST0102] (Namespace a) No sidecars are injected")
    assert lines([], _place) == ""


def test_levels_have_colours() -> None:
    first, second = lines([ERROR, INFO], _place, colour=True).splitlines()
    assert first.startswith("\033[1;31mError\033[0m [IST0101]")
    assert second.startswith("Info [IST0102]")


def test_objects() -> None:
    expected = [
        {
            "code": "IST0101",
            "documentationUrl": ("https://istio.io/latest/docs/reference/config/analysis/ist0101/"),
            "level": "Error",
            "message": 'Referenced gateway not found: "y"',
            "origin": "VirtualService default/x",
            "reference": "file.yaml:12",
        }
    ]
    assert json.loads(as_json([ERROR], _place)) == expected
    assert yaml.safe_load(as_yaml([ERROR], _place)) == expected
    (info,) = json.loads(as_json([INFO], _place))
    assert "reference" not in info
    assert json.loads(as_json([], _place)) == yaml.safe_load(as_yaml([], _place)) == []
