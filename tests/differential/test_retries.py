"""What both proxies count of retries, scene by scene, each with processes of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential.groups.retries import GROUP
from tests.differential.lab import Lab
from tests.support.proxies import ENVOY, OURS

# A few cases that share no counters with chance: no connection is reused by one only.
_SCENES = {
    "answers": ["5xx_503", "twice_bare_503", "three", "three_are_not_enough", "limited", "asked"],
    "resets": ["reset_reset", "twice_reset", "connect_reset", "refused-stream_refused"],
    "refused": ["connect_refused", "istio_refused"],
    "timeouts": ["per_try", "per_try_twice", "per_try_idle", "global_while_waiting"],
    "bodies": ["body", "body_reset", "body_over_the_limit", "body_at_the_limit"],
    "limits": ["no_retries", "budget_without_requests"],
    "http2": ["http2_503", "http2_refused", "http2_reset"],
}
_STATS = ("retry", "per_try", "upstream_rq_timeout", "upstream_rq_total", "upstream_rq_5xx",
          "upstream_rq_503", "upstream_rq_504", "upstream_rq_200", "upstream_rq_completed",
          "upstream_rq_tx_reset", "upstream_rq_rx_reset", "upstream_rq_active")  # fmt: skip


@pytest.mark.parametrize("scene", _SCENES)
def test_ours_counts_as_envoy_does(scene: str, tmp_path: Path) -> None:
    counted = {kind: _counted(kind, scene, tmp_path) for kind in (ENVOY, OURS)}
    assert any("retry" in name and value for name, value in counted[ENVOY].items())
    envoy, ours = counted[ENVOY], counted[OURS]
    names = sorted({*envoy, *ours})
    assert {
        one: (envoy.get(one), ours.get(one)) for one in names if envoy.get(one) != ours.get(one)
    } == {}


def _counted(kind: str, scene: str, directory: Path) -> dict[str, int]:
    """`cluster.*` by name, and what each host counted."""
    lab = Lab(kind, GROUP, directory)
    cases = {case.id: case for case in GROUP.cases}
    try:
        for name in _SCENES[scene]:
            lab.observe(cases[name])
        _, text = lab.proxy.admin("GET", "/stats?filter=^cluster")
        _, hosts = lab.proxy.admin("GET", "/clusters")
    finally:
        lab.stop()
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(": ")
        # A limit of 0 is full, to us (docs/differences.md).
        if name.endswith("rq_retry_open"):
            continue
        if any(one in name for one in _STATS) and value.isdigit():
            found[name] = int(value)
    for line in hosts.splitlines():
        cluster, *rest, value = line.split("::")
        if rest[-1].startswith("rq_"):
            found[f"{cluster} {rest[-1]}"] = found.get(f"{cluster} {rest[-1]}", 0) + int(value)
    return found
