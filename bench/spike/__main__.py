"""Measures the spike's loops in turns with a product: `python -m bench.spike [rounds] [h1|h2]`.

h1: the three I/O layers and nginx (ADR 0001). h2: the two codecs, the whole sidecar and Envoy (ADR
0003).
"""

import subprocess
import sys
from pathlib import Path

from bench import loadgen, runner, table
from bench.cli import tell
from bench.environment import describe
from bench.load_scenario import LoadScenario
from bench.loads import Load
from bench.measure import Rig
from bench.paths import CACHE
from bench.peer import Peer
from bench.peers.envoy import Here as Envoy
from bench.peers.nginx import Here as Nginx
from bench.peers.ours import Here as Ours
from bench.scenario import Scenario
from bench.scenarios.grpc_unary import Here as Calls
from bench.scenarios.h1_1m import Here as Bodies
from bench.scenarios.h2_h2 import Here as Streams
from bench.site import Site

TARGET = CACHE / "spike-target"


class Loop(Peer):
    """One of the binaries in `src/bin/`."""

    def __init__(self, layer: str) -> None:
        self.name = layer  # type: ignore[misc]

    def prepare(self) -> None:
        command = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path"]
        command += [str(Path(__file__).with_name("Cargo.toml")), "--target-dir", str(TARGET)]
        subprocess.run(command, check=True)

    def command(self, site: Site) -> list[str]:
        binary = TARGET / "release" / f"spike-{self.name}"
        return [str(binary), f"127.0.0.1:{site.listen}", f"127.0.0.1:{site.upstream}"]

    def version(self) -> str:
        return "the spike"


class Saturated(LoadScenario):
    name = "io-layer"
    title = "12-byte body; 64 connections saturated, 16 connections at 5,000/s"
    load = Load(connections=64, path="/small", expect_body=12)
    paced = Load(connections=16, path="/small", expect_body=12, rate=5000)


def chosen(protocol: str) -> tuple[list[Peer], list[Scenario]]:
    if protocol == "h2":
        return [Loop("h2"), Loop("h2-ours"), Ours(), Envoy()], [Streams(), Calls()]
    return [Nginx(), Loop("tokio"), Loop("epoll"), Loop("uring")], [Saturated(), Bodies()]


def main() -> None:
    words = sys.argv[1:]
    rounds = int(words[0]) if words else 7
    peers, scenarios = chosen(words[1] if len(words) > 1 else "h1")
    for peer in peers:
        peer.prepare()
    generator = loadgen.build()
    for key, value in describe(peers).items():
        print(f"{key}: {value}")
    with loadgen.origins(generator) as origins:
        rig = Rig(generator, origins, duration=2.0)
        for scenario in scenarios:
            summary = runner.run(scenario, peers, rig, rounds, patience=1, tell=tell)
            summary.verdicts.clear()
            print(table.render(summary), flush=True)


main()
