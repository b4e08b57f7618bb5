"""examples/: what `make demo` and the README show is taken by us, and by the stock Envoy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from controlplane.commands import analyze
from mesh.demo.certificates import Authority
from tests.support.proxies import ENVOY, OURS, REPO, command


@pytest.mark.parametrize("kind", [OURS, ENVOY])
@pytest.mark.parametrize("example", ["envoy", "frontend", "backend"])
def test_is_valid(kind: str, example: str, tmp_path: Path) -> None:
    shutil.copytree(REPO / "examples", tmp_path / "examples")
    authority = Authority(tmp_path / "certificates")
    for name in ("frontend", "backend"):
        authority.workload(name)
    argv = command(kind, Path("examples", f"{example}.yaml"), "--mode", "validate")
    done = subprocess.run(
        argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("example", ["hello.yaml", "bookinfo"])
def test_a_mesh_has_nothing_to_find(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert analyze.main([str(REPO / "examples" / example)]) == 0
    out, error = capsys.readouterr()
    assert out == ""
    assert "No validation issues found" in error
