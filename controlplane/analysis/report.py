"""Findings as istioctl writes them: lines, JSON, YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from controlplane.analysis.codes import Level
from controlplane.analysis.finding import Finding

#: Gives `file:line` of a finding, or "".
Place = Callable[[Finding], str]

_COLOURS: Mapping[Level, str] = {Level.ERROR: "\033[1;31m", Level.WARNING: "\033[33m"}
_PLAIN = "\033[0m"


def lines(findings: Sequence[Finding], place: Place, *, colour: bool = False) -> str:
    """`Error [IST0101] (VirtualService default/a a.yaml:12) Referenced gateway not found: "b"`"""
    return "\n".join(_line(one, place(one), colour) for one in findings)


def as_json(findings: Sequence[Finding], place: Place) -> str:
    return json.dumps([_object(one, place(one)) for one in findings], indent="\t")


def as_yaml(findings: Sequence[Finding], place: Place) -> str:
    objects = [_object(one, place(one)) for one in findings]
    written: str = yaml.safe_dump(objects, sort_keys=True, allow_unicode=True)
    return written.rstrip("\n")


def _line(one: Finding, place: str, colour: bool) -> str:
    level = one.code.level.label
    if colour and one.code.level in _COLOURS:
        level = f"{_COLOURS[one.code.level]}{level}{_PLAIN}"
    where = f"{one.origin} {place}" if place else one.origin
    return f"{level} [{one.code.code}] ({where}) {one.message}"


def _object(one: Finding, place: str) -> dict[str, Any]:
    written = {
        "code": one.code.code,
        "documentationUrl": one.code.url,
        "level": one.code.level.label,
        "message": one.message,
        "origin": one.origin,
    }
    return {**written, "reference": place} if place else written
