"""YAML documents read and validated as a source does, without one."""

from __future__ import annotations

from typing import Any

from controlplane.problem import Problem
from controlplane.resources.kinds import KINDS
from controlplane.resources.resource import Metadata
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
