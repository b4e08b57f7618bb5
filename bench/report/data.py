"""The run as JSON."""

from dataclasses import asdict
from typing import Any

from bench.summary import ScenarioSummary


def document(
    environment: dict[str, str], settings: dict[str, Any], summaries: list[ScenarioSummary]
) -> dict[str, Any]:
    return {
        "environment": environment,
        "settings": settings,
        "scenarios": [_scenario(summary) for summary in summaries],
    }


def _scenario(summary: ScenarioSummary) -> dict[str, Any]:
    scenario = summary.scenario
    return {
        "name": scenario.name,
        "title": scenario.title,
        "figures": [asdict(figure) for figure in scenario.figures],
        "peers": {name: asdict(peer) for name, peer in summary.peers.items()},
        "bars": [asdict(verdict) for verdict in summary.verdicts],
    }
