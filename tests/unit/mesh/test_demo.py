"""mesh.demo: its parts; `make demo ARGS=--once` is the whole."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest
import yaml

from mesh import demo

EXAMPLES = Path(__file__).parents[3] / "examples"


def shown() -> tuple[demo.Demo, io.StringIO]:
    out = io.StringIO()
    return demo.Demo(Path("/nonexistent"), [], out), out


def test_needs_the_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--once", "--examples", str(tmp_path)]) == 1
    assert "--examples DIRECTORY" in capsys.readouterr().err


def test_a_failed_check_counts() -> None:
    made, out = shown()
    made.check(True, "good")
    made.check(False, "bad")
    assert made.failures == 1
    assert out.getvalue() == "   ok     good\n   FAILED bad\n"


def test_a_taken_port_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(demo, "PROXY_PORT", port)
        made, out = shown()
        assert made._choose_ports()[port] != port
        assert f"port {port} is taken" in out.getvalue()


def test_the_upstream_keeps_its_connections() -> None:
    upstream = demo.Upstream("users", 0)
    demo.threading.Thread(target=upstream.serve_forever, daemon=True).start()
    client = demo.Client(upstream.server_port)
    for path in ("/1", "/2"):
        status, headers, body = client.get(path)
        assert status == 200
        assert "connection" not in headers
        assert path in body
    client.close()
    upstream.shutdown()
    upstream.server_close()


def test_examples_name_the_ports_that_the_demo_replaces() -> None:
    text = (EXAMPLES / "envoy.yaml").read_text()
    for port in (*demo.UPSTREAMS.values(), demo.PROXY_PORT, demo.ADMIN_PORT):
        assert text.count(f"port_value: {port}}}") == 1


def test_route_files_differ_where_they_say() -> None:
    first, second, bad = (
        yaml.safe_load((EXAMPLES / f"routes{suffix}.yaml").read_text())
        for suffix in ("", "-2", "-bad")
    )
    assert len({first["version_info"], second["version_info"], bad["version_info"]}) == 3
    del first["version_info"], second["version_info"]
    assert first != second
    assert "safe_regex" in str(bad)
