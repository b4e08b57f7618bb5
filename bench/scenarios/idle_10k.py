"""Ten thousand connections that have carried one request each and now do nothing."""

from time import sleep

from bench import gates
from bench.http_scenario import MIB
from bench.loadgen import Load, LoadResult, idle_connections
from bench.measure import GateError, Rig, started, warm_up
from bench.peer import Peer
from bench.scenario import Bar, Figure, Round, Scenario
from bench.site import Setup

CONNECTIONS = 10_000
#: Time for a proxy to take buffers back.
SETTLE_SECONDS = 1.0
WARM_UP = Load(connections=16, path="/small", expect_body=12)


class Here(Scenario):
    name = "idle-10k"
    title = "memory of 10,000 idle keep-alive connections"
    needs_proxy = True
    figures = (
        Figure("bytes_each", "memory per idle connection", "bytes", 0),
        Figure("rss_before", "memory before", "MiB"),
        Figure("rss_with", "memory with 10,000 connections", "MiB"),
    )
    bars = (Bar("bytes_each", 6 * 1024),)

    def measure(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        with started(rig, peer, Setup(connections=CONNECTIONS + 1000)) as proxy:
            warm_up(proxy, WARM_UP)
            before = proxy.rss()
            with idle_connections(rig.generator, proxy.port, CONNECTIONS) as idle:
                require(idle.opened)
                sleep(SETTLE_SECONDS)
                held = proxy.rss()
                require(idle.close())
        result.put("rss_before", before / MIB)
        result.put("rss_with", held / MIB)
        result.put("bytes_each", (held - before) / CONNECTIONS)
        return result


def require(result: LoadResult) -> None:
    """Every connection answered, and none was lost."""
    if reason := gates.failure(result):
        raise GateError(reason)
