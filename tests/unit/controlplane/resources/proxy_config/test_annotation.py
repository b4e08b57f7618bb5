"""The annotation `proxy.istio.io/config`: what is wrong with it is said, and costs its object
nothing."""

from __future__ import annotations

import pytest

from tests.support.documents import problems_of

_AT = "metadata.annotations['proxy.istio.io/config']"


@pytest.mark.parametrize("kind", ["Pod", "WorkloadGroup"])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("concurrency: 2", []),
        ("concurrency: -1", [f"{_AT}.concurrency: warning: must not be negative, is -1; all"]),
        ("concurency: 1", [f"{_AT}.concurency: warning: there is no such field"]),
        ("[", [f"{_AT}: warning: "]),
        ("statsdUdpAddress: 'a:1'", [f"{_AT}.statsdUdpAddress: warning: is read, not acted on"]),
    ],
)
def test_problems(kind: str, said: str, told: list[str]) -> None:
    group = kind == "WorkloadGroup"
    found = problems_of(
        {
            "apiVersion": "networking.istio.io/v1" if group else "v1",
            "kind": kind,
            "metadata": {"name": "a", "annotations": {"proxy.istio.io/config": said}},
            "spec": {"template": {"serviceAccount": "b"}} if group else {},
        }
    )
    assert len(found) == len(told)
    for one, begins in zip(found, told, strict=True):
        assert one.startswith(begins)
