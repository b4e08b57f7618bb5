"""mesh.cli"""

from __future__ import annotations

import subprocess
import sys

import pytest

from mesh import __version__, cli


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"mesh {__version__}\n"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "proxy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "no command"),
        (["x"], "there is no command 'x'\n"),
        (["aply"], "there is no command 'aply'; did you mean apply?\n"),
        (["help", "aply"], "there is no command 'aply'; did you mean apply?\n"),
    ],
)
def test_a_wrong_command(capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    assert cli.main(argv) == 1
    assert says in capsys.readouterr().err


def test_help_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["help", "apply"])
    assert not ended.value.code
    assert capsys.readouterr().out.startswith("usage: mesh apply ")


def test_proxy_gets_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["proxy", "--bogus"]) == 1
    assert "there is no flag --bogus" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["apply", "get", "delete", "control"])
def test_commands_of_the_control_plane_get_the_rest(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--bogus"])
    assert ended.value.code
    assert f"usage: mesh {command}" in capsys.readouterr().err


def test_files_that_nobody_thought_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise PermissionError(13, "Permission denied", "/x")

    monkeypatch.setattr(cli, "_run", fail)
    assert cli.main(["get", "vs"]) == 1
    assert capsys.readouterr().err == "mesh: /x: Permission denied\n"


#: Each of these costs the sidecar between 0.3 and 30 MB.
HEAVY = {
    "argparse",
    "asyncio",
    "dataclasses",
    "email",
    "grpc",
    "http",
    "inspect",
    "json",
    "logging",
    "google",
    "re",
    "subprocess",
    "tempfile",
    "traceback",
    "typing",
    "urllib",
    "yaml",
}


def test_the_sidecar_imports_little() -> None:
    script = (
        "import sys, types\n"
        "core = types.ModuleType('mesh._fastpath')\n"
        "core.__getattr__ = lambda name: type(name, (ValueError,), {})\n"
        "sys.modules['mesh._fastpath'] = core\n"
        "before = set(sys.modules)\n"
        "import mesh.cli, mesh.app, mesh.xds.ads, mesh.xds.snapshot\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) & HEAVY == set()
