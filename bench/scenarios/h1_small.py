"""Small answers on many connections: what a request costs when nothing else does."""

from bench.load_scenario import LoadScenario
from bench.loads import Load
from bench.scenario import Bar


class Here(LoadScenario):
    name = "h1-small"
    title = "64 connections, 12-byte body; fixed rate 5,000/s"
    load = Load(connections=64, path="/small", expect_body=12)
    paced = Load(connections=64, path="/small", expect_body=12, rate=5000)
    bars = (
        Bar("cpu_us", 1.0, "nginx"),
        Bar("cpu_us", 0.28, "envoy"),
        Bar("rate_cpu_us", 1.0, "nginx"),
        Bar("rps", 1.0, "nginx", at_least=True),
        Bar("rps", 3.5, "envoy", at_least=True),
        Bar("rss_idle", 30),
    )
