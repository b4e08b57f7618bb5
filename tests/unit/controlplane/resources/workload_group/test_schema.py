"""Shape of WorkloadGroup: what is read into what, and what is refused before any rule."""

from typing import Any

import pytest

from controlplane.resources.common.probe import (
    HTTPHeader,
    HTTPHealthCheckConfig,
    ReadinessProbe,
)
from controlplane.resources.common.workload import WorkloadEntry
from controlplane.resources.schema import decode
from controlplane.resources.workload_group.schema import ObjectMeta, WorkloadGroup


def test_a_whole_one() -> None:
    value = {
        "metadata": {"labels": {"app": "a"}},
        "template": {"serviceAccount": "sa"},
        "probe": {
            "periodSeconds": 5,
            "httpGet": {"port": 80, "httpHeaders": [{"name": "a", "value": "b"}]},
        },
    }
    result, problems = decode(WorkloadGroup, value, "spec")
    assert problems == []
    assert result == WorkloadGroup(
        template=WorkloadEntry(service_account="sa"),
        metadata=ObjectMeta(labels={"app": "a"}),
        probe=ReadinessProbe(
            period_seconds=5,
            http_get=HTTPHealthCheckConfig(80, http_headers=(HTTPHeader("a", "b"),)),
        ),
    )


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({}, "spec.template", "is required"),
        ({"template": {}, "probe": {"httpGet": {}}}, "spec.probe.httpGet.port", "is required"),
        (
            {"template": {}, "probe": {"httpGet": {"port": 80}, "grpc": {}}},
            "spec.probe",
            "httpGet, grpc exclude each other; keep one",
        ),
        (
            {"template": {}, "probe": {"periodSeconds": -1}},
            "spec.probe.periodSeconds",
            "must be from 0 to 2147483647, is -1",
        ),
    ],
)
def test_what_is_refused(value: dict[str, Any], path: str, reason: str) -> None:
    result, problems = decode(WorkloadGroup, value, "spec")
    assert result is None
    assert [(one.path, one.reason) for one in problems] == [(path, reason)]
