"""Istio's own test load: 1 KB on 16 connections, 1,000 requests per second for the latency."""

from collections.abc import Mapping

from bench.http_scenario import HttpScenario
from bench.loadgen import Load
from bench.scenario import Bar, Figure, Round

ADDED = (
    Figure("added_p50", "added latency p50, 1,000/s", "µs", 0),
    Figure("added_p99", "added latency p99, 1,000/s", "µs", 0),
)


class Here(HttpScenario):
    name = "h1-1k"
    title = "16 connections, 1 KiB body; fixed rate 1,000/s"
    load = Load(connections=16, path="/1k", expect_body=1024)
    paced = Load(connections=16, path="/1k", expect_body=1024, rate=1000)
    figures = (*HttpScenario.figures, *ADDED)
    bars = (
        Bar("cpu_us", 1.0, "nginx"),
        Bar("cpu_us", 0.28, "envoy"),
        Bar("rate_cpu_us", 1.0, "nginx"),
        Bar("added_p50", 0.5, "envoy"),
        Bar("added_p99", 0.5, "envoy"),
    )

    def compare(self, row: Mapping[str, Round]) -> None:
        """What a peer adds to the latency of the same round without a proxy."""
        direct = row.get("direct")
        if direct is None:
            return
        for name, result in row.items():
            if name == "direct":
                continue
            for key in ("p50", "p99"):
                result.put(f"added_{key}", result.figures[key] - direct.figures[key])
