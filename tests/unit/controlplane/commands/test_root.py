"""`mesh root`."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.ca.authority import load
from controlplane.commands import root


def called(directory: Path, *flags: str) -> int:
    return root.main([*flags, "--state", str(directory)])


def aged(directory: Path, by: timedelta) -> None:
    """As if the last step had been taken earlier."""
    then = (datetime.now(UTC) - by).timestamp()
    for path in (directory / "ca").iterdir():
        os.utime(path, (then, then))


def test_a_root_rolls_in_three_steps_that_wait_for_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = load(tmp_path / "ca").certificate
    assert called(tmp_path) == 0
    name = first.subject.rfc4514_string()
    assert f"{name}: signs, until 20" in capsys.readouterr().out
    for step, (said, old) in enumerate(
        (
            ("it signs nothing yet.", "signs"),
            ("the previous one is still trusted.", "is trusted"),
            ("no longer trusted; the roll is done.", ""),
        )
    ):
        assert called(tmp_path, "roll") == 0
        out = capsys.readouterr().out
        assert said in out
        assert (f"{name}: {old}," in out) == bool(old)
        assert ("A new root is under way" in out) == (step < 2)
        if step < 2:
            aged(tmp_path, timedelta(hours=23))
            assert called(tmp_path, "roll") == 1
            assert "--now takes it all the same" in capsys.readouterr().err
            aged(tmp_path, timedelta(hours=25))
    assert load(tmp_path / "ca").certificate != first


def test_who_cannot_wait(tmp_path: Path) -> None:
    first = load(tmp_path / "ca").certificate
    for _ in range(3):
        assert called(tmp_path, "roll", "--now") == 0
    assert first not in load(tmp_path / "ca").roots


def test_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(tmp_path) == called(tmp_path, "roll") == 1
    assert "ca: is not there; `mesh control` makes it" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_state_that_cannot_be_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    state = "x" * 300
    assert root.main(["--state", state]) == 1
    error = capsys.readouterr().err
    assert error.startswith("mesh root: /")
    assert error.endswith(f"/{state}/ca: File name too long\n")
