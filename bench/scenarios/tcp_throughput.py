"""Plain TCP in bulk, one way and then the other."""

from bench.load_scenario import MIB
from bench.loads import TcpLoad
from bench.measure import Rig, sample, started, warm_up
from bench.peer import Peer
from bench.scenario import Bar, Figure, Round, Scenario
from bench.site import Setup, Wire

SIZE = 16 * MIB
GB = 1e9
SETUP = Setup(downstream=Wire.TCP, upstream=Wire.TCP)


class Here(Scenario):
    name = "tcp-throughput"
    title = "4 connections, transfers of 16 MiB, down and up"
    figures = (
        Figure("down_cpu_ms", "CPU per GB downloaded", "ms"),
        Figure("down_rate", "download rate, saturated", "MB/s", 0),
        Figure("up_cpu_ms", "CPU per GB uploaded", "ms"),
        Figure("up_rate", "upload rate, saturated", "MB/s", 0),
        Figure("rss_loaded", "memory after load", "MiB"),
    )
    bars = (Bar("down_cpu_ms", 1.0, "haproxy"), Bar("up_cpu_ms", 1.0, "haproxy"))

    def measure(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        with started(rig, peer, SETUP) as proxy:
            for way in ("down", "up"):
                load = TcpLoad(connections=4, size=SIZE, up=way == "up")
                warm_up(proxy, load)
                one = sample(proxy, load)
                result.put_rps(f"{way}_rate", one)
                if f"{way}_rate" in result.figures:
                    result.figures[f"{way}_rate"] *= SIZE / 1e6
                if proxy.pids:
                    result.put(f"{way}_cpu_ms", one.cpu_us / SIZE * GB / 1e3)
            if proxy.pids:
                result.put("rss_loaded", proxy.rss() / MIB)
        return result
