"""controlplane.commands.run: what is wrong is said before the join file's token is used up."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from controlplane.commands import run

_JOIN = {
    # Nobody is there: who asked it would wait.
    "control": "127.0.0.1:1",
    "join": "127.0.0.1:1",
    "roots": "",
    "namespace": "default",
    "service_account": "reviews",
    "trust_domain": "cluster.local",
    "grants": "app=reviews",
    "token": "x",
}


@pytest.fixture
def join(tmp_path: Path) -> str:
    path = tmp_path / "a.join"
    path.write_text(json.dumps(_JOIN))
    return str(path)


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--", "/no/such"], "/no/such: there is no such program"),
        (["--proxy", "no-such-proxy -x", "--", "true"], "no-such-proxy: there is no such program"),
        (["--proxy", "'", "--", "true"], "--proxy ': No closing quotation"),
        (["--name", "a b", "--", "true"], "--name a b: is no name"),
        (["--name", "a.b", "--", "true"], "--name a.b: is no name"),
        (["--group", "A", "--", "true"], "--group A: is no name"),
        (["--label", "a", "--", "true"], "--label a: write KEY=VALUE"),
        (["--label", "a=b,c", "--", "true"], "--service, --version, --label: 'b,c' is no value"),
        (["--version", "x y", "--", "true"], "--service, --version, --label: 'x y' is no value"),
        (["--port", "0", "--", "true"], "--port 0: must be a port from 1 to 65535"),
        (["--port", "80:x", "--", "true"], "--port x: must be a port"),
        (["--http-proxy-port", "99999", "--", "true"], "--http-proxy-port 99999: must be a port"),
        (["--admin-port", "-1", "--", "true"], "--admin-port -1: must be a port"),
        (["--drain-seconds", "-3", "--", "true"], "--drain-seconds -3: must be seconds, 0 or"),
        (["--start-seconds", "nan", "--", "true"], "--start-seconds nan: must be seconds"),
        (["--address", "here", "--", "true"], "--address here: must be an IP address"),
        (["--egress", "1:2", "--", "true"], "--egress 1:2: write LOCAL_PORT=HOST:PORT"),
        (["--gateway", "--", "true"], "a gateway runs no program"),
        ([], "no command; write mesh run"),
        (["--http-proxy-port", "IN_USE", "--", "true"], "127.0.0.1:IN_USE is in use by another"),
        (["--port", "80:IN_USE", "--", "true"], "is in use by another process; it is to be for"),
        (["--address", "192.0.2.1", "--port", "80", "--", "true"], "cannot listen on 192.0.2.1:80"),
    ],
)
def test_what_is_wrong(
    join: str, flags: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = str(held.getsockname()[1])
        flags = [one.replace("IN_USE", port) for one in flags]
        assert run.main(["--join", join, "--service", "reviews", *flags]) == 1
    error = capsys.readouterr().err
    assert error.startswith("mesh run [reviews]: ")
    assert why.replace("IN_USE", port) in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("service", "version", "name"),
    [
        ("reviews", "v1", "reviews-v1"),
        ("reviews", "1.0", "reviews-1-0"),
        ("Reviews_API", "V2.", "reviews-api-v2"),
    ],
)
def test_a_workload_is_named_by_its_service_and_version(
    service: str, version: str, name: str
) -> None:
    assert run._default_name(service, version) == name
