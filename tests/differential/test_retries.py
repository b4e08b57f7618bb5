"""What both proxies count of retries and mirrors, scene by scene, with processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential.counting import counted, differences
from tests.differential.groups import mirrors, retries
from tests.support.proxies import ENVOY, OURS

_SCENES = {
    "answers": ["5xx_503", "twice_bare_503", "three", "three_are_not_enough", "limited", "asked"],
    "resets": ["reset_reset", "twice_reset", "connect_reset", "refused-stream_refused"],
    "refused": ["connect_refused", "istio_refused"],
    "timeouts": ["per_try", "per_try_twice", "per_try_idle", "global_while_waiting"],
    "bodies": ["body", "body_reset", "body_over_the_limit", "body_at_the_limit"],
    "limits": ["no_retries", "budget_without_requests"],
    "http2": ["http2_503", "http2_refused", "http2_reset"],
}
_MIRRORED = ["get", "body", "to_http2", "to_nobody", "copy_is_an_error", "copy_is_long", "client2"]


@pytest.mark.parametrize("scene", _SCENES)
def test_retries_count_as_envoys_do(scene: str, tmp_path: Path) -> None:
    envoy, ours = (counted(kind, retries.GROUP, _SCENES[scene], tmp_path) for kind in (ENVOY, OURS))
    assert any("retry" in name and value for name, value in envoy.items())
    assert differences(envoy, ours) == {}


def test_mirrors_count_as_envoys_do(tmp_path: Path) -> None:
    envoy, ours = (counted(kind, mirrors.GROUP, _MIRRORED, tmp_path) for kind in (ENVOY, OURS))
    assert ours["cluster.b.internal.upstream_rq_200"] == 4
    assert differences(envoy, ours) == {}
