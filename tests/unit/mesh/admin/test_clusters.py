"""mesh.admin.clusters"""

from __future__ import annotations

from tests.unit.mesh.admin.helpers import FakeProcess, get


def test_text_and_json() -> None:
    assert get(FakeProcess(), "/clusters")[1].startswith("web::default_priority::")
    assert get(FakeProcess(), "/clusters?format=json") == (200, '{"cluster_statuses": []}')
    assert get(FakeProcess(), "/clusters?filter=x")[0] == 400
