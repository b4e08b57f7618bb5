"""What is measured of a control plane, and how."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from bench import procfs
from bench.control.process import Process
from bench.errors import BenchError
from bench.processes import LOAD_CORE, PROXY_CORE

MIB = 1024 * 1024


@dataclass(frozen=True)
class Setup:
    """The mesh that is measured."""

    stage: str
    services: int
    endpoints: int
    sidecars: int
    connections: int
    #: Seconds of quiet before a push.
    debounce: float
    changes: int
    #: `tls`: with certificates on both sides; `plaintext`.
    security: str


@dataclass(frozen=True)
class Figures:
    """Seconds and bytes."""

    #: With everything translated and no sidecar connected.
    base_rss: int
    #: With all of them connected.
    steady_rss: int
    #: The most while all came back at once.
    peak_rss: int
    #: Until the last of them had all its state: at the first time, and when all came back.
    first_connect: float
    reconnect: float
    #: Change of one endpoint until the last sidecar had acknowledged it, the debounce included.
    change_median: float
    change_worst: float
    #: CPU time of the control plane for one such change.
    change_cpu: float

    def per_sidecar(self, sidecars: int) -> float:
        """Bytes of memory."""
        return (self.steady_rss - self.base_rss) / sidecars


def measure(setup: Setup) -> Figures:
    """Raises BenchError if not every sidecar gets everything."""
    arguments = (setup.stage, setup.services, setup.endpoints, setup.debounce, setup.security)
    with Process(PROXY_CORE, "bench.control.stage", *arguments) as stage:
        port = stage.read()["port"]
        # The translation is done when the first has come: it is not of the others' making.
        with _sidecars(replace(setup, sidecars=1, connections=1), port) as sidecars:
            sidecars.read()
        base = procfs.rss(stage.pid)
        with _sidecars(setup, port) as sidecars:
            first = sidecars.read()["last"]
            _all_synced(stage, setup)
            steady = procfs.rss(stage.pid)
            seconds, cpu = [], []
            for _ in range(setup.changes):
                before = procfs.cpu(stage.pid)
                answer = stage.ask(do="change", timeout=30.0)
                if answer["synced"] != setup.sidecars:
                    raise BenchError(f"not every sidecar followed a change: {answer}")
                seconds.append(answer["seconds"])
                cpu.append((procfs.cpu(stage.pid) - before).total / 1e6)
        _forget_peak(stage.pid)
        with _sidecars(setup, port) as sidecars:
            again = sidecars.read()["last"]
            _all_synced(stage, setup)
            peak = _peak(stage.pid)
    return Figures(
        base_rss=base,
        steady_rss=steady,
        peak_rss=peak,
        first_connect=first,
        reconnect=again,
        change_median=statistics.median(seconds),
        change_worst=max(seconds),
        change_cpu=statistics.median(cpu),
    )


def _sidecars(setup: Setup, port: int) -> Process:
    arguments = (port, setup.sidecars, setup.connections, setup.security)
    return Process(LOAD_CORE, "bench.control.sidecars", *arguments)


def _all_synced(stage: Process, setup: Setup) -> None:
    answer = stage.ask(do="status", timeout=10.0)
    if answer != {"proxies": setup.sidecars, "states": ["SYNCED"]}:
        raise BenchError(f"not every sidecar has its state: {answer}")


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"no VmHWM of process {pid}")
