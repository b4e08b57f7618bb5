"""controlplane.sources.folder: a folder, watched."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from controlplane.sources import watcher
from controlplane.sources.folder import Folder
from controlplane.sources.history import History
from controlplane.sources.source import Change, Gone, Source
from tests.support.kinds import KINDS, route

#: Longer than anything here takes: a test that hangs fails.
LONG = 30


@pytest.fixture(autouse=True)
def _fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "INTERVAL", 0.01)


class Watched:
    """A folder and what its watch says."""

    def __init__(self, root: Path, folder: Folder) -> None:
        self.root = root
        self.folder = folder
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        version = (await self.folder.list()).version
        self._task = asyncio.create_task(self._watch(version))

    async def _watch(self, version: str) -> None:
        async for change in self.folder.watch(version):
            self._changes.put_nowait(change)

    async def change(self) -> tuple[list[str], list[str]]:
        async with asyncio.timeout(LONG):
            change = await self._changes.get()
        return [one.name for one in change.updated], [one.name for one in change.removed]

    async def names(self) -> list[str]:
        return sorted(one.name for one in (await self.folder.list()).resources)

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.folder.close()

    def move_in(self, path: str, text: str) -> None:
        new = self.root / ".new"
        new.write_text(text)
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        os.replace(new, full)


def watched(
    root: Path, body: Callable[[Watched], Coroutine[Any, Any, None]], **options: Any
) -> None:
    async def run() -> None:
        one = Watched(root, Folder(str(root), KINDS, **options))
        await one.start()
        try:
            await body(one)
        finally:
            await one.end()

    asyncio.run(run())


def test_it_is_a_source(tmp_path: Path) -> None:
    source: Source = Folder(str(tmp_path), KINDS)
    assert source.name == str(tmp_path)


@pytest.mark.parametrize("poll", [False, True])
def test_files_come_change_move_and_go(tmp_path: Path, poll: bool) -> None:
    (tmp_path / "a.yaml").write_text(route("one"))

    async def body(one: Watched) -> None:
        assert await one.names() == ["one"]
        one.move_in("b.yaml", route("two"))
        assert await one.change() == (["two"], [])
        (tmp_path / "b.yaml").write_text(route("two", "b"))
        assert await one.change() == (["two"], [])
        one.move_in("sub/deep/c.yaml", route("three"))
        assert await one.change() == (["three"], [])
        one.move_in("sub/deep/c.yaml", route("three", "b"))
        assert await one.change() == (["three"], [])
        os.rename(tmp_path / "sub", tmp_path / "other")
        one.move_in("other/deep/d.yaml", route("four"))
        assert await one.change() == (["four"], [])
        (tmp_path / "a.yaml").unlink()
        assert await one.change() == ([], ["one"])
        assert await one.names() == ["four", "three", "two"]

    watched(tmp_path, body, poll=poll)


def test_a_file_counts_when_it_is_closed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(route("one"))

    async def body(one: Watched) -> None:
        with open(tmp_path / "a.yaml", "w", encoding="utf-8") as file:
            file.write("kind: [")
            file.flush()
            one.move_in("b.yaml", route("two"))
            assert await one.change() == (["two"], [])
            assert (await one.folder.list()).refused == ()
            file.seek(0)
            file.write(route("one", "b"))
        assert await one.change() == (["one"], [])
        with open(tmp_path / "c.yaml", "w", encoding="utf-8") as file:
            file.write("kind: [")
            file.flush()
            one.move_in("b.yaml", route("two", "b"))
            assert await one.change() == (["two"], [])
            assert (await one.folder.list()).refused == ()
            file.seek(0)
            file.write(route("three"))
        assert await one.change() == (["three"], [])

    watched(tmp_path, body)


def test_links_count_at_once(tmp_path: Path) -> None:
    (tmp_path / ".one").write_text(route("one"))
    (tmp_path / ".two").write_text(route("two"))

    async def body(one: Watched) -> None:
        os.link(tmp_path / ".one", tmp_path / "a.yaml")
        assert await one.change() == (["one"], [])
        (tmp_path / "b.yaml").symlink_to(".two")
        assert await one.change() == (["two"], [])

    watched(tmp_path, body)


def test_what_is_refused_is_told(tmp_path: Path) -> None:
    async def body(one: Watched) -> None:
        one.move_in("a.yaml", "kind: [")
        assert await one.change() == ([], [])
        (refused,) = (await one.folder.list()).refused
        assert str(refused).startswith(f"{tmp_path}/a.yaml:")

    watched(tmp_path, body)


def test_a_mount_is_swapped_as_kubernetes_does(tmp_path: Path) -> None:
    def version(name: str, host: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(route("one", host))

    version("..1", "a")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")

    async def body(one: Watched) -> None:
        version("..2", "b")
        (tmp_path / "..new").symlink_to("..2")
        os.replace(tmp_path / "..new", tmp_path / "..data")
        assert await one.change() == (["one"], [])
        assert (await one.folder.list()).resources[0].spec.hosts == ("b",)

    watched(tmp_path, body)


def test_a_folder_that_goes_and_comes_back(tmp_path: Path) -> None:
    root = tmp_path / "config"
    root.mkdir()
    (root / "a.yaml").write_text(route("one"))

    async def body(one: Watched) -> None:
        os.rename(root, tmp_path / "away")
        assert await one.change() == ([], [])
        assert await one.names() == ["one"]
        root.mkdir()
        one.move_in("b.yaml", route("two"))
        seen: set[str] = set()
        while "two" not in seen:
            seen |= set((await one.change())[0])
        while await one.names() != ["two"]:
            await one.change()
        one.move_in("c.yaml", route("three"))
        assert await one.change() == (["three"], [])

    watched(root, body)


def test_many_changes_at_once_are_few(tmp_path: Path) -> None:
    async def body(one: Watched) -> None:
        for number in range(200):
            one.move_in(f"{number}.yaml", route(f"r{number}"))
        changes = 0
        names: set[str] = set()
        while len(names) < 200:
            names |= set((await one.change())[0])
            changes += 1
        assert changes < 20

    watched(tmp_path, body)


def test_without_watches_of_the_kernel_the_clock_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(watcher.Kernel, "follow", full)

    async def body(one: Watched) -> None:
        one.move_in("a.yaml", route("one"))
        assert await one.change() == (["one"], [])

    watched(tmp_path, body)
    assert "looked at twice a second" in caplog.text


def test_who_falls_behind_must_list_again(tmp_path: Path) -> None:
    async def body(one: Watched) -> None:
        old = (await one.folder.list()).version
        for name in ("one", "two", "three"):
            one.move_in(f"{name}.yaml", route(name))
            await one.change()
        with pytest.raises(Gone):
            await anext(one.folder.watch(old))
        with pytest.raises(Gone):
            await anext(one.folder.watch("another life"))

    watched(tmp_path, body, history=History(most_changes=2))


def test_an_error_of_ours_reaches_who_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(one: Watched) -> None:
        def broken(paths: set[str]) -> None:
            raise RuntimeError("broken")

        version = (await one.folder.list()).version
        monkeypatch.setattr(one.folder._shelf, "look", broken)
        one.move_in("a.yaml", route("one"))
        with pytest.raises(RuntimeError, match="broken"):
            await anext(one.folder.watch(version))

    # Closing tells it as well.
    with pytest.raises(RuntimeError, match="broken"):
        watched(tmp_path, body)
