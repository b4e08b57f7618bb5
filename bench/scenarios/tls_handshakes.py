"""TLS 1.3 handshakes and nothing else, with a P-256 certificate: full ones, then resumed ones."""

from bench.loads import HandshakeLoad
from bench.measure import Rig, sample, started, warm_up
from bench.peer import Peer
from bench.scenario import Bar, Figure, Round, Scenario
from bench.site import Setup, Wire

SETUP = Setup(downstream=Wire.TLS_H1)
CONNECTIONS = 32
SECOND_US = 1e6


class Here(Scenario):
    name = "tls-handshakes"
    title = "32 at a time: connect, handshake, close"
    needs_proxy = True
    figures = (
        Figure("full_per_core_s", "full handshakes per core-second", "1/s", 0),
        Figure("full_cpu_us", "CPU per full handshake", "µs"),
        Figure("full_rate", "full handshakes per second, saturated", "1/s", 0),
        Figure("resumed_per_core_s", "resumed handshakes per core-second", "1/s", 0),
        Figure("resumed_cpu_us", "CPU per resumed handshake", "µs"),
        Figure("resumed_rate", "resumed handshakes per second, saturated", "1/s", 0),
    )
    bars = (Bar("full_per_core_s", 1.3, "envoy", at_least=True),)

    def measure(self, rig: Rig, peer: Peer) -> Round:
        result = Round()
        with started(rig, peer, SETUP) as proxy:
            for kind in ("full", "resumed"):
                load = HandshakeLoad(CONNECTIONS, resumed=kind == "resumed")
                warm_up(proxy, load)
                one = sample(proxy, load)
                result.put_rps(f"{kind}_rate", one)
                result.put(f"{kind}_cpu_us", one.cpu_us)
                result.put(f"{kind}_per_core_s", SECOND_US / one.cpu_us)
        return result
