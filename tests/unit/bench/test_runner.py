"""Peers in turns, and what becomes of those that fail or are not able."""

from pathlib import Path

from bench import runner
from bench.errors import UnableError
from bench.loadgen import Origins
from bench.measure import GateError, Rig
from bench.peer import Peer
from bench.scenario import Figure, Round, Scenario
from bench.site import Site

RIG = Rig(Path("generator"), Origins({}, ()), duration=1.0)


class Named(Peer):
    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def command(self, site: Site) -> list[str]:
        raise AssertionError("not started here")

    def version(self) -> str:
        return "1"


class Toy(Scenario):
    name = "toy"
    title = "a toy"
    figures = (Figure("cpu_us", "CPU", "µs"),)

    def __init__(self) -> None:
        self.turns: list[str] = []

    def measure(self, rig: Rig, peer: Peer) -> Round:
        self.turns.append(peer.name)
        if peer.name == "fails":
            raise GateError("statuses 503: 1")
        if peer.name == "lacks":
            raise UnableError("no HTTP/2")
        return Round({"cpu_us": 1.0})


def test_peers_take_turns_and_those_that_drop_out_are_told_apart() -> None:
    toy, told = Toy(), list[str]()
    peers = [Named("a"), Named("fails"), Named("lacks"), Named("b")]
    summary = runner.run(toy, peers, RIG, rounds=2, patience=0, tell=told.append)
    assert toy.turns == ["a", "fails", "lacks", "b", "b", "a"]
    assert summary.peers["a"].figures["cpu_us"].rounds == 2
    assert summary.peers["fails"].failure == "statuses 503: 1"
    assert summary.peers["lacks"].failure is None
    assert summary.peers["lacks"].notes == ["takes no part: no HTTP/2"]
    assert any("FAILED" in line for line in told)
