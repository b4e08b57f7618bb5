"""The common shape of the HTTP/1.1 scenarios: saturate, then a fixed rate, with memory around."""

from typing import ClassVar

from bench.loadgen import Load
from bench.measure import Rig, sample, started, warm_up
from bench.peer import Peer
from bench.scenario import Figure, Round, Scenario
from bench.site import Setup
from bench.syscalls import per_request

MIB = 1024 * 1024
QUANTILES = {"p50": "p50", "p90": "p90", "p99": "p99", "p99_9": "p99.9"}

SATURATED = (
    Figure("cpu_us", "CPU per request, saturated", "µs"),
    Figure("user_us", "of that in user space", "µs"),
    Figure("rps", "requests per second, saturated", "1/s", 0),
)
FIXED_RATE = (
    Figure("rate_cpu_us", "CPU per request, fixed rate", "µs"),
    *(Figure(key, f"latency {name}, fixed rate", "µs", 0) for key, name in QUANTILES.items()),
)
AROUND = (
    Figure("rss_idle", "memory after start", "MiB"),
    Figure("rss_loaded", "memory after load", "MiB"),
    Figure("syscalls", "system calls per request", "", 2),
)


class HttpScenario(Scenario):
    """A saturating load, the same at a fixed rate, and what a request costs in system calls."""

    setup: ClassVar[Setup] = Setup()
    load: ClassVar[Load]
    paced: ClassVar[Load]
    figures = (*SATURATED, *FIXED_RATE, *AROUND)

    def measure(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        with started(rig, peer, self.setup) as proxy:
            if proxy.pid:
                result.put("rss_idle", proxy.rss() / MIB)
            warm_up(proxy, self.load)
            saturated = sample(proxy, self.load)
            result.put_rps("rps", saturated)
            paced = sample(proxy, self.paced)
            result.cores.append(paced.cores)
            for key in QUANTILES:
                result.put(key, paced.result.latency_us[key])
            if proxy.pid:
                result.put("cpu_us", saturated.cpu_us)
                result.put("user_us", saturated.user_us)
                result.put("rate_cpu_us", paced.cpu_us)
                result.put("rss_loaded", proxy.rss() / MIB)
        return result

    def once(self, rig: Rig, peer: Peer) -> Round:
        return syscalls_of(rig, peer, self.setup, self.load)


def syscalls_of(rig: Rig, peer: Peer, setup: Setup, load: Load) -> Round:
    result = Round()
    with started(rig, peer, setup) as proxy:
        if proxy.pid:
            warm_up(proxy, load)
            count = per_request(proxy, load)
            if count is None:
                result.notes.append("system calls not counted: strace is missing or not allowed")
            else:
                result.put("syscalls", count)
    return result
