"""Flags of `mesh proxy` that act on configuration, logs and addresses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.integration.conftest import StartMesh
from tests.support import config
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.proxies import mesh_binary
from tests.support.upstream import Upstream

_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def _bootstrap(port: int, admin: int, upstream: Upstream, **manager: Any) -> str:
    hcm = config.hcm(config.route_config("r", config.route("/", "up")), **manager)
    clusters = [config.cluster("up", upstream.port)]
    return config.bootstrap(admin, [config.listener("web", port, hcm)], clusters)


def _with_unknown_fields(text: str) -> str:
    """Two that Envoy's API does not have."""
    text = text.replace("stat_prefix: web", "stat_prefix: web\n          tomorrow: {is: [here]}")
    return text + "colour: red\n"


def test_unknown_static_fields_are_warned_of(start: StartMesh, upstream: Upstream) -> None:
    """--allow-unknown-static-fields: served without them, a line and a count for each."""
    port, admin = free_port(), free_port()
    text = _with_unknown_fields(_bootstrap(port, admin, upstream))
    proxy = start(text, admin, "--allow-unknown-static-fields", "--drain-strategy", "immediate")
    with Connection(port) as client:
        assert client.request(_GET).status == 200
    assert proxy.stat("server.static_unknown_fields") == 2
    warnings = [line for line in proxy.log().splitlines() if "[warning][config]" in line]
    assert len(warnings) == 2
    assert "typed_config.tomorrow: no such field" in warnings[0]
    assert "colour: no such field" in warnings[1]
    info = json.loads(proxy.admin("GET", "/server_info")[1])["command_line_options"]
    assert info["allow_unknown_static_fields"] is True
    assert info["drain_strategy"] == "Immediate"


def test_unknown_static_fields_are_refused(tmp_path: Path, upstream: Upstream) -> None:
    """Without the flag; and with it, what Envoy has and we do not."""
    text = _with_unknown_fields(_bootstrap(free_port(), free_port(), upstream))
    path = tmp_path / "bootstrap.yaml"
    path.write_text(text)
    command = [str(mesh_binary()), "proxy", "--mode", "validate", "-c", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "tomorrow: no such field" in done.stderr
    assert "colour: no such field" in done.stderr
    lenient = [*command, "--allow-unknown-static-fields"]
    assert subprocess.run(lenient, capture_output=True, check=False).returncode == 0
    path.write_text(text + "hds_config: {api_type: GRPC}\n")
    done = subprocess.run(lenient, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "hds_config" in done.stderr


def test_unknown_dynamic_fields(start: StartMesh, upstream: Upstream, tmp_path: Path) -> None:
    """Refused by name, and left out with --ignore-unknown-dynamic-fields."""
    cds = tmp_path / "cds.yaml"
    cluster = config.cluster("up", upstream.port)
    config.move_in(cds, config.discovery(config.CLUSTER, [cluster | {"tomorrow": 1}]))
    for flags, accepted in (((), 0), (("--ignore-unknown-dynamic-fields",), 1)):
        admin = free_port()
        proxy = start(config.bootstrap(admin, [], cds), admin, *flags)
        name = "cluster_manager.cds.update_"
        assert proxy.stat(name + "success") == accepted
        assert proxy.stat(name + "rejected") == 1 - accepted


def test_access_logs_wait_as_long_as_told(
    start: StartMesh, upstream: Upstream, tmp_path: Path
) -> None:
    """--file-flush-interval-msec: a line waits for others, and is not lost at the end."""
    log = tmp_path / "access.log"
    kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    access_log = [{"name": "log", "typed_config": {"@type": kind, "path": str(log)}}]
    port, admin = free_port(), free_port()
    text = _bootstrap(port, admin, upstream, access_log=access_log)
    proxy = start(text, admin, "--file-flush-interval-msec", "3600000")
    for _ in range(2):  # the first tick may come at once
        with Connection(port) as client:
            assert client.request(_GET).status == 200
    proxy.wait_stat("http.web.downstream_cx_destroy", 2)
    assert log.read_text().count("\n") < 2
    proxy.terminate()
    proxy.wait_exit()
    assert log.read_text().count("\n") == 2


def test_the_log_has_the_format_that_is_asked_for(start: StartMesh, upstream: Upstream) -> None:
    """--log-format: pilot-agent's, as text and as JSON."""
    text = "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t"
    form = {"level": "%l", "time": "%Y-%m-%dT%T.%fZ", "scope": "envoy %n", "msg": "%j"}
    for pattern in (text, json.dumps(form)):
        admin = free_port()
        proxy = start(_bootstrap(free_port(), admin, upstream), admin, "--log-format", pattern)
        proxy.terminate()
        proxy.wait_exit()
        lines = [line for line in proxy.log().splitlines() if "all is initialised" in line]
        assert len(lines) == 1
        if pattern == text:
            when, level, scope, _, thread = lines[0].split("\t")
            assert (level, scope) == ("info", "envoy main :")
            assert thread.startswith("thread=")
        else:
            line = json.loads(lines[0])
            assert (line["level"], line["scope"]) == ("info", "envoy main")
            when = line["time"]
        assert len(when) == len("2026-11-26T23:00:00.000000Z")


def test_a_log_format_that_is_not_supported(tmp_path: Path) -> None:
    """By name."""
    path = tmp_path / "bootstrap.yaml"
    path.write_text(config.bootstrap(free_port(), [], []))
    command = [str(mesh_binary()), "proxy", "-c", str(path), "--log-format", "%-8l %v"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--log-format '%-8l %v': %- is not supported." in done.stderr


def test_the_machine_has_an_address_of_either_version(start: StartMesh, upstream: Upstream) -> None:
    """--local-address-ip-version: what x-forwarded-for gets for a client on the loopback."""
    seen = {}
    for version in ("v4", "v6"):
        port, admin = free_port(), free_port()
        text = _bootstrap(port, admin, upstream, use_remote_address=True)
        start(text, admin, "--local-address-ip-version", version)
        with Connection(port) as client:
            assert client.request(_GET).status == 200
        headers = dict(upstream.wait_requests(len(seen) + 1)[-1].headers)
        seen[version] = headers.get("x-forwarded-for", "")
    assert "." in seen["v4"]
    assert ":" in seen["v6"]
