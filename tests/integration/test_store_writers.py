"""Writers of one folder: those that are killed lose nothing that was acknowledged, those that meet
lose nothing of each other."""

from __future__ import annotations

import random
import subprocess
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


def kill_writers(folder: Path, kills: int) -> None:
    folder.mkdir()
    (folder / "shared.yaml").write_text(SHARED)
    dice = random.Random(7)
    said = {"own": -1, "shared-1": -1, "shared-2": -1, "guest": -1}
    for _ in range(kills):
        first = max(said.values()) + 1
        writer = subprocess.Popen(
            configuration.command("write-for-ever", str(folder), str(first)),
            stdout=subprocess.PIPE,
            text=True,
            cwd=configuration.ROOT,
        )
        assert writer.stdout is not None
        with writer, writer.stdout:
            # It goes on writing while it is being killed: what it says last may be anywhere in it.
            for _ in range(dice.randint(1, 60)):
                name, number = writer.stdout.readline().split()
                said[name] = int(number)
            writer.kill()
            for line in writer.stdout:
                if line.endswith("\n"):
                    name, number = line.split()
                    said[name] = int(number)
        found = numbers(folder)
        newest = max(said.values())
        for name in ("own", "shared-1", "shared-2"):
            # What was acknowledged, or the one that was on its way.
            assert found.get(name, -1) in range(said[name], newest + 2), (name, found, said)
        if said["guest"] < 0:
            assert found.get("guest", -1) in {-1, newest, newest + 1}
        else:
            assert found.get("guest", said["guest"]) == said["guest"]
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
