"""The table at the end of a run, for a terminal."""

from collections.abc import Sequence

from bench.scenario import Figure, Scenario
from bench.summary import PeerSummary, ScenarioSummary, Spread, Verdict, ratio

RATIOS = ("nginx", "envoy")


def render(summary: ScenarioSummary) -> str:
    """Figures by peer (median and half the range), our ratios, then the bars."""
    scenario, peers = summary.scenario, summary.peers
    header = ["", *peers, *(f"ours/{over}" for over in RATIOS)]
    rows = [header]
    for figure in scenario.figures:
        cells = [cell(peer, figure) for peer in peers.values()]
        rows.append([label(figure), *cells, *(share(peers, figure.key, over) for over in RATIOS)])
    lines = [f"{scenario.name}: {scenario.title}", *aligned(rows)]
    for name, peer in peers.items():
        if peer.failure:
            lines.append(f"  FAILED {name}: {peer.failure}")
        lines += [f"  note   {name}: {note}" for note in peer.notes]
    lines += [f"  {mark(verdict)} {sentence(scenario, verdict)}" for verdict in summary.verdicts]
    return "\n".join(lines)


def label(figure: Figure) -> str:
    return f"{figure.title} [{figure.unit}]" if figure.unit else figure.title


def cell(peer: PeerSummary, figure: Figure) -> str:
    if peer.failure:
        return "FAILED"
    spread = peer.figures.get(figure.key)
    return "-" if spread is None else number(spread, figure.digits)


def number(spread: Spread, digits: int) -> str:
    text = f"{spread.median:,.{digits}f}"
    if spread.rounds == 1 or spread.median == 0:
        return text
    return f"{text} ±{(spread.high - spread.low) / 2 / abs(spread.median):.0%}"


def share(peers: dict[str, PeerSummary], key: str, over: str) -> str:
    value = ratio(peers, key, over)
    return "-" if value is None else f"{value:.2f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  "
        + row[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def mark(verdict: Verdict) -> str:
    return {True: "pass  ", False: "MISS  ", None: "-     "}[verdict.passed]


def sentence(scenario: Scenario, verdict: Verdict) -> str:
    """`CPU per request ≤ 1 x nginx: 0.83`"""
    bar = verdict.bar
    figure = next(figure for figure in scenario.figures if figure.key == bar.figure)
    sign = "≥" if bar.at_least else "≤"
    limit = f"{bar.limit:g} x {bar.peer}" if bar.peer else f"{bar.limit:g} {figure.unit}"
    reached = "not measured" if verdict.reached is None else f"{verdict.reached:,.2f}"
    return f"{figure.title} {sign} {limit}: {reached}"
