"""Runs a scenario: the peers in turn, round after round, so that what drifts drifts for all."""

from collections.abc import Callable, Sequence

from bench.errors import BenchError, UnableError
from bench.measure import GateError, Rig
from bench.peer import Peer
from bench.scenario import Round, Scenario
from bench.summary import ScenarioSummary, summarise

Tell = Callable[[str], None]


def run(
    scenario: Scenario, peers: Sequence[Peer], rig: Rig, rounds: int, patience: int, tell: Tell
) -> ScenarioSummary:
    """`patience`: how often a round that strangers disturbed is run again."""
    chosen = [peer for peer in peers if not (scenario.needs_proxy and peer.name == "direct")]
    results: dict[str, list[Round]] = {peer.name: [] for peer in chosen}
    failures: dict[str, str] = {}
    unable: dict[str, str] = {}
    for number in range(1, rounds + 1):
        row: dict[str, Round] = {}
        for peer in chosen if number % 2 else reversed(chosen):
            if peer.name in failures or peer.name in unable:
                continue
            try:
                row[peer.name] = undisturbed(scenario, rig, peer, patience)
            except UnableError as error:
                unable[peer.name] = str(error)
                continue
            except (GateError, BenchError) as error:
                failures[peer.name] = str(error)
                tell(f"{scenario.name} {number}/{rounds} {peer.name}: FAILED: {error}")
                continue
            tell(
                f"{scenario.name} {number}/{rounds} {peer.name}: {brief(scenario, row[peer.name])}"
            )
        scenario.compare(row)
        for name, result in row.items():
            results[name].append(result)
    for peer in chosen:
        if peer.name not in failures and peer.name not in unable:
            try:
                results[peer.name].append(scenario.once(rig, peer))
            except (GateError, BenchError) as error:
                failures[peer.name] = str(error)
    return summarise(scenario, results, failures, unable)


def undisturbed(scenario: Scenario, rig: Rig, peer: Peer, patience: int) -> Round:
    """Measures until strangers leave the cores alone, or patience ends; then the best there was."""
    tries: list[Round] = []
    while not tries or (tries[-1].disturbed and len(tries) <= patience):
        tries.append(scenario.measure(rig, peer))
    best = min(tries, key=lambda r: max((cores.strangers for cores in r.cores), default=0.0))
    if best.disturbed:
        best.notes.append("disturbed: strangers had more than 30 % of a core")
    return best


def brief(scenario: Scenario, result: Round) -> str:
    """The first figures, for the line of progress."""
    shown = [figure for figure in scenario.figures if figure.key in result.figures][:4]
    return ", ".join(f"{f.key} {result.figures[f.key]:.{f.digits}f} {f.unit}" for f in shown)
