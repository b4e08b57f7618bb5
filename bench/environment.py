"""What a figure was measured on: without it a figure means nothing."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.errors import BenchError
from bench.peer import Peer


def describe(peers: Sequence[Peer]) -> dict[str, str]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} x {cpu_model(Path('/proc/cpuinfo').read_text())}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        **{peer.name: peer.version() for peer in peers},
    }


def cpu_model(cpuinfo: str) -> str:
    for line in cpuinfo.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def require_two_cores() -> None:
    if not {0, 1} <= os.sched_getaffinity(0):
        raise BenchError("cores 0 and 1 are needed: one for the proxy, one for the load")
