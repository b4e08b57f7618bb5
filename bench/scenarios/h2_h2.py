"""HTTP/2 on both sides, without TLS, by prior knowledge."""

from bench.load_scenario import LoadScenario, around, saturated
from bench.loads import H2Load
from bench.scenario import Bar
from bench.site import Setup, Wire


class Here(LoadScenario):
    name = "h2-h2"
    title = "8 connections with 8 streams each, 1 KiB body; HTTP/2 to the origin server"
    setup = Setup(downstream=Wire.H2, upstream=Wire.H2)
    load = H2Load(connections=8, streams=8, path="/1k", expect_body=1024)
    figures = (*saturated(), *around())
    bars = (Bar("cpu_us", 0.5, "envoy"),)
