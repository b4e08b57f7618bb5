"""How many workers to run when nobody says: what this process may really use."""

from __future__ import annotations

import os


def default_concurrency(root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> int:
    """The least of the CPUs we may run on and the cgroup's CPU quota, rounded down; at least 1."""
    cpus = len(os.sched_getaffinity(0))
    quota = cgroup_quota(root, own)
    return max(1, cpus if quota is None else min(cpus, int(quota)))


def cgroup_quota(root: str, own: str) -> float | None:
    """CPUs that the tightest cgroup (v2, or v1's cpu controller) around us allows, or None."""
    limits = []
    for line in _read(own).splitlines():
        hierarchy, controllers, path = line.split(":", 2)
        if hierarchy == "0":
            limits += _limits(root, path, _v2)
        elif "cpu" in controllers.split(","):
            limits += _limits(os.path.join(root, "cpu"), path, _v1)
    return min(limits, default=None)


def _limits(root: str, path: str, read: object) -> list[float]:
    """The limit of the group and of every group above it. Inside a container the path is often
    the host's; then the root is our own group."""
    assert callable(read)
    parts = [part for part in path.split("/") if part]
    groups = [os.path.join(root, *parts[:depth]) for depth in range(len(parts) + 1)]
    return [limit for group in groups if (limit := read(group)) is not None]


def _v2(group: str) -> float | None:
    words = _read(os.path.join(group, "cpu.max")).split()
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _v1(group: str) -> float | None:
    quota = _read(os.path.join(group, "cpu.cfs_quota_us")).strip()
    period = _read(os.path.join(group, "cpu.cfs_period_us")).strip()
    if not quota or not period or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
