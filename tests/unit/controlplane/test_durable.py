"""controlplane.durable: whole or not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from controlplane import durable


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    durable.write(str(path), b"one", 0o600)
    before = path.stat().st_ino
    durable.write(str(path), b"two", 0o666)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert path.stat().st_ino != before
    assert os.listdir(tmp_path) == ["a.yaml"]


def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.write(str(path), b"new", 0o644)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.yaml"]


def test_what_a_killed_writer_left_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", lambda *_: os._exit(9))
    child = os.fork()
    if not child:
        durable.write(str(tmp_path / "a.yaml"), b"new", 0o644)
    os.waitpid(child, 0)
    (tmp_path / ".keep.yaml").touch()
    assert len(os.listdir(tmp_path)) == 2
    durable.sweep(str(tmp_path))
    assert os.listdir(tmp_path) == [".keep.yaml"]


def test_folders_are_made(tmp_path: Path) -> None:
    durable.make_directory(str(tmp_path / "a/b/c"))
    durable.make_directory(str(tmp_path / "a/b/c"))
    assert (tmp_path / "a/b/c").is_dir()
    durable.write(str(tmp_path / "a/x"), b"", 0o644)
    durable.remove(str(tmp_path / "a/x"))
    assert os.listdir(tmp_path / "a") == ["b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_stays_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    durable.write(str(path), b"one", 0o644, (12345, 12346))
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


def test_lines_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    durable.append(path, b"one\n", 0o600)
    assert len(flushed) == 2  # the line, and the name of a new file
    durable.append(path, b"two\n", 0o644)
    assert len(flushed) == 3
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_that_was_cut_off_spoils_none_behind_it(tmp_path: Path) -> None:
    """As a full disk leaves it."""
    path = tmp_path / "log"
    path.write_bytes(b'{"a": 1}\n{"b"')
    for line in (b'{"c": 3}\n', b'{"d": 4}\n'):
        durable.append(str(path), line, 0o644)
    assert path.read_bytes() == b'{"a": 1}\n{"b"\n{"c": 3}\n{"d": 4}\n'


def test_a_folder_is_claimed_once_at_a_time(tmp_path: Path) -> None:
    first = durable.claim(tmp_path)
    assert first is not None
    assert durable.claim(tmp_path) is None
    os.close(first)
    second = durable.claim(tmp_path)
    assert second is not None
    os.close(second)
