"""A thousand clusters with a route each: how soon it serves, and in how much memory."""

from bench.load_scenario import MIB
from bench.loads import Load
from bench.measure import Rig, started, warm_up
from bench.peer import Peer
from bench.scenario import Bar, Figure, Round, Scenario
from bench.site import Setup

CLUSTERS = 1000
SETUP = Setup(routes=CLUSTERS, clusters=CLUSTERS, connections=4 * CLUSTERS)
#: One connection, so that each cluster gets one too.
LOAD = Load(connections=1, path="/svc-{}/small", path_count=CLUSTERS, expect_body=12)


class Here(Scenario):
    name = "config-heavy"
    title = "1,000 clusters and routes"
    needs_proxy = True
    figures = (
        Figure("ready_s", "from exec to ready", "s", 3),
        Figure("config_s", "of that for the configuration (less a start with one cluster)", "s", 3),
        Figure("rss_idle", "memory after start", "MiB"),
        Figure("rss_loaded", "memory after a request to each", "MiB"),
    )
    bars = (Bar("config_s", 0.3), Bar("rss_idle", 60))

    def measure(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        with started(rig, peer, Setup()) as proxy:
            bare_seconds = proxy.ready_seconds
        with started(rig, peer, SETUP) as proxy:
            result.put("ready_s", proxy.ready_seconds)
            result.put("config_s", max(0.0, proxy.ready_seconds - bare_seconds))
            result.put("rss_idle", proxy.rss() / MIB)
            warm_up(proxy, LOAD)
            result.put("rss_loaded", proxy.rss() / MIB)
        return result
