"""mesh.config.load"""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh import engine
from mesh.config import flags, load


def test_yaml_of_the_command_line_goes_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "envoy.yaml"
    path.write_text('{"node": {"id": "file"}, "clusters": [{"name": "c"}]}')
    options = flags.parse(["-c", str(path), "--config-yaml", '{"node": {"id": "flag"}}'])
    loaded = load.bootstrap(options)
    assert loaded.node_id == "flag"
    assert [name for name, _ in loaded.static_clusters] == ["c"]


def test_yaml_of_the_command_line_alone() -> None:
    options = flags.parse(["--config-yaml", '{"node": {"id": "flag"}}'])
    assert load.bootstrap(options).node_id == "flag"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(load.Unreadable, match=r"none\.yaml: No such file or directory"):
        load.bootstrap(flags.parse(["-c", str(tmp_path / "none.yaml")]))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(load.MAX_FILE + 1)
    with pytest.raises(load.Unreadable, match="larger than"):
        load.bootstrap(flags.parse(["-c", str(path)]))


def test_a_broken_file_says_where(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("{")
    with pytest.raises(engine.ConfigError, match=r"broken.yaml:1:1"):
        load.bootstrap(flags.parse(["-c", str(path)]))
