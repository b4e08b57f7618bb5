"""controlplane.resources.encode."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.resources.encode import encode
from controlplane.resources.mesh_config import MeshProxyConfig
from controlplane.resources.schema import decode

_VALUES: list[dict[str, Any]] = [
    {},
    {"concurrency": 0, "drainDuration": "3s", "terminationDrainDuration": "0.25s"},
    {
        "serviceCluster": "shop",
        "proxyMetadata": {"A_b": "c"},
        "holdApplicationUntilProxyStarts": False,
    },
    {"tracingServiceName": "CANONICAL_NAME_ONLY", "extraStatTags": ["one", "two"]},
    {
        "readinessProbe": {
            "periodSeconds": 3,
            "httpGet": {"port": 80, "httpHeaders": [{"name": "a", "value": "b"}]},
        }
    },
    {"proxyHeaders": {"server": {"value": "x"}}, "connectionSettings": {"httpIdleTimeout": "1h"}},
    {"tracing": {"customTags": {"t": {"literal": {"value": "v"}}}, "sampling": 1.5}},
]


@pytest.mark.parametrize("value", _VALUES)
def test_what_is_written_is_read_back_the_same(value: dict[str, Any]) -> None:
    first, problems = decode(MeshProxyConfig, value, "")
    assert not problems
    second, problems = decode(MeshProxyConfig, encode(first), "")
    assert (second, problems) == (first, [])


def test_only_what_somebody_has_said_is_written() -> None:
    assert encode(MeshProxyConfig()) == {}


def test_what_is_hidden_is_not_written() -> None:
    given = {"tracing": {"lightstep": {"address": "a:1", "accessToken": "secret-token"}}}
    config, _ = decode(MeshProxyConfig, given, "")
    assert encode(config) == {"tracing": {"lightstep": {"address": "a:1"}}}
