"""What a kind says to a spec: read, then held to its rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from controlplane.problem import Problem
from controlplane.resources.resource import Kind, Metadata
from controlplane.resources.schema import decode


def judge(
    kind: Kind, text: str, annotations: Mapping[str, str] | None = None
) -> tuple[Any, list[Problem], list[Problem]]:
    """(spec or None, what refuses it, warnings) of the spec's YAML."""
    value = yaml.safe_load(text)
    spec, problems = decode(kind.spec, {} if value is None else value, kind.body)
    if spec is not None:
        metadata = Metadata("default", "x", {}, annotations or {})
        problems += kind.validate(spec, metadata)
    errors = [problem for problem in problems if not problem.warning]
    return spec, errors, [problem for problem in problems if problem.warning]


def refusal(kind: Kind, text: str, annotations: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Path and reason of the one thing that is wrong."""
    _, errors, _ = judge(kind, text, annotations)
    (error,) = errors
    return error.path, error.reason
