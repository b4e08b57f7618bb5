"""mesh.admin.health"""

from __future__ import annotations

from tests.unit.mesh.admin.helpers import FakeProcess, get, post


def test_ready() -> None:
    process = FakeProcess()
    assert get(process, "/ready") == (200, "LIVE\n")
    process.now = "PRE_INITIALIZING"
    assert get(process, "/ready") == (503, "PRE_INITIALIZING\n")


def test_health_checks() -> None:
    process = FakeProcess()
    assert post(process, "/healthcheck/fail") == (200, "OK\n")
    assert post(process, "/healthcheck/ok") == (200, "OK\n")
    assert process.calls == ["fail_health_check True", "fail_health_check False"]
