"""The common shape of the scenarios with large bodies: both ways, by the byte."""

from typing import ClassVar

from bench.load_scenario import MIB
from bench.loads import Load
from bench.measure import Rig, sample, started, warm_up
from bench.peer import Peer
from bench.scenario import Bar, Figure, Round, Scenario
from bench.site import Setup


class BodyScenario(Scenario):
    size: ClassVar[int]
    connections: ClassVar[int]
    figures = (
        Figure("down_cpu_us", "CPU per MiB downloaded", "µs"),
        Figure("down_rate", "download rate, saturated", "MiB/s", 0),
        Figure("up_cpu_us", "CPU per MiB uploaded", "µs"),
        Figure("up_rate", "upload rate, saturated", "MiB/s", 0),
        Figure("rss_loaded", "memory after load", "MiB"),
    )
    bars = (Bar("down_cpu_us", 1.0, "nginx"), Bar("up_cpu_us", 1.0, "nginx"))

    def measure(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        loads = {
            "down": Load(self.connections, path=f"/{self.size}", expect_body=self.size),
            "up": Load(self.connections, path="/upload", body_size=self.size),
        }
        mib = self.size / MIB
        with started(rig, peer, Setup()) as proxy:
            for way, load in loads.items():
                warm_up(proxy, load)
                one = sample(proxy, load)
                result.put_rps(f"{way}_rate", one)
                if f"{way}_rate" in result.figures:
                    result.figures[f"{way}_rate"] *= mib
                if proxy.pids:
                    result.put(f"{way}_cpu_us", one.cpu_us / mib)
            if proxy.pids:
                result.put("rss_loaded", proxy.rss() / MIB)
        return result
