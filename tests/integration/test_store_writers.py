"""Writers of one folder: those that are killed lose nothing that was acknowledged, those that meet
lose nothing of each other."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.sources.store import Store
from tests.support import configuration
from tests.support.kinds import KINDS, route

SHARED = (
    f"# Ours: {'x' * 200}\n{route('shared-1', 'h-1')}# between\n---\n{route('shared-2', 'h-1')}"
)


def numbers(folder: Path) -> dict[str, int]:
    store = Store(str(folder), KINDS)
    found = {one.key.name: int(one.object()["spec"]["hosts"][0][1:]) for one in store.read()}
    assert store.refused() == []
    return found


def steps(first: int) -> Iterator[tuple[str, int]]:
    """What `write_for_ever` does and says, in order; -1 is a removal."""
    for number in itertools.count(first):
        for name in ("own", "shared-1", "shared-2", "guest"):
            yield name, number
        yield "guest", -1


def after(state: dict[str, int], step: tuple[str, int]) -> dict[str, int]:
    name, number = step
    kept = {other: value for other, value in state.items() if other != name}
    return kept if number < 0 else {**kept, name: number}


def kill_writers(folder: Path, kills: int) -> None:
    folder.mkdir()
    (folder / "shared.yaml").write_text(SHARED)
    dice = random.Random(7)
    state = numbers(folder)
    for _ in range(kills):
        first = max(state.values()) + 1
        todo = steps(first)
        writer = subprocess.Popen(
            configuration.command("write-for-ever", str(folder), str(first)),
            stdout=subprocess.PIPE,
            text=True,
            cwd=configuration.ROOT,
        )
        assert writer.stdout is not None
        with writer, writer.stdout:
            # It goes on writing while it is being killed: what it says last may be anywhere in it.
            said = [writer.stdout.readline() for _ in range(dice.randint(1, 60))]
            writer.kill()
            said += [line for line in writer.stdout if line.endswith("\n")]
        for line in said:
            step = next(todo)
            assert line.split() == [step[0], str(step[1])]
            state = after(state, step)
        found = numbers(folder)
        # What was acknowledged, and perhaps the one that was on its way.
        assert found in (state, after(state, next(todo)))
        state = found
        assert (folder / "shared.yaml").read_text().startswith(SHARED[:200])
        assert "# between\n---\n" in (folder / "shared.yaml").read_text()
    # What the killed have left is removed by the next that writes there.
    assert (
        configuration.mesh(
            "apply", "--config", str(folder), "-f", "-", text=route("own")
        ).returncode
        == 0
    )
    left = [path.name for path in folder.rglob(".*") if path.name != ".lock"]
    assert len(left) <= 1


def test_what_is_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    kill_writers(tmp_path / "config", 30)


@pytest.mark.slow
def test_what_is_acknowledged_survives_1000_kill_9(tmp_path: Path) -> None:
    kill_writers(tmp_path / "config", 1_000)


def test_writers_lose_nothing_of_each_other(tmp_path: Path) -> None:
    names = [f"writer-{number}" for number in range(4)]
    text = "---\n".join(route(name, "h-1") for name in ["counter", *names])
    (tmp_path / "all.yaml").write_text(text)
    running = [
        subprocess.Popen(
            configuration.command("count", str(tmp_path), "25", name), cwd=configuration.ROOT
        )
        for name in names
    ]
    assert [one.wait(timeout=120) for one in running] == [0, 0, 0, 0]
    assert numbers(tmp_path) == {"counter": 99, **dict.fromkeys(names, 24)}
