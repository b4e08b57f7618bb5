"""The common shape of most scenarios: saturate, then a fixed rate if there is one, with memory
around, and what a request costs in system calls."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from bench.loads import AnyLoad, Load
from bench.measure import Proxy, Rig, sample, started, warm_up
from bench.peer import Peer
from bench.scenario import Figure, Round, Scenario
from bench.site import Setup
from bench.syscalls import per_request

MIB = 1024 * 1024
QUANTILES = {"p50": "p50", "p90": "p90", "p99": "p99", "p99_9": "p99.9"}


def saturated(unit: str = "request") -> tuple[Figure, ...]:
    return (
        Figure("cpu_us", f"CPU per {unit}, saturated", "µs"),
        Figure("user_us", "of that in user space", "µs"),
        Figure("rps", f"{unit}s per second, saturated", "1/s", 0),
    )


def around(unit: str = "request") -> tuple[Figure, ...]:
    return (
        Figure("rss_idle", "memory after start", "MiB"),
        Figure("rss_loaded", "memory after load", "MiB"),
        Figure("syscalls", f"system calls per {unit}", "", 2),
    )


FIXED_RATE = (
    Figure("rate_cpu_us", "CPU per request, fixed rate", "µs"),
    *(Figure(key, f"latency {name}, fixed rate", "µs", 0) for key, name in QUANTILES.items()),
)
ADDED = (
    Figure("added_p50", "added latency p50, 1,000/s", "µs", 0),
    Figure("added_p99", "added latency p99, 1,000/s", "µs", 0),
)


class LoadScenario(Scenario):
    """A saturating load, and the same or another at a fixed rate."""

    setup: ClassVar[Setup] = Setup()
    load: ClassVar[AnyLoad]
    paced: ClassVar[Load | None] = None
    figures = (*saturated(), *FIXED_RATE, *around())

    def start(self, rig: Rig, peer: Peer) -> AbstractContextManager[Proxy]:
        return started(rig, peer, self.setup)

    def verify(self, proxy: Proxy, peer: Peer, result: Round) -> None:
        """Is the peer, now warm, what it is to be? Raises `GateError` or adds a note."""

    def measure(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        with self.start(rig, peer) as proxy:
            if proxy.pids:
                result.put("rss_idle", proxy.rss() / MIB)
            warm_up(proxy, self.load)
            self.verify(proxy, peer, result)
            full = sample(proxy, self.load)
            result.put_rps("rps", full)
            if proxy.pids:
                result.put("cpu_us", full.cpu_us)
                result.put("user_us", full.user_us)
            if self.paced is not None:
                fixed_rate(proxy, self.paced, result)
            if proxy.pids:
                result.put("rss_loaded", proxy.rss() / MIB)
        return result

    def once(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        with self.start(rig, peer) as proxy:
            if proxy.pids:
                warm_up(proxy, self.load)
                count = per_request(proxy, self.load)
                if count is None:
                    result.notes.append(
                        "system calls not counted: strace is missing or not allowed"
                    )
                else:
                    result.put("syscalls", count)
        return result


def fixed_rate(proxy: Proxy, load: Load, result: Round) -> None:
    paced = sample(proxy, load)
    result.cores.append(paced.cores)
    for key in QUANTILES:
        result.put(key, paced.result.latency_us[key])
    if proxy.pids:
        result.put("rate_cpu_us", paced.cpu_us)


def add_latency(row: Mapping[str, Round]) -> None:
    """What each peer adds to the latency of the same round without a proxy."""
    direct = row.get("direct")
    if direct is None:
        return
    for name, result in row.items():
        if name == "direct":
            continue
        for key in ("p50", "p99"):
            result.put(f"added_{key}", result.figures[key] - direct.figures[key])
