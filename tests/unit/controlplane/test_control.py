"""controlplane.control: what is refused and warned of is said once."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from controlplane.control import Control, Settings
from tests.support.playing import played

ODD = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: odd}
spec:
  action: DENY
  rules: [{to: [{operation: {methods: [GET]}}]}]
"""
BAD = "---\napiVersion: v1\nkind: Service\nmetadata: {name: Bad_Name}\nspec: {ports: [{port: 1}]}\n"


async def follows(control: Control, path: Path, text: str) -> None:
    """Until the file has been read."""
    revision = control.world.revision
    beside = path.with_name(".new")
    beside.write_text(text)
    beside.replace(path)
    while control.world.revision == revision:
        await asyncio.sleep(0.005)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path


def test_each_line_is_said_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "controlplane.control")
    path = folder / "config/a.yaml"
    path.write_text(ODD + BAD)

    @played
    async def play() -> None:
        async with Control(Settings(folder / "config", folder / "state")) as control:
            said = [one.getMessage() for one in caplog.records]
            assert len(said) == 2
            assert said[0].startswith(f"refused: {folder}/config/a.yaml:")
            assert "warning: has attributes of HTTP only" in said[1]
            # Read anew, because something else in it has changed.
            more = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n"
            await follows(control, path, ODD + BAD + more)
            assert len(caplog.records) == 2
            assert (len(control.refused), len(control.warnings)) == (1, 1)
            await follows(control, path, more)
            assert (control.refused, control.warnings) == ((), ())
            # It was away: it is news.
            await follows(control, path, ODD)
            assert len(caplog.records) == 3

    play()


def test_a_folder_of_state_has_one_control_plane(folder: Path) -> None:
    """Two would each take what the other is writing for left over."""

    @played
    async def play() -> None:
        settings = Settings(folder / "config", folder / "state")
        async with Control(settings):
            with pytest.raises(RuntimeError, match="another control plane uses this folder"):
                async with Control(settings):
                    pass
        async with Control(settings):
            pass

    play()
