"""The proxy ends TLS, as at a gateway: HTTP/1.1 inside it, and plain to the origin server."""

from bench.load_scenario import LoadScenario
from bench.loads import Load
from bench.scenario import Bar
from bench.site import Setup, Wire


class Here(LoadScenario):
    name = "tls-h1"
    title = "TLS 1.3, 64 connections, 1 KiB body; fixed rate 5,000/s"
    needs_proxy = True
    setup = Setup(downstream=Wire.TLS_H1)
    load = Load(connections=64, path="/1k", expect_body=1024, tls=True)
    paced = Load(connections=64, path="/1k", expect_body=1024, tls=True, rate=5000)
    bars = (Bar("cpu_us", 1.0, "nginx"), Bar("cpu_us", 0.35, "envoy"))
