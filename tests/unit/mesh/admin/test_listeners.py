"""mesh.admin.listeners"""

from __future__ import annotations

import json

from tests.unit.mesh.admin.helpers import FakeProcess, api, get, post


def test_only_what_serves_is_listed() -> None:
    process = FakeProcess()
    assert get(process, "/listeners?format=json") == (200, "{}\n")
    process.hold(api.LISTENER, "web")
    assert get(process, "/listeners") == (200, "web::127.0.0.1:80\n")
    document = json.loads(get(process, "/listeners?format=json")[1])
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 80}}
    assert document == {"listener_statuses": [{"name": "web", "local_address": address}]}


def test_pipes_are_shown_as_such() -> None:
    process = FakeProcess()
    for path in ("/run/a:80", "@name", "a.sock"):
        process.core.bound = path
        process.hold(api.LISTENER, "web")
        document = json.loads(get(process, "/listeners?format=json")[1])
        assert document["listener_statuses"][0]["local_address"] == {"pipe": {"path": path}}


def test_drain() -> None:
    process = FakeProcess()
    assert post(process, "/drain_listeners?graceful") == (200, "OK\n")
    assert post(process, "/drain_listeners?inboundonly")[0] == 200
    assert post(process, "/drain_listeners?skip_exit")[0] == 400
    assert process.core.calls == [
        ("drain_listeners", True, False),
        ("drain_listeners", False, True),
    ]
