"""mesh.admin.stats"""

from __future__ import annotations

import pytest

from tests.unit.mesh.admin.helpers import FakeProcess, get, post


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/stats", "filter=None used_only=False kind=All\n"),
        ("/stats?usedonly&filter=x&type=Gauges", "filter=x used_only=True kind=Gauges\n"),
        ("/stats?format=json", '{"stats":[]}'),
        ("/stats?format=prometheus", "# TYPE envoy_server_live gauge\n"),
        ("/stats/prometheus", "# TYPE envoy_server_live gauge\n"),
    ],
)
def test_formats(target: str, body: str) -> None:
    process = FakeProcess()
    assert get(process, target) == (200, body)
    assert process.calls == ["refresh_stats"]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("/stats?filter=(", "Invalid re2 regex: missing ): ("),
        ("/stats?type=bogus", "invalid &type= param"),
        ("/stats?format=html", "usage: /stats?format="),
        ("/stats?invert_filter", "invert_filter is not implemented"),
    ],
)
def test_refusals(target: str, says: str) -> None:
    status, body = get(FakeProcess(), target)
    assert status == 400
    assert says in body


def test_reset() -> None:
    process = FakeProcess()
    assert post(process, "/reset_counters") == (200, "OK\n")
    assert process.core.calls == [("reset_counters",)]
