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
    process.core.bound = ["/run/a:80", "@name", "[::1]:80", "a.sock"]
    process.hold(api.LISTENER, "web")
    assert get(process, "/listeners")[1].splitlines()[1] == "web::@name"
    (status,) = json.loads(get(process, "/listeners?format=json")[1])["listener_statuses"]
    assert status["local_address"] == {"pipe": {"path": "/run/a:80"}}
    assert status["additional_local_addresses"] == [
        {"pipe": {"path": "@name"}},
        {"socket_address": {"address": "::1", "port_value": 80}},
        {"pipe": {"path": "a.sock"}},
    ]


def test_drain() -> None:
    process = FakeProcess()
    assert post(process, "/drain_listeners?graceful") == (200, "OK\n")
    assert post(process, "/drain_listeners?inboundonly")[0] == 200
    assert post(process, "/drain_listeners?skip_exit")[0] == 400
    assert process.core.calls == [
        ("drain_listeners", True, False),
        ("drain_listeners", False, True),
    ]
