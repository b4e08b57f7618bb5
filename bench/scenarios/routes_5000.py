"""The same requests through one route and through 5,000: what finding a route costs."""

from bench.load_scenario import MIB
from bench.loads import Load
from bench.measure import Rig, sample, started, warm_up
from bench.peer import Peer
from bench.scenario import Bar, Figure, Round, Scenario
from bench.site import Setup

ROUTES = 5000
LOAD = Load(connections=64, path="/svc-{}/small", path_count=ROUTES, expect_body=12)


class Here(Scenario):
    name = "routes-5000"
    title = "5,000 prefix routes, requests over all of them, against one route"
    needs_proxy = True
    figures = (
        Figure("one_cpu_us", "CPU per request, one route", "µs"),
        Figure("many_cpu_us", "CPU per request, 5,000 routes", "µs"),
        Figure("cost", "5,000 routes over one", "x", 2),
        Figure("rss_idle", "memory after start, 5,000 routes", "MiB"),
        Figure("rss_loaded", "memory after load, 5,000 routes", "MiB"),
    )
    bars = (Bar("cost", 1.1), Bar("rss_loaded", 45))

    def measure(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        with started(rig, peer, Setup()) as proxy:
            warm_up(proxy, LOAD)
            one = sample(proxy, LOAD)
        with started(rig, peer, Setup(routes=ROUTES)) as proxy:
            result.put("rss_idle", proxy.rss() / MIB)
            warm_up(proxy, LOAD)
            many = sample(proxy, LOAD)
            result.put("rss_loaded", proxy.rss() / MIB)
        result.cores += [one.cores, many.cores]
        result.put("one_cpu_us", one.cpu_us)
        result.put("many_cpu_us", many.cpu_us)
        result.put("cost", many.cpu_us / one.cpu_us)
        return result
