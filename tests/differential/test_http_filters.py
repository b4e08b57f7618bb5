"""Statistics of HTTP filters, names, values and tags: ours against the stock Envoy, after all cases
of the groups that have them."""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.differential.conftest import Bench
from tests.differential.groups import GROUPS, jwt_authn
from tests.differential.lab import Lab
from tests.differential.model import Group
from tests.support.proxies import ENVOY, OURS

_FILTER = re.compile(r"(envoy_)?http[._].*(rbac|fault|cors|jwt_authn)")
_MEASURED = [group for group in GROUPS if group.name in ("http_rbac", "fault", "cors")]
each_group = pytest.mark.parametrize("group", _MEASURED, ids=lambda group: group.name)


def _of_filters(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if _FILTER.match(line))


@each_group
def test_ours_counts_what_envoy_counts(bench: Bench, group: Group) -> None:
    """Names and values."""
    envoy, ours = (_of_filters(bench.stats(kind, group).text) for kind in (ENVOY, OURS))
    assert len(envoy) >= 4
    assert any(not line.endswith(": 0") for line in envoy)
    assert ours == envoy


@each_group
def test_ours_has_envoys_tags(bench: Bench, group: Group) -> None:
    """For Prometheus."""
    envoy, ours = (_of_filters(bench.stats(kind, group).prometheus) for kind in (ENVOY, OURS))
    assert envoy
    assert ours == envoy


#: Cases of `jwt_authn` in which each of its statistics counts.
_TOKENS = (
    "prefixed-*",
    "preflight",
    "per-route-1",
    "per-route-4",
    "remote-good",
    "remote-not-found",
    "claims-iss-wrong",
    "cached-*",
)


def test_tokens_count_as_envoys(tmp_path: Path) -> None:
    """Few cases of the group: in others we differ on purpose."""
    whole = jwt_authn.GROUP
    cases = [c for c in whole.cases if any(fnmatchcase(c.id, each) for each in _TOKENS)]
    served = {case.listener: whole.listeners[case.listener] for case in cases}
    group = replace(whole, listeners=served, cases=cases)
    counted = {}
    for kind in (ENVOY, OURS):
        (tmp_path / kind).mkdir()
        lab = Lab(kind, group, tmp_path / kind)
        try:
            for case in cases:
                lab.observe(case)
            texts = (lab.proxy.admin("GET", path)[1] for path in ("/stats", "/stats/prometheus"))
            counted[kind] = [_of_filters(text) for text in texts]
        finally:
            lab.stop()
    assert len(counted[ENVOY][0]) == len(served) * 7
    assert counted[OURS] == counted[ENVOY]
