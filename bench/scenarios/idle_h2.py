"""Ten thousand HTTP/2 connections, without TLS, that do nothing."""

from bench.idle_scenario import CONNECTIONS, IdleScenario
from bench.loads import H2Load
from bench.scenario import Bar
from bench.site import Setup, Wire


class Here(IdleScenario):
    name = "idle-h2"
    title = "memory of 10,000 idle HTTP/2 connections"
    setup = Setup(connections=CONNECTIONS + 1000, downstream=Wire.H2)
    warm = H2Load(connections=16)
    held = H2Load(connections=CONNECTIONS)
    bars = (Bar("bytes_each", 20 * 1024),)
