"""mesh.admin.clusters"""

from __future__ import annotations

import json

from tests.unit.mesh.admin.helpers import FakeProcess, get


def test_text_and_json() -> None:
    assert get(FakeProcess(), "/clusters")[1].startswith("web::default_priority::")
    found = json.loads(get(FakeProcess(), "/clusters?format=json")[1])
    assert found == {"cluster_statuses": [{"name": "web"}]}


def test_filter() -> None:
    assert get(FakeProcess(), "/clusters?filter=^w")[1].startswith("web::")
    assert get(FakeProcess(), "/clusters?filter=max_connections") == (200, "")
    assert '"web"' in get(FakeProcess(), "/clusters?filter=^w&format=json")[1]
    assert get(FakeProcess(), "/clusters?filter=x&format=json") == (200, "{}\n")
    assert get(FakeProcess(), "/clusters?filter=(")[0] == 400
