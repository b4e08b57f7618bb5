"""What a sidecar was sent against what it holds, by name, as istioctl's proxy-status compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from controlplane.commands.dumped.dump import Dump, Held, text

_TITLES: Final = {"cds": "Clusters", "lds": "Listeners", "eds": "Endpoints", "rds": "Routes"}


def compared(sent: Mapping[str, Mapping[str, Any]], dump: Dump) -> Iterator[str]:
    """A line for each type that was sent."""
    clusters = dump.clusters()
    # Envoy lists the endpoints of all clusters, however they came.
    by_eds = {one.name for one in clusters if text(one.value, "type") == "EDS"}
    held = {
        "cds": clusters,
        "lds": dump.listeners(),
        "eds": [one for one in dump.endpoints() if one.name in by_eds],
        "rds": dump.routes(),
    }
    for kind, title in _TITLES.items():
        if kind in sent:
            yield f"{title} {_verdict(set(sent[kind]), held[kind])}"


def _verdict(sent: set[str], held: list[Held]) -> str:
    dynamic = [one for one in held if one.state != "STATIC"]
    names = {one.name for one in dynamic}
    active = {one.name for one in dynamic if one.state == "ACTIVE"}
    # What is drained or warmed beside an active one of its name is on its way.
    warming = {one.name for one in dynamic if one.state == "WARMING"} - active
    draining = {one.name for one in dynamic if one.state == "DRAINING"} - active - warming
    parts = {
        "sent and not held": sent - names,
        "held and not sent": names - sent - draining,
        "not ready yet": warming & sent,
    }
    said = [f"{what}: {', '.join(sorted(which))}" for what, which in parts.items() if which]
    return f"differ; {'; '.join(said)}" if said else "match"
