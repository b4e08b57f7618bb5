"""Ten thousand TLS connections with HTTP/1.1 that do nothing."""

from bench.idle_scenario import CONNECTIONS, IdleScenario
from bench.loads import Load
from bench.scenario import Bar
from bench.site import Setup, Wire


class Here(IdleScenario):
    name = "idle-tls-h1"
    title = "memory of 10,000 idle TLS connections with HTTP/1.1"
    setup = Setup(connections=CONNECTIONS + 1000, downstream=Wire.TLS_H1)
    warm = Load(connections=16, path="/small", expect_body=12, tls=True)
    held = Load(connections=CONNECTIONS, path="/small", expect_body=12, tls=True)
    bars = (Bar("bytes_each", 12 * 1024),)
