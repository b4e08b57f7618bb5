"""mesh.config.concurrency"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mesh.config.concurrency import cgroup_quota, default_concurrency


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_tightest_group_of_v2_counts(tmp_path: Path) -> None:
    write(tmp_path / "own", "0::/kubepods/pod/container\n")
    write(tmp_path / "fs/kubepods/cpu.max", "max 100000\n")
    write(tmp_path / "fs/kubepods/pod/cpu.max", "250000 100000\n")
    write(tmp_path / "fs/kubepods/pod/container/cpu.max", "400000 100000\n")
    assert cgroup_quota(str(tmp_path / "fs"), str(tmp_path / "own")) == 2.5


def test_v1(tmp_path: Path) -> None:
    write(tmp_path / "own", "4:memory:/a\n3:cpu,cpuacct:/a\n")
    write(tmp_path / "fs/cpu/a/cpu.cfs_quota_us", "50000\n")
    write(tmp_path / "fs/cpu/a/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "fs/cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "fs/cpu/cpu.cfs_period_us", "100000\n")
    assert cgroup_quota(str(tmp_path / "fs"), str(tmp_path / "own")) == 0.5


def test_no_cgroup(tmp_path: Path) -> None:
    assert cgroup_quota(str(tmp_path), str(tmp_path / "none")) is None


@pytest.mark.parametrize(("quota", "workers"), [("50000", 1), ("290000", 2), ("max", 8)])
def test_quota_is_rounded_down_but_never_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    write(tmp_path / "own", "0::/\n")
    write(tmp_path / "cpu.max", f"{quota} 100000\n")
    assert default_concurrency(str(tmp_path), str(tmp_path / "own")) == workers
