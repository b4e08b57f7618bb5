"""controlplane.sources.store: objects into files, and what else is in these stays."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.problem import Refused
from controlplane.resources.resource import Key
from controlplane.sources import document, store
from controlplane.sources.store import Conflict, NotFound, Result, Store, StoreError
from tests.support.kinds import KINDS, route


def key(name: str, namespace: str = "default") -> Key:
    return Key("Route", namespace, name)


class Kept:
    """A store, with results as kubectl would say them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(str(root), KINDS)

    def apply(self, *texts: str, **options: Any) -> list[str]:
        contents = document.read("---\n".join(texts).encode(), "given")
        return list(self._said(self.store.apply(contents.documents, **options)))

    def delete(self, *keys: Key, **options: Any) -> list[str]:
        return list(self._said(self.store.delete(keys, **options)))

    @staticmethod
    def _said(results: Iterator[Result | StoreError]) -> Iterator[str]:
        for one in results:
            if isinstance(one, Result):
                yield f"{one.key.name} {one.outcome}"
            else:
                yield f"{type(one).__name__}: {one}"

    def objects(self) -> dict[str, dict[str, Any]]:
        # What another process sees.
        return {one.key.name: one.object() for one in Store(str(self.root), KINDS).read()}

    def hosts(self) -> dict[str, str]:
        return {name: one["spec"]["hosts"][0] for name, one in self.objects().items()}

    def files(self) -> list[str]:
        found = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        return sorted(str(path) for path in found)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "config")


def test_a_new_object_gets_its_own_file(kept: Kept) -> None:
    assert kept.apply(route("one"), route("two", namespace="prod")) == [
        "one created",
        "two created",
    ]
    assert kept.files() == [".lock", "default/route-one.yaml", "prod/route-two.yaml"]
    text = (kept.root / "default/route-one.yaml").read_text()
    stamp = kept.objects()["one"]["metadata"]["creationTimestamp"]
    assert text == (
        "apiVersion: test.mesh/v1\nkind: Route\nmetadata:\n  name: one\n  namespace: default\n"
        f"  creationTimestamp: '{stamp}'\nspec:\n  hosts:\n  - a\n"
    )


def test_configured_and_unchanged(kept: Kept) -> None:
    kept.apply(route("one"))
    stamp = kept.objects()["one"]["metadata"]["creationTimestamp"]
    assert kept.apply(route("one")) == ["one unchanged"]
    assert kept.apply(route("one", "b", labels="{a: b}")) == ["one configured"]
    assert kept.objects()["one"]["metadata"]["creationTimestamp"] == stamp
    # It is replaced as a whole.
    assert kept.apply(route("one", "b")) == ["one configured"]
    assert "labels" not in kept.objects()["one"]["metadata"]
    assert kept.apply(route("one", "b", uid="x", creationTimestamp="null")) == ["one unchanged"]
    assert kept.apply(route("one", "b") + "status: {a: b}\n") == ["one unchanged"]


def test_all_are_validated_before_the_first_is_written(kept: Kept) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        kept.apply(route("one"), route("two") + "  x: 1\n", route("Three"))
    assert [str(one)[:30] for one in caught.value.exceptions] == [
        "given:14: Route default/two: s",
        "given:19: Route default/Three:",
    ]
    assert all(isinstance(one, Refused) for one in caught.value.exceptions)
    assert not kept.root.exists()


def test_a_dry_run_writes_nothing(kept: Kept) -> None:
    assert kept.apply(route("one"), dry_run=True) == ["one created"]
    assert not kept.root.exists()
    kept.apply(route("one"))
    before = kept.files()
    assert kept.apply(route("one", "b"), dry_run=True) == ["one configured"]
    assert kept.delete(key("one"), dry_run=True) == ["one deleted"]
    assert kept.hosts() == {"one": "a"}
    assert kept.files() == before


# -- other people's files --

SHARED = f"""# Our routes. Mind the comments!
---
# the first

{route("one")}# after the first
---   # inline
apiVersion: test.mesh/v1
kind: Route
metadata: {{name: two}}   # flow
spec:
    hosts:   [ "b" ]  # four blanks

---
---
apiVersion: other/v1
kind: Unknown
--- {{apiVersion: test.mesh/v1, kind: Route, metadata: {{name: three}}}}
# the end"""


def test_an_object_is_replaced_where_somebody_put_it(kept: Kept) -> None:
    kept.root.mkdir()
    path = kept.root / "shared.yaml"
    path.write_text(SHARED)
    path.chmod(0o640)
    assert kept.apply(route("two", "c")) == ["two configured"]
    before, after = SHARED.split("apiVersion: test.mesh/v1\nkind: Route\nmetadata: {name: two}")
    after = after.partition("# four blanks\n")[2]
    new = (
        "apiVersion: test.mesh/v1\nkind: Route\nmetadata:\n  name: two\n  namespace: default\n"
        "spec:\n  hosts:\n  - c\n"
    )
    assert path.read_text() == before + new + after
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert kept.apply(route("three", "d")) == ["three configured"]
    assert path.read_text().endswith(
        "---\n" + new.replace("two", "three").replace("c\n", "d\n") + "# the end"
    )
    assert kept.apply(route("one", "e")) == ["one configured"]
    assert kept.hosts() == {"one": "e", "two": "c", "three": "d"}
    assert path.read_text().startswith("# Our routes. Mind the comments!\n---\n# the first\n\napiV")
    assert "# after the first\n---   # inline\n" in path.read_text()
    assert "---\n---\napiVersion: other/v1\nkind: Unknown\n---" in path.read_text()
    assert kept.files() == [".lock", "shared.yaml"]


def test_an_object_is_removed_where_it_stands(kept: Kept) -> None:
    kept.root.mkdir()
    path = kept.root / "shared.yaml"
    path.write_text(SHARED)
    assert kept.delete(key("two"), key("one"), key("three")) == [
        "two deleted",
        "one deleted",
        "three deleted",
    ]
    # Somebody's document that we do not know stays, with all that belongs to nobody.
    assert path.read_text() == (
        "# Our routes. Mind the comments!\n# after the first\n\n---\n---\napiVersion: other/v1\n"
        "kind: Unknown\n# the end"
    )


def test_the_file_goes_with_its_last_object(kept: Kept) -> None:
    kept.apply(route("one"))
    assert kept.delete(key("one")) == ["one deleted"]
    assert kept.files() == [".lock"]
    assert kept.delete(key("one")) == [f"NotFound: Route default/one not found in {kept.root}"]


def test_of_several_of_one_name_all_are_removed(kept: Kept) -> None:
    kept.root.mkdir()
    (kept.root / "a.yaml").write_text(route("one", "a") + "---\n" + route("one", "b"))
    (kept.root / "b.yaml").write_text(route("one", "c"))
    assert kept.hosts() == {"one": "a"}
    assert kept.apply(route("one", "d")) == ["one configured"]
    assert kept.hosts() == {"one": "d"}
    assert kept.delete(key("one")) == ["one deleted"]
    assert kept.files() == [".lock"]


def test_items_of_lists(kept: Kept) -> None:
    kept.root.mkdir()
    items = [
        {"apiVersion": "test.mesh/v1", "kind": "Route", "metadata": {"name": n}} for n in "abc"
    ]
    whole = {"apiVersion": "v1", "kind": "List", "items": items}
    for name, text in (("a.json", json.dumps(whole)), ("a.yaml", f"# list\n{whole}\n")):
        (kept.root / name).write_text(text)
        assert kept.apply(route("b", "x")) == ["b configured"]
        assert kept.delete(key("a")) == ["a deleted"]
        assert kept.objects().keys() == {"b", "c"}
        assert kept.objects()["b"]["spec"] == {"hosts": ["x"]}
        assert kept.delete(key("b"), key("c")) == ["b deleted", "c deleted"]
        assert kept.files() == [".lock"]


def test_json_stays_json(kept: Kept) -> None:
    kept.root.mkdir()
    items = [{"apiVersion": "test.mesh/v1", "kind": "Route", "metadata": {"name": n}} for n in "ab"]
    path = kept.root / "a.json"
    path.write_text("\n".join(map(json.dumps, items)))
    kept.apply(route("a", "x"))
    kept.delete(key("b"))
    assert json.loads(path.read_text())["spec"] == {"hosts": ["x"]}


def test_the_file_of_its_name_may_hold_something_else(kept: Kept) -> None:
    path = kept.root / "default/route-one.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(route("two"))
    path.chmod(0o664)
    kept.apply(route("one"))
    assert kept.hosts() == {"one": "a", "two": "a"}
    assert kept.files() == [".lock", "default/route-one.yaml"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_links_are_written_through(kept: Kept) -> None:
    (kept.root / ".real").mkdir(parents=True)
    (kept.root / ".real/a.yaml").write_text(route("one"))
    (kept.root / "a.yaml").symlink_to(".real/a.yaml")
    kept.apply(route("one", "b"))
    assert (kept.root / "a.yaml").is_symlink()
    assert kept.hosts() == {"one": "b"}


def test_what_is_wrong_in_a_file_can_be_mended_and_blocks_nothing(kept: Kept) -> None:
    kept.root.mkdir()
    (kept.root / "a.yaml").write_text(route("one") + "  x: 1\n---\nkind: [\n")
    assert len(kept.store.read()) == 1
    assert len(kept.store.refused()) == 2
    assert kept.apply(route("one"), route("two")) == ["one configured", "two created"]
    assert (kept.root / "a.yaml").read_text().endswith("---\nkind: [\n")
    assert kept.delete(key("one")) == ["one deleted"]
    assert (kept.root / "a.yaml").read_text() == "---\nkind: [\n"


def test_long_names_fit_into_a_file_name(kept: Kept) -> None:
    name = ".".join(["a" * 60] * 4)
    assert kept.apply(route(name)) == [f"{name} created"]
    assert kept.apply(route(name, "b")) == [f"{name} configured"]


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: %s}\n"


def test_secrets_are_for_their_owner_alone(kept: Kept) -> None:
    kept.apply(SECRET % "dg==")
    path = kept.root / "default/secret-s.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept.root.joinpath("open.yaml").write_text(SECRET.replace("name: s", "name: t") % "dg==")
    kept.root.joinpath("open.yaml").chmod(0o644)
    kept.apply(SECRET.replace("name: s", "name: t") % "dw==")
    assert stat.S_IMODE((kept.root / "open.yaml").stat().st_mode) == 0o600


def test_cluster_scoped_objects(kept: Kept) -> None:
    kept.apply("apiVersion: test.mesh/v1\nkind: Zone\nmetadata: {name: z}\n")
    assert kept.files() == [".lock", "zone-z.yaml"]
    assert "namespace" not in kept.objects()["z"]["metadata"]


# -- several writers --


def test_a_version_that_was_read_is_replaced_only_as_it_was(kept: Kept) -> None:
    kept.apply(route("one"))
    first = kept.objects()["one"]["metadata"]["resourceVersion"]
    assert kept.apply(route("one", "b", resourceVersion=first)) == ["one configured"]
    (said,) = kept.apply(route("one", "c", resourceVersion=first))
    assert said.startswith(f"Conflict: Route default/one ({kept.root}/default/route-one.yaml:1) is")
    assert "has been changed since it was read" in said
    said, other = kept.apply(route("gone", resourceVersion="'1'"), route("two"))
    assert said.startswith(
        "Conflict: Route default/gone is to replace version 1, but there is none"
    )
    assert other == "two created"
    assert kept.hosts() == {"one": "b", "two": "a"}


def test_the_version_is_not_written(kept: Kept) -> None:
    kept.apply(route("one"))
    version = kept.objects()["one"]["metadata"]["resourceVersion"]
    kept.apply(route("one", "b", resourceVersion=version))
    assert "resourceVersion" not in (kept.root / "default/route-one.yaml").read_text()


def test_an_editor_that_knows_no_lock_loses_nothing(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.apply(route("one"))
    path = kept.root / "default/route-one.yaml"
    real = store.render.to_yaml

    def meanwhile(value: Any) -> str:
        path.write_text(route("one", "theirs"))
        return real(value)

    monkeypatch.setattr(store.render, "to_yaml", meanwhile)
    (said,) = kept.apply(route("one", "ours"))
    assert said == f"Conflict: {path}: has been changed by another program just now; try again"
    assert kept.hosts() == {"one": "theirs"}


def test_who_does_not_get_the_lock_says_so(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.apply(route("one"))
    monkeypatch.setattr(store, "_PATIENCE", 0.05)
    holder = Store(str(kept.root), KINDS).delete([key("one")])
    next(holder)
    with pytest.raises(StoreError, match=r"\.lock: another command has been writing for 0.05 s"):
        kept.apply(route("two"))
    holder.close()  # type: ignore[attr-defined]
    assert kept.apply(route("two")) == ["two created"]


def test_a_lock_that_somebody_removed_is_no_lock(kept: Kept) -> None:
    kept.apply(route("one"))
    holder = Store(str(kept.root), KINDS).delete([key("none")])
    next(holder)
    (kept.root / ".lock").unlink()
    assert kept.apply(route("two")) == ["two created"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written: Not a directory"):
        Kept(tmp_path / "file/config").apply(route("one"))


def test_not_found_is_a_store_error(kept: Kept) -> None:
    (error,) = kept.store.delete([key("one")])
    assert isinstance(error, NotFound)
    assert isinstance(error, StoreError)
    assert not isinstance(error, Conflict)
