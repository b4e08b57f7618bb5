"""The common shape of the scenarios with idle connections: each has carried one request and now
does nothing."""

from time import sleep
from typing import ClassVar

from bench import gates
from bench.load_scenario import MIB
from bench.loadgen import LoadResult, idle_connections
from bench.loads import AnyLoad
from bench.measure import GateError, Rig, started, warm_up
from bench.peer import Peer
from bench.scenario import Figure, Round, Scenario
from bench.site import Setup

CONNECTIONS = 10_000
#: Time for a proxy to take buffers back.
SETTLE_SECONDS = 1.0


class IdleScenario(Scenario):
    needs_proxy = True
    figures = (
        Figure("bytes_each", "memory per idle connection", "bytes", 0),
        Figure("rss_before", "memory before", "MiB"),
        Figure("rss_with", "memory with 10,000 connections", "MiB"),
    )
    setup: ClassVar[Setup]
    warm: ClassVar[AnyLoad]
    #: The connections to hold.
    held: ClassVar[AnyLoad]

    def measure(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        with started(rig, peer, self.setup) as proxy:
            warm_up(proxy, self.warm)
            before = proxy.rss()
            with idle_connections(rig.generator, proxy.port, self.held) as idle:
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
    if result.ok < CONNECTIONS:
        raise GateError(f"only {result.ok} of {CONNECTIONS} connections answered")
