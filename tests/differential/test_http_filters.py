"""Statistics of HTTP filters, names, values and tags: ours against the stock Envoy, after all cases
of the groups that have them."""

from __future__ import annotations

import re

import pytest

from tests.differential.conftest import Bench
from tests.differential.groups import GROUPS
from tests.differential.model import Group
from tests.support.proxies import ENVOY, OURS

_FILTER = re.compile(r"(envoy_)?http[._].*(rbac|fault|cors|jwt_authn)")
_MEASURED = [group for group in GROUPS if group.name in ("http_rbac", "fault", "cors", "jwt_authn")]
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
