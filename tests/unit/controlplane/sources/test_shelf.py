"""controlplane.sources.shelf: what files hold, the last good state kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from controlplane.resources.resource import Key
from controlplane.sources import tree
from controlplane.sources.layers import Difference
from controlplane.sources.shelf import Shelf
from tests.support.kinds import KINDS, route


class Shown:
    """A shelf over a folder."""

    def __init__(self, root: Path, *, settle: bool = False) -> None:
        self.root = root
        self.shelf = Shelf(str(root), KINDS, settle=settle)

    def write(self, path: str, *documents: str) -> Difference | None:
        self.put(path, *documents)
        return self.shelf.look({path})

    def put(self, path: str, *documents: str) -> None:
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        new = full.with_name(".new")
        new.write_text("---\n".join(documents))
        os.replace(new, full)

    def look(self) -> Difference | None:
        return self.shelf.look_at_all(tree.walk(str(self.root)))

    def hosts(self) -> dict[str, str]:
        return {one.name: one.spec.hosts[0] for one in self.shelf.resources()}

    def refused(self) -> list[str]:
        return [str(one).removeprefix(f"{self.root}/") for one in self.shelf.refused()]


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    return Shown(tmp_path)


def names(difference: Difference | None) -> tuple[list[str], list[str]]:
    assert difference is not None
    return [one.name for one in difference.updated], [one.name for one in difference.removed]


def test_files_come_change_and_go(shown: Shown) -> None:
    assert names(shown.write("a.yaml", route("one"), route("two"))) == (["one", "two"], [])
    assert names(shown.write("a.yaml", route("one", "b"), route("three"))) == (
        ["one", "three"],
        ["two"],
    )
    assert shown.write("a.yaml", "# touched\n" + route("one", "b"), route("three")) is None
    assert str(shown.shelf.resources()[0].origin).endswith("a.yaml:2")
    (shown.root / "a.yaml").unlink()
    assert names(shown.shelf.look({"a.yaml"})) == ([], ["one", "three"])


def test_a_bad_resource_keeps_its_last_good_state_and_blocks_none(shown: Shown) -> None:
    shown.write("a.yaml", route("one"), route("two"))
    difference = shown.write("a.yaml", route("one", "b"), route("two") + "  hots: x\n")
    assert names(difference) == (["one"], [])
    assert shown.hosts() == {"one": "b", "two": "a"}
    assert shown.refused() == [
        "a.yaml:14: Route default/two: spec.hots: there is no such field; did you mean hosts?"
    ]
    assert names(shown.write("a.yaml", route("one", "b"), route("two", "c"))) == (["two"], [])
    assert shown.refused() == []


def test_what_is_refused_holds_nothing_of_its_file(shown: Shown) -> None:
    """A traceback would hold every document, as long as one of them is refused."""
    shown.write("a.yaml", route("good"), route("bad", namespace="NO"))
    (one,) = shown.shelf.refused()
    assert one.__traceback__ is None
    assert one.__context__ is None


def test_what_is_odd_is_taken_with_a_warning(shown: Shown) -> None:
    assert names(shown.write("a.yaml", route("one", "old"))) == (["one"], [])
    (warned,) = shown.shelf.warnings()
    assert str(warned).endswith(
        "a.yaml:6: Route default/one: spec.hosts: warning: old is not used any more"
    )
    assert shown.refused() == []
    shown.write("a.yaml", route("one", "new"))
    assert shown.shelf.warnings() == ()


def test_another_version_that_means_the_same_is_told(shown: Shown) -> None:
    shown.write("a.yaml", route("one"))
    (before,) = shown.shelf.resources()
    text = route("one").replace("/v1", "/v1beta1")
    assert names(shown.write("a.yaml", text)) == (["one"], [])
    (after,) = shown.shelf.resources()
    assert (before == after, before.version == after.version) == (True, False)


def test_while_a_part_cannot_be_read_what_is_missing_stays(shown: Shown) -> None:
    shown.write("a.yaml", route("one"), route("two"))
    assert names(shown.write("a.yaml", route("one", "b"), "kind: [")) == (["one"], [])
    assert shown.hosts() == {"one": "b", "two": "a"}
    assert len(shown.refused()) == 1
    assert names(shown.write("a.yaml", route("one", "b"))) == ([], ["two"])


def test_while_a_document_has_no_name_what_is_missing_stays(shown: Shown) -> None:
    shown.write("a.yaml", route("one"))
    shown.write("a.yaml", route("one").replace("name: one", "nam: one"))
    assert shown.hosts() == {"one": "a"}


def test_a_kind_that_is_misspelt_keeps_what_it_was(shown: Shown) -> None:
    shown.write("a.yaml", route("one"), route("two"))
    wrong = route("one").replace("kind: Route", "kind: Rout")
    for text in (wrong, "# again\n" + wrong):
        assert names(shown.write("a.yaml", text, route("two"))) == ([], [])
        assert shown.hosts() == {"one": "a", "two": "a"}
    assert names(shown.write("a.yaml", wrong)) == ([], ["two"])
    assert names(shown.write("a.yaml", route("one", "b"))) == (["one"], [])


def test_what_is_of_a_kind_of_others_keeps_nothing(shown: Shown) -> None:
    other = "apiVersion: other/v1\nkind: Other\nmetadata: {name: one}\n"
    nameless = "apiVersion: kustomize/v1\nkind: Kustomization\n"
    shown.write("a.yaml", route("one"), other, nameless)
    assert names(shown.write("a.yaml", other, nameless)) == ([], ["one"])


def test_the_first_of_two_files_wins(shown: Shown) -> None:
    shown.write("b.yaml", route("one", "b"))
    assert names(shown.write("a.yaml", route("one", "a"))) == (["one"], [])
    assert shown.refused() == [
        (
            f"b.yaml:1: Route default/one: is there twice; the one of {shown.root}/a.yaml:1 counts,"
            " remove one of them"
        )
    ]
    shown.write("a.yaml", "# nothing\n")
    assert shown.hosts() == {"one": "b"}
    assert shown.refused() == []


def test_twice_in_one_file(shown: Shown) -> None:
    shown.write("a.yaml", route("one", "a"), route("one", "b"))
    assert shown.hosts() == {"one": "a"}
    assert shown.refused()[0].startswith("a.yaml:8: Route default/one: is there twice; the one of")


def test_a_file_that_moves_changes_nothing(shown: Shown) -> None:
    shown.write("a.yaml", route("one"))
    (shown.root / "sub").mkdir()
    os.rename(shown.root / "a.yaml", shown.root / "sub/z.yaml")
    assert shown.look() is None
    assert str(shown.shelf.resources()[0].origin).endswith("sub/z.yaml:1")


def test_a_folder_that_cannot_be_read_removes_nothing(shown: Shown, tmp_path: Path) -> None:
    shown.write("sub/a.yaml", route("one"))
    found = tree.Tree(directories={""}, unreadable={"sub": tree.walk("/none").unreadable[""]})
    assert names(shown.shelf.look_at_all(found)) == ([], [])
    assert shown.hosts() == {"one": "a"}
    assert len(shown.refused()) == 1
    away = tmp_path.with_name("away")
    os.rename(tmp_path, away)
    shown.look()
    assert shown.hosts() == {"one": "a"}
    assert "cannot be read: No such file" in shown.refused()[0]
    os.rename(away, tmp_path)
    shown.look()
    assert shown.refused() == []


def test_a_file_that_cannot_be_read_stays_as_it_was(shown: Shown) -> None:
    shown.write("a.yaml", route("one"))
    (shown.root / "a.yaml").unlink()
    (shown.root / "a.yaml").symlink_to("/etc/hostname")
    shown.shelf.look({"a.yaml"})
    assert shown.hosts() == {"one": "a"}
    assert "is a link to outside" in shown.refused()[0]


def test_hidden_files_are_not_looked_at(shown: Shown) -> None:
    assert shown.write(".a.yaml", route("one")) is None


def test_without_the_kernels_word_two_looks_must_agree(tmp_path: Path) -> None:
    shown = Shown(tmp_path, settle=True)
    shown.put("a.yaml", route("one"))
    assert names(shown.look()) == (["one"], [])
    (tmp_path / "a.yaml").write_text("")
    assert shown.look() is None
    (tmp_path / "a.yaml").write_text(route("one", "b"))
    assert shown.look() is None
    assert names(shown.look()) == (["one"], [])
    shown.put("a.yaml", route("one", "c"))
    assert names(shown.look()) == (["one"], [])


# -- age --


def created(shown: Shown) -> dict[str, float]:
    return {one.name: one.created for one in shown.shelf.resources()}


def age_of(path: Path, seconds: float) -> None:
    os.utime(path, (seconds, seconds))


def test_the_first_sight_is_remembered_over_a_restart(shown: Shown) -> None:
    shown.put("a.yaml", route("one"), route("two", creationTimestamp="1970-01-01T00:00:09Z"))
    age_of(shown.root / "a.yaml", 100)
    shown.look()
    assert created(shown) == {"one": 100, "two": 9}
    shown.put("a.yaml", route("one", "b"), route("three"))
    age_of(shown.root / "a.yaml", 200)
    shown.look()
    assert created(shown) == {"one": 100, "three": 200}
    age_of(shown.root / "a.yaml", 300)
    again = Shown(shown.root)
    again.look()
    assert created(again) == {"one": 100, "three": 200}


def test_what_goes_is_forgotten(shown: Shown) -> None:
    shown.put("a.yaml", route("one"))
    age_of(shown.root / "a.yaml", 100)
    shown.look()
    shown.write("a.yaml", "")
    shown.put("a.yaml", route("one"))
    age_of(shown.root / "a.yaml", 200)
    shown.look()
    assert created(shown) == {"one": 200}
    # Also what went while nobody looked.
    shown.put("a.yaml", "")
    again = Shown(shown.root)
    again.look()
    assert json.loads((shown.root / ".mesh/first-seen.json").read_text()) == {}


def test_a_folder_that_is_away_at_the_start_loses_no_ages(shown: Shown, tmp_path: Path) -> None:
    shown.put("a.yaml", route("one"))
    age_of(tmp_path / "a.yaml", 100)
    shown.look()
    again = Shown(tmp_path)
    away = tmp_path.with_name("away2")
    os.rename(tmp_path, away)
    again.look()
    os.rename(away, tmp_path)
    age_of(tmp_path / "a.yaml", 300)
    again.look()
    assert created(again) == {"one": 100}


def test_an_index_that_cannot_be_read_is_made_anew(shown: Shown) -> None:
    shown.put("a.yaml", route("one"))
    (shown.root / ".mesh").mkdir()
    (shown.root / ".mesh/first-seen.json").write_text("[")
    age_of(shown.root / "a.yaml", 100)
    again = Shown(shown.root)
    again.look()
    assert [(key, one.created) for one in again.shelf.resources() for key in [one.key]] == [
        (Key("Route", "default", "one"), 100)
    ]
