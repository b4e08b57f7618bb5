"""A connection for every request, as clients without keep-alive make them."""

from bench.http_scenario import SATURATED, syscalls_of
from bench.loadgen import Load
from bench.measure import Rig, sample, started, warm_up
from bench.peer import Peer
from bench.scenario import Figure, Round, Scenario
from bench.site import Setup

LOAD = Load(connections=16, path="/small", expect_body=12, new_connections=True)


class Here(Scenario):
    name = "h1-new-connections"
    title = "16 at a time, 12-byte body, a new connection each"
    figures = (*SATURATED, Figure("syscalls", "system calls per request", "", 2))

    def measure(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        with started(rig, peer, Setup()) as proxy:
            warm_up(proxy, LOAD)
            one = sample(proxy, LOAD)
            result.put_rps("rps", one)
            if proxy.pid:
                result.put("cpu_us", one.cpu_us)
                result.put("user_us", one.user_us)
        return result

    def once(self, rig: Rig, peer: Peer) -> Round:
        return syscalls_of(rig, peer, Setup(), LOAD)
