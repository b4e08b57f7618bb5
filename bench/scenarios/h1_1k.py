"""Istio's own test load: 1 KB on 16 connections, 1,000 requests per second for the latency."""

from collections.abc import Mapping

from bench.load_scenario import ADDED, LoadScenario, add_latency
from bench.loads import Load
from bench.scenario import Bar, Round


class Here(LoadScenario):
    name = "h1-1k"
    title = "16 connections, 1 KiB body; fixed rate 1,000/s"
    load = Load(connections=16, path="/1k", expect_body=1024)
    paced = Load(connections=16, path="/1k", expect_body=1024, rate=1000)
    figures = (*LoadScenario.figures, *ADDED)
    bars = (
        Bar("cpu_us", 1.0, "nginx"),
        Bar("cpu_us", 0.28, "envoy"),
        Bar("rate_cpu_us", 1.0, "nginx"),
        Bar("added_p50", 0.5, "envoy"),
        Bar("added_p99", 0.5, "envoy"),
    )

    def compare(self, row: Mapping[str, Round]) -> None:
        add_latency(row)
