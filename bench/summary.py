"""From rounds to medians, ratios and verdicts: no measuring here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.scenario import Bar, Round, Scenario

#: With fewer undisturbed rounds than this, the disturbed ones count too.
ENOUGH = 3


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values), len(values))


@dataclass
class PeerSummary:
    figures: dict[str, Spread] = field(default_factory=dict)
    #: Set: the peer did not do the work, and has no figures.
    failure: str | None = None
    notes: list[str] = field(default_factory=list)
    #: The worst share of a core that strangers had in a round.
    strangers: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """A bar, what was reached, and whether that is enough; None: not measured."""

    bar: Bar
    reached: float | None
    passed: bool | None


@dataclass
class ScenarioSummary:
    scenario: Scenario
    peers: dict[str, PeerSummary]
    verdicts: list[Verdict]


def summarise_peer(rounds: Sequence[Round], failure: str | None) -> PeerSummary:
    if failure is not None:
        return PeerSummary(failure=failure)
    values: dict[str, list[float]] = {}
    notes: dict[str, int] = {}
    strangers = 0.0
    kept, dropped = quiet(rounds)
    if dropped:
        notes[f"left out, strangers had more than 30 % of a core: {dropped} rounds"] = 1
    for one in kept:
        for key, value in one.figures.items():
            values.setdefault(key, []).append(value)
        for note in one.notes:
            notes[note] = notes.get(note, 0) + 1
        strangers = max([strangers, *(cores.strangers for cores in one.cores)])
    return PeerSummary(
        figures={key: Spread.of(found) for key, found in values.items()},
        notes=[note if count == 1 else f"{note} ({count} rounds)" for note, count in notes.items()],
        strangers=strangers,
    )


def quiet(rounds: Sequence[Round]) -> tuple[Sequence[Round], int]:
    """The rounds that strangers left alone, and how many others there were; all, if too few were
    left alone."""
    # What `once` measures has no cores, and no repetition to speak of.
    alone = [one for one in rounds if not one.disturbed]
    if sum(bool(one.cores) for one in alone) < ENOUGH:
        return rounds, 0
    return alone, len(rounds) - len(alone)


def ratio(peers: dict[str, PeerSummary], key: str, over: str, name: str = "ours") -> float | None:
    """Our figure over another peer's."""
    mine, theirs = peers.get(name), peers.get(over)
    if mine is None or theirs is None or key not in mine.figures or key not in theirs.figures:
        return None
    base = theirs.figures[key].median
    return mine.figures[key].median / base if base > 0 else None


def judge(bar: Bar, peers: dict[str, PeerSummary], name: str = "ours") -> Verdict:
    reached: float | None
    if bar.peer is not None:
        reached = ratio(peers, bar.figure, bar.peer, name)
    else:
        found = peers[name].figures.get(bar.figure) if name in peers else None
        reached = found.median if found else None
    if reached is None:
        return Verdict(bar, None, None)
    return Verdict(bar, reached, reached >= bar.limit if bar.at_least else reached <= bar.limit)


def summarise(
    scenario: Scenario,
    rounds: dict[str, list[Round]],
    failures: dict[str, str],
    unable: dict[str, str],
) -> ScenarioSummary:
    """`failures` and `unable` say of peers why they have no figures; the second is no failure."""
    peers = {name: summarise_peer(found, failures.get(name)) for name, found in rounds.items()}
    for name, reason in unable.items():
        peers[name].notes.append(f"takes no part: {reason}")
    return ScenarioSummary(scenario, peers, [judge(bar, peers) for bar in scenario.bars])
