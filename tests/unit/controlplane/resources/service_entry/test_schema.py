"""Shape of ServiceEntry: what is read into what, and what is refused before any rule."""

from typing import Any

import pytest

from controlplane.resources.common.port import ServicePort
from controlplane.resources.common.selector import WorkloadSelector
from controlplane.resources.common.workload import WorkloadEntry
from controlplane.resources.schema import decode
from controlplane.resources.service_entry.schema import ServiceEntry


def test_a_whole_one() -> None:
    value = {
        "hosts": ["a.example"],
        "ports": [{"number": 80, "name": "http", "targetPort": 8080}],
        "location": "MESH_INTERNAL",
        "resolution": "DYNAMIC_DNS",
        "endpoints": [{"address": "1.2.3.4", "ports": {"http": 1}, "serviceAccount": "sa"}],
        "workloadSelector": {"labels": {"app": "a"}},
        "subjectAltNames": ["x"],
    }
    result, problems = decode(ServiceEntry, value, "spec")
    assert problems == []
    assert result == ServiceEntry(
        hosts=("a.example",),
        ports=(ServicePort(80, "http", target_port=8080),),
        location="MESH_INTERNAL",
        resolution="DYNAMIC_DNS",
        endpoints=(WorkloadEntry("1.2.3.4", ports={"http": 1}, service_account="sa"),),
        workload_selector=WorkloadSelector({"app": "a"}),
        subject_alt_names=("x",),
    )


def test_defaults_are_those_of_the_api() -> None:
    result, _ = decode(ServiceEntry, {"hosts": ["a"]}, "spec")
    assert (result.location, result.resolution) == ("MESH_EXTERNAL", "NONE")


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({}, "spec.hosts", "is required"),
        (
            {"hosts": ["a"], "resolution": "STATICC"},
            "spec.resolution",
            "must be one of NONE, STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS; is 'STATICC'",
        ),
        ({"hosts": ["a"], "ports": [{"number": 80}]}, "spec.ports[0].name", "is required"),
        (
            {"hosts": ["a"], "endpoints": [{"ports": {"a": "b"}}]},
            "spec.endpoints[0].ports.a",
            "must be a whole number, is 'b'",
        ),
        ({"hosts": "a"}, "spec.hosts", "must be a list, is 'a'"),
    ],
)
def test_what_is_refused(value: dict[str, Any], path: str, reason: str) -> None:
    result, problems = decode(ServiceEntry, value, "spec")
    assert result is None
    assert [(one.path, one.reason) for one in problems] == [(path, reason)]
