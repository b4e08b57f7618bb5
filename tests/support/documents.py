"""YAML documents read and validated as a source does, without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.problem import Problem
from controlplane.resources.kinds import KINDS
from controlplane.resources.resource import Kind, Metadata
from controlplane.resources.schema import decode


def read(document: dict[str, Any]) -> tuple[Any, list[Problem]]:
    """The spec (None if it cannot be read) and all problems, warnings among them."""
    kind = KINDS[document["apiVersion"], document["kind"]]
    given = document.get("metadata", {})
    metadata = Metadata(
        namespace=given.get("namespace", "default") if kind.namespaced else "",
        name=given.get("name", "a"),
        labels=given.get("labels", {}),
        annotations=given.get("annotations", {}),
    )
    body = document if not kind.body else document.get(kind.body, {})
    spec, problems = decode(kind.spec, body, kind.body, strict=kind.strict)
    if spec is not None:
        problems = list(kind.validate(spec, metadata))
    return spec, problems


def problems_of(document: dict[str, Any]) -> list[str]:
    """`path: reason`, a line each; warnings say so."""
    return [
        f"{one.path}: {'warning: ' if one.warning else ''}{one.reason}" for one in read(document)[1]
    ]


def cases(beside: str, kind: Kind) -> list[Any]:
    """Parameters (document, lines) of the `cases.yaml` beside a test file.

    Its entries have `case`, `body` (the spec, or all of it for kinds without), `metadata` where it
    matters, and `want`: the lines.
    """
    found = yaml.safe_load((Path(beside).parent / "cases.yaml").read_text())
    parameters = []
    for one in found:
        document = {
            "apiVersion": kind.api_versions()[0],
            "kind": kind.name,
            "metadata": {"name": "a", "namespace": "default", **one.get("metadata", {})},
        }
        if kind.body:
            document[kind.body] = one["body"]
        else:
            body = dict(one["body"])
            document["metadata"] |= body.pop("metadata", {})
            document |= body
        parameters.append(pytest.param(document, one["want"], id=one["case"]))
    return parameters
