"""controlplane.commands.table: kubectl's tables."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from controlplane.commands.table import age, tables
from controlplane.resources.resource import Key, Kind
from controlplane.sources.document import Chunk, Document
from controlplane.sources.store import Stored
from tests.support.kinds import ROUTE, ZONE

NOW = 1_000_000_000.0
VIRTUAL_SERVICE = dataclasses.replace(
    ROUTE, group="networking.istio.io", name="VirtualService", plural="virtualservices"
)


def stored(kind: Kind, name: str, spec: dict[str, Any], namespace: str = "default") -> Stored:
    value = {"metadata": {"creationTimestamp": "2001-09-09T01:45:40Z"}, "spec": spec}
    return Stored(
        Key(kind.name, namespace, name), kind, Document(value, "f", 1, Chunk("", 0, 0, 1))
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (11_000, "3h3m"),
        (30_000, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (8 * 86_400, "8d"),
        (729 * 86_400, "729d"),
        (731 * 86_400, "2y1d"),
        (3_000 * 86_400, "8y"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_columns_of_istio() -> None:
    spec = {"hosts": ["a", "b"], "gateways": ["mesh"]}
    text = tables([stored(VIRTUAL_SERVICE, "n", spec)], wide=False, namespaces=False, now=NOW)
    assert text == 'NAME   GATEWAYS   HOSTS       AGE\nn      ["mesh"]   ["a","b"]   60s\n'


def test_two_kinds_are_two_tables() -> None:
    found = [stored(ROUTE, "r", {}), stored(ZONE, "z", {}, "")]
    assert tables(found, wide=False, namespaces=True, now=NOW) == (
        "NAMESPACE   NAME                AGE\ndefault     route.test.mesh/r   60s\n\n"
        "NAME               AGE\nzone.test.mesh/z   60s\n"
    )


def test_a_cell_is_one_line_without_control_characters() -> None:
    spec = {"hosts": "a\x1b[31m\nb"}
    text = tables([stored(VIRTUAL_SERVICE, "n", spec)], wide=False, namespaces=False, now=NOW)
    assert "'a\\x1b[31m\\nb'" in text
    assert text.count("\n") == 2
