"""Ten thousand TLS connections with HTTP/2 that do nothing."""

from bench.idle_scenario import CONNECTIONS, IdleScenario
from bench.loads import H2Load
from bench.scenario import Bar
from bench.site import Setup, Wire


class Here(IdleScenario):
    name = "idle-tls-h2"
    title = "memory of 10,000 idle TLS connections with HTTP/2"
    setup = Setup(connections=CONNECTIONS + 1000, downstream=Wire.TLS_H2)
    warm = H2Load(connections=16, tls=True)
    held = H2Load(connections=CONNECTIONS, tls=True)
    bars = (Bar("bytes_each", 20 * 1024),)
