"""A mesh: plain HTTP/1.1 to the client's sidecar, mutual TLS with HTTP/2 to the server's sidecar,
plain HTTP/1.1 to the origin server. Both sidecars are measured together."""

import contextlib
from collections.abc import Iterator, Mapping

from bench import hop
from bench.load_scenario import ADDED, FIXED_RATE, LoadScenario, add_latency, around, saturated
from bench.loads import Load
from bench.measure import Proxy, Rig, started_pair
from bench.peer import Peer
from bench.scenario import Bar, Round
from bench.site import Setup, Site, Wire

FRONT = Setup(downstream=Wire.H1, upstream=Wire.MTLS_H2)
BEHIND = Setup(downstream=Wire.MTLS_H2, upstream=Wire.H1)


class Here(LoadScenario):
    name = "mtls-pair"
    title = "two sidecars, 64 connections, 1 KiB body; 16 connections at 1,000/s"
    load = Load(connections=64, path="/1k", expect_body=1024)
    paced = Load(connections=16, path="/1k", expect_body=1024, rate=1000)
    figures = (*saturated(), *FIXED_RATE, *ADDED, *around())
    bars = (
        Bar("cpu_us", 0.35, "envoy"),
        Bar("rps", 3.0, "envoy", at_least=True),
        Bar("added_p50", 0.5, "envoy"),
        Bar("added_p99", 0.5, "envoy"),
    )

    def __init__(self) -> None:
        self._behind: Site | None = None

    @contextlib.contextmanager
    def start(self, rig: Rig, peer: Peer) -> Iterator[Proxy]:
        with started_pair(rig, peer, FRONT, BEHIND) as (pair, self._behind):
            yield pair

    def verify(self, proxy: Proxy, peer: Peer, result: Round) -> None:
        if proxy.pids and self._behind is not None:
            hop.verify(self._behind, peer, result)

    def compare(self, row: Mapping[str, Round]) -> None:
        add_latency(row)
