"""controlplane.commands.dumped.compare: what was sent against what is held."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.commands.dumped.compare import compared
from controlplane.commands.dumped.dump import Dump
from tests.support.dumps import FQDN, dump

CLUSTERS = [
    f"outbound|9080|v1|{FQDN}", f"outbound|9080||{FQDN}", "inbound|9080||", "PassthroughCluster",
    "dynamic",
]  # fmt: skip
SENT: dict[str, Any] = {
    "cds": dict.fromkeys(CLUSTERS, "1"),
    "lds": {"virtualInbound": "1", "0.0.0.0_9080": "1"},
    "rds": {"9080": "1", "empty": "1"},
    "eds": {f"outbound|9080||{FQDN}": "1"},
    "sds": {"default": "1"},
}


def test_all_is_as_it_was_sent() -> None:
    assert list(compared(SENT, Dump(dump(), "x"))) == [
        "Clusters match", "Listeners match", "Endpoints match", "Routes match",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"rds": {"9080": 1}}, "Routes differ; held and not sent: empty"),
        (
            {"rds": {"9080": 1, "80": 1}},
            "Routes differ; sent and not held: 80; held and not sent: empty",
        ),
        ({"rds": {}}, "Routes differ; held and not sent: 9080, empty"),
        ({}, None),
    ],
)
def test_what_differs(sent: dict[str, Any], says: str | None) -> None:
    assert list(compared(sent, Dump(dump(), "x"))) == ([] if says is None else [says])


def test_endpoints_that_came_with_their_cluster() -> None:
    value = dump()
    (endpoints,) = (one for one in value["configs"] if "dynamic_endpoint_configs" in one)
    own = {"endpoint_config": {"cluster_name": "inbound|9080||"}}
    endpoints["dynamic_endpoint_configs"].append(own)
    assert list(compared({"eds": SENT["eds"]}, Dump(value, "x"))) == ["Endpoints match"]


def test_what_is_on_its_way() -> None:
    value = dump()
    (listeners,) = (one for one in value["configs"] if "dynamic_listeners" in one)
    first, second = listeners["dynamic_listeners"]
    first["warming_state"] = first.pop("active_state")
    second["draining_state"] = second.pop("active_state")
    found = compared({"lds": {"virtualInbound": 1}}, Dump(value, "x"))
    assert list(found) == ["Listeners differ; not ready yet: virtualInbound"]
