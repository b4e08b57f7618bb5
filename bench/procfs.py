"""Reads what processes and cores cost out of /proc."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """CPU time of processes, in µs: `total` is exact, the others come in ticks of 10 ms."""

    total: float
    user: float
    system: float

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(
            self.total - earlier.total, self.user - earlier.user, self.system - earlier.system
        )

    def __add__(self, other: "Cpu") -> "Cpu":
        return Cpu(self.total + other.total, self.user + other.user, self.system + other.system)


NO_CPU = Cpu(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Core:
    """What a core has done since boot, in ticks."""

    busy: int
    idle: int

    def share_since(self, earlier: "Core") -> float:
        busy, idle = self.busy - earlier.busy, self.idle - earlier.idle
        return busy / (busy + idle) if busy + idle else 0.0


def parse_stat(text: str) -> tuple[int, int]:
    """The (utime, stime) ticks of /proc/PID/stat, reaped children's included; the command name may
    hold spaces and brackets."""
    fields = text.rpartition(")")[2].split()
    utime, stime, children_utime, children_stime = (int(field) for field in fields[11:15])
    return utime + children_utime, stime + children_stime


def parse_cores(text: str) -> dict[int, Core]:
    """The cores of /proc/stat."""
    cores = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if not name.startswith("cpu") or name == "cpu":
            continue
        # user nice system idle iowait irq softirq steal
        ticks = [int(field) for field in rest.split()[:8]]
        idle = ticks[3] + ticks[4]
        cores[int(name[3:])] = Core(busy=sum(ticks) - idle, idle=idle)
    return cores


def parse_rss(text: str) -> int:
    """VmRSS of /proc/PID/status, in bytes; 0 for a process without memory (a zombie)."""
    for line in text.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    try:
        children = (PROC / str(pid) / "task" / str(pid) / "children").read_text()
        threads = [task.name for task in (PROC / str(pid) / "task").iterdir()]
        for thread in threads:
            if thread != str(pid):
                children += " " + (PROC / str(pid) / "task" / thread / "children").read_text()
    except FileNotFoundError:
        return [pid]
    return [pid, *(one for child in children.split() for one in family(int(child)))]


def cpu(pid: int) -> Cpu:
    """CPU time of the process and its descendants, their ended threads included."""
    total = NO_CPU
    for member in family(pid):
        user, system = parse_stat((PROC / str(member) / "stat").read_text())
        # The clock of another process: clock_getcpuclockid(3) computes it like this.
        exact = time.clock_gettime_ns((~member << 3) | 2) / 1000
        total += Cpu(exact, user * TICK_US, system * TICK_US)
    return total


def cpu_of(pids: Iterable[int]) -> Cpu:
    return sum((cpu(pid) for pid in pids), NO_CPU)


def rss(pid: int) -> int:
    """Resident memory of the process and its descendants, in bytes. Shared pages count for each."""
    return sum(parse_rss((PROC / str(member) / "status").read_text()) for member in family(pid))


def cores() -> dict[int, Core]:
    return parse_cores((PROC / "stat").read_text())
