"""mesh.admin.process"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mesh.admin.process import resident_bytes
from tests.unit.mesh import fake
from tests.unit.mesh.admin.helpers import FakeProcess, get, post


def test_server_info() -> None:
    process = FakeProcess()
    process.options.config_path = "envoy.yaml"
    document = json.loads(get(process, "/server_info")[1])
    assert document["state"] == "LIVE"
    assert document["node"]["id"] == "n"
    assert document["command_line_options"]["config_path"] == "envoy.yaml"
    assert document["command_line_options"]["concurrency"] == 2
    process.options.service_node = "flag"
    assert json.loads(get(process, "/server_info")[1])["node"]["id"] == "flag"


def test_memory(tmp_path: Path) -> None:
    (tmp_path / "statm").write_text("100 10 4 1 0 9 0\n")
    assert resident_bytes(str(tmp_path / "statm")) == (40960, 24576)
    assert set(json.loads(get(FakeProcess(), "/memory")[1])) >= {"allocated", "heap_size"}


def test_logging() -> None:
    process = FakeProcess()
    assert post(process, "/logging")[1].startswith("active loggers:\n  main: info\n")
    assert "  config: debug\n" in post(process, "/logging?config=debug")[1]
    assert "info" not in post(process, "/logging?level=warning")[1]
    assert post(process, "/logging?paths=main:trace,config:off")[0] == 200
    assert fake.log_levels() == {"main": "trace", "config": "off", "upstream": "warning"}


@pytest.mark.parametrize(
    "query", ["bogus=info", "main=loud", "main=info&config=info", "group=x:info", "paths=main"]
)
def test_logging_refuses_and_changes_nothing(query: str) -> None:
    before = fake.log_levels()
    status, body = post(FakeProcess(), f"/logging?{query}")
    assert status == 400
    assert "usage: /logging?<name>=<level>" in body
    assert fake.log_levels() == before


def test_the_rest() -> None:
    process = FakeProcess()
    assert post(process, "/reopen_logs") == (200, "OK\n")
    assert post(process, "/quitquitquit") == (200, "OK\n")
    assert process.calls == ["reopen_logs", "quit"]
    assert get(process, "/hot_restart_version") == (200, "disabled")
    certificates = json.loads(get(process, "/certs")[1])["certificates"]
    assert certificates == [{"ca_cert": [], "cert_chain": [{"path": "a.crt"}]}]
    assert get(process, "/help")[1].startswith("admin commands are:\n  /: Admin home page\n")
    assert "<a href='stats'>/stats</a>" in get(process, "/")[1]
    assert json.loads(get(process, "/runtime")[1]) == {"layers": [], "entries": {}}
    process.bootstrap.body = b'{"layered_runtime": {"layers": [{"name": "static"}]}}'
    assert json.loads(get(process, "/runtime")[1])["layers"] == ["static"]
