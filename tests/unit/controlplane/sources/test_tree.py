"""controlplane.sources.tree: which files count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controlplane.problem import Refused
from controlplane.sources import tree


def files(root: Path) -> dict[str, bool]:
    """Path to whether it is read."""
    return {path: not isinstance(one, Refused) for path, one in tree.walk(str(root)).files.items()}


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a: 1\n")


def test_suffixes_folders_and_what_is_hidden(tmp_path: Path) -> None:
    names = ["b.yaml", "a.yml", "c.json", "sub/deep/d.yaml", "e.txt", "f.yaml~", ".g.yaml"]
    touch(*(tmp_path / name for name in [*names, ".git/h.yaml", ".mesh/first-seen.json"]))
    assert list(files(tmp_path)) == ["a.yml", "b.yaml", "c.json", "sub/deep/d.yaml"]
    assert tree.walk(str(tmp_path)).directories == {"", "sub", "sub/deep"}


def test_links_inside_the_folder_only(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    touch(root / "a.yaml", outside / "x.yaml", tmp_path / "root2" / "y.yaml")
    (root / "in.yaml").symlink_to("a.yaml")
    (root / "out.yaml").symlink_to(outside / "x.yaml")
    (root / "near.yaml").symlink_to("../root2/y.yaml")
    (root / "gone.yaml").symlink_to("nothing")
    (root / "dir").symlink_to(outside)
    (root / "loop").symlink_to(root)
    found = tree.walk(str(root)).files
    assert files(root) == {
        "a.yaml": True,
        "in.yaml": True,
        "out.yaml": False,
        "near.yaml": False,
        "gone.yaml": False,
    }
    assert "is a link to outside of the folder" in str(found["out.yaml"])
    assert str(found["gone.yaml"]).startswith(f"{root}/gone.yaml:1: file: cannot be read")


def test_a_mount_as_kubernetes_makes_it(tmp_path: Path) -> None:
    touch(tmp_path / "..2026/a.yaml", tmp_path / "..2026/sub/b.yaml")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "sub").symlink_to("..data/sub")
    assert files(tmp_path) == {"a.yaml": True, "sub/b.yaml": True}


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    assert files(tmp_path) == {"pipe.yaml": False}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    found = tree.walk(str(tmp_path / "no"))
    assert found.files == {}
    assert "cannot be read: No such file" in str(found.unreadable[""])


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MOST_FILES", 2)
    touch(*(tmp_path / f"{name}.yaml" for name in "abc"))
    found = tree.walk(str(tmp_path))
    assert list(found.files) == ["a.yaml", "b.yaml"]
    assert "more than 2 files; c.yaml and others are not read" in str(found.unreadable[""])


def test_links_that_make_many_folders_of_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight folders with links to each other are 100,000 by their paths."""
    monkeypatch.setattr(tree, "MOST_FOLDERS", 100)
    for name in "abcdefgh":
        touch(tmp_path / name / "it.yaml")
        for other in "abcdefgh":
            if other != name:
                (tmp_path / name / other).symlink_to(f"../{other}")
    found = tree.walk(str(tmp_path))
    assert len(found.directories) == 100
    assert "more than 100 folders" in str(found.unreadable[""])


def test_a_file_that_has_changed_has_another_signature(tmp_path: Path) -> None:
    touch(tmp_path / "a.yaml")
    before = tree.look(str(tmp_path), "a.yaml")
    assert tree.look(str(tmp_path), "a.yaml") == before
    os.replace(_copy(tmp_path / "a.yaml"), tmp_path / "a.yaml")
    assert tree.look(str(tmp_path), "a.yaml") != before
    assert tree.look(str(tmp_path), "b.yaml") is None


def _copy(path: Path) -> Path:
    copy = path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    return copy
