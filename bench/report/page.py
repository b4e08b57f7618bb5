"""The run as one HTML page that needs nothing else."""

from html import escape

from bench.report.svg import chart
from bench.summary import ScenarioSummary, Verdict
from bench.table import cell, label, sentence, share

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em;
  color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: .25em .7em; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left }
.charts { display: flex; flex-wrap: wrap; gap: 1em 2em }
figure { margin: 0 } figcaption { font-weight: 600; margin-bottom: .3em }
svg text { font-size: 12px; fill: #222 }
svg .range { stroke: #000; stroke-width: 1.5; opacity: .55 }
.pass { color: #1b7a2f } .miss { color: #b3261e; font-weight: 600 } .none { color: #777 }
"""
METHOD = """Each proxy has core 0 for itself; the load generator and the origin server share core 1.
The peers take turns, round after round, each started afresh; figures are medians, ± is half the
range. CPU per request is the CPU time of all processes of the proxy over the good answers. A peer
with a wrong status or a wrong body has no figures; a rate is withheld when the generator's core was
the bottleneck. Latency counts from when a request was due. One virtual machine, loopback: read the
ratios, not the absolute figures."""


def render(environment: dict[str, str], summaries: list[ScenarioSummary]) -> str:
    facts = "".join(
        f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>"
        for key, value in environment.items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>mesh bench</title>'
        f"<style>{STYLE}</style><h1>mesh bench</h1><p>{METHOD}</p><table>{facts}</table>"
        + "".join(_section(summary) for summary in summaries)
        + "</html>\n"
    )


def _section(summary: ScenarioSummary) -> str:
    scenario = summary.scenario
    remarks = [
        f"<li>{escape(name)}: {escape(remark)}</li>"
        for name, peer in summary.peers.items()
        for remark in ([f"FAILED: {peer.failure}"] if peer.failure else peer.notes)
    ]
    bars = "".join(
        f'<li class="{_class(one)}">{_class(one)}: {escape(sentence(scenario, one))}</li>'
        for one in summary.verdicts
    )
    return (
        f"<h2>{escape(scenario.name)}</h2><p>{escape(scenario.title)}</p>"
        f'<ul>{bars}</ul><div class="charts">{_charts(summary)}</div>{_table(summary)}'
        f"<ul>{''.join(remarks)}</ul>"
    )


def _class(verdict: Verdict) -> str:
    return {True: "pass", False: "miss", None: "none"}[verdict.passed]


def _charts(summary: ScenarioSummary) -> str:
    pieces = []
    for figure in summary.scenario.figures:
        spreads = {
            name: peer.figures[figure.key]
            for name, peer in summary.peers.items()
            if figure.key in peer.figures
        }
        if spreads:
            caption = f"<figcaption>{escape(label(figure))}</figcaption>"
            pieces.append(f"<figure>{caption}{chart(figure, spreads)}</figure>")
    return "".join(pieces)


def _table(summary: ScenarioSummary) -> str:
    peers = summary.peers
    head = "".join(f"<th>{escape(name)}</th>" for name in (*peers, "ours/nginx", "ours/envoy"))
    rows = []
    for figure in summary.scenario.figures:
        cells = [cell(peer, figure) for peer in peers.values()]
        cells += [share(peers, figure.key, over) for over in ("nginx", "envoy")]
        data = "".join(f"<td>{escape(text)}</td>" for text in cells)
        rows.append(f"<tr><td>{escape(label(figure))}</td>{data}</tr>")
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"
