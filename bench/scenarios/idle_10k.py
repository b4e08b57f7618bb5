"""Ten thousand connections that have carried one request each and now do nothing."""

from bench.idle_scenario import CONNECTIONS, IdleScenario
from bench.loads import Load
from bench.scenario import Bar
from bench.site import Setup


class Here(IdleScenario):
    name = "idle-10k"
    title = "memory of 10,000 idle keep-alive connections"
    setup = Setup(connections=CONNECTIONS + 1000)
    warm = Load(connections=16, path="/small", expect_body=12)
    held = Load(connections=CONNECTIONS, path="/small", expect_body=12)
    bars = (Bar("bytes_each", 6 * 1024),)
