"""controlplane.app: what cannot be used is said in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane import app


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("ca/root.pem", "ca/root.pem: holds no certificate in PEM"),
        ("tokens/join-tokens.json", "join-tokens.json: cannot be read; remove it"),
        ("tokens/token-key", "tokens/token-key: holds no key; remove it"),
        ("registered.json", "registered.json: holds no registrations"),
    ],
)
def test_a_state_that_is_broken(
    tmp_path: Path, file: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state" / file
    path.parent.mkdir(parents=True)
    path.write_text("x")
    flags = [
        part
        for name in ("secure", "join", "debug")
        for part in (f"--{name}-address", "127.0.0.1:0")
    ]
    config = ["--config", str(tmp_path / "config"), "--state", str(tmp_path / "state")]
    assert app.main([*config, *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mesh control: ")
    assert why in line


@pytest.mark.parametrize("flag", ["--debounce-after", "--debounce-max"])
@pytest.mark.parametrize("value", ["soon", "100", "-1s", "61s", "2m"])
def test_a_debounce_is_a_duration_of_a_minute_at_most(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, value: str
) -> None:
    folders = ["--config", str(tmp_path), "--state", str(tmp_path / "state")]
    assert app.main([*folders, f"{flag}={value}"]) == 1
    said = capsys.readouterr().err
    assert said == f"mesh control: {flag} {value}: must be a duration from 0s to 1m: 100ms, 1s\n"
