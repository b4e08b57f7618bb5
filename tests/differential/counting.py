"""What a proxy counts while it does some cases of a group."""

from __future__ import annotations

from pathlib import Path

from tests.differential.lab import Lab
from tests.differential.model import Group

_STATS = (
    "retry",
    "per_try",
    "upstream_rq_timeout",
    "upstream_rq_total",
    "upstream_rq_5xx",
    "upstream_rq_503",
    "upstream_rq_504",
    "upstream_rq_200",
    "upstream_rq_completed",
    "upstream_rq_tx_reset",
    "upstream_rq_rx_reset",
    "upstream_rq_active",
    "downstream_rq_total",
    "downstream_rq_active",
    "downstream_rq_completed",
)


def counted(kind: str, group: Group, names: list[str], directory: Path) -> dict[str, int]:
    """Numbers by name, and what the hosts of each cluster counted."""
    lab = Lab(kind, group, directory)
    cases = {case.id: case for case in group.cases}
    try:
        for name in names:
            lab.observe(cases[name])
        _, text = lab.proxy.admin("GET", "/stats?filter=^(cluster|http)")
        _, hosts = lab.proxy.admin("GET", "/clusters")
    finally:
        lab.stop()
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(": ")
        # A limit of 0 is full, to us (docs/differences.md). The admin port is no listener, to us.
        if name.endswith("rq_retry_open") or name.startswith("http.admin."):
            continue
        if any(one in name for one in _STATS) and value.isdigit():
            found[name] = int(value)
    for line in hosts.splitlines():
        cluster, *rest, value = line.split("::")
        if rest[-1].startswith("rq_"):
            found[f"{cluster} {rest[-1]}"] = found.get(f"{cluster} {rest[-1]}", 0) + int(value)
    return found


def differences(envoy: dict[str, int], ours: dict[str, int]) -> dict[str, tuple[int | None, ...]]:
    """Numbers that are not the same: what Envoy counted, what we did."""
    pairs = {name: (envoy.get(name), ours.get(name)) for name in sorted({*envoy, *ours})}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
