"""controlplane.commands.inputs: what `-f` stands for, and what is said of what cannot be read."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from controlplane.commands import analyze, inputs, proxy_config
from controlplane.commands.common import CommandError
from controlplane.problem import Refused
from controlplane.sources import tree


def test_a_folder_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.json", "c.txt", ".d.yaml", "below/e.yml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    flat = [data for _, data in inputs.files(str(tmp_path), recursive=False)]
    assert flat == [b"a.json", b"b.yaml"]
    whole = [data for _, data in inputs.files(str(tmp_path), recursive=True)]
    assert whole == [b"a.json", b"b.yaml", b"below/e.yml"]


def test_a_pipe_that_is_named() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x" * 9)
    os.close(writer)
    name = f"/dev/fd/{reader}"
    assert inputs.one_file(name, 5) == (name, b"x" * 6)
    os.close(reader)


def test_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    assert inputs.one_file("-", 1) == ("standard input", b"ab")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(CommandError, match="standard input: is closed"):
        inputs.one_file("-")


def test_a_folder_below_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text("")
    (tmp_path / "below").mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("below"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(tree.os, "scandir", refuse)
    with pytest.raises(ExceptionGroup) as raised:
        list(inputs.files(str(tmp_path), recursive=True))
    (refused,) = raised.value.exceptions
    assert isinstance(refused, Refused)
    assert str(refused) == f"{tmp_path}/below:1: folder: cannot be read: Permission denied"


def test_a_folder_where_a_file_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proxy_config.main(["clusters", "-f", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path}: Is a directory\n"
    assert analyze.main(["--meshConfigFile", str(tmp_path), "-"]) == 1
    assert capsys.readouterr().err == f"{tmp_path}: Is a directory\n"
