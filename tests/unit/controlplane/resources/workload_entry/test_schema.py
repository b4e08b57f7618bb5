"""Shape of WorkloadEntry: what is read into what, and what is refused before any rule."""

from typing import Any

import pytest

from controlplane.resources.common.workload import WorkloadEntry
from controlplane.resources.schema import decode


def test_a_whole_one() -> None:
    value = {"address": "1.2.3.4", "labels": {"a": "b"}, "locality": "us/z", "weight": 5}
    result, problems = decode(WorkloadEntry, value, "spec")
    assert problems == []
    assert result == WorkloadEntry("1.2.3.4", labels={"a": "b"}, locality="us/z", weight=5)


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"adress": "a"}, "spec.adress", "there is no such field; did you mean address?"),
        ({"weight": -1}, "spec.weight", "must be from 0 to 4294967295, is -1"),
    ],
)
def test_what_is_refused(value: dict[str, Any], path: str, reason: str) -> None:
    result, problems = decode(WorkloadEntry, value, "spec")
    assert result is None
    assert [(one.path, one.reason) for one in problems] == [(path, reason)]
