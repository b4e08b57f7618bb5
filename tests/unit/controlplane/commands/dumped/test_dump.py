"""controlplane.commands.dumped.dump: what is in a dump, nothing secret, and nonsense survives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.commands.common import CommandError
from controlplane.commands.dumped import clusters, endpoints, listeners, routes
from controlplane.commands.dumped.dump import Dump, address, istio_config, redacted
from tests.support.dumps import dump, socket


def test_sections() -> None:
    found = Dump(dump(), "x")
    assert [(one.name, one.state) for one in found.clusters()][:1] == [("xds-grpc", "STATIC")]
    assert [one.name for one in found.listeners()] == ["virtualInbound", "0.0.0.0_9080"]
    assert [one.name for one in found.routes()] == ["9080", "empty"]
    assert [one.state for one in found.endpoints()] == ["STATIC", "ACTIVE"]
    assert [(one.name, one.state) for one in found.secrets()][-1] == (
        "kubernetes://late", "WARMING",
    )  # fmt: skip
    assert "node" in found.bootstrap["bootstrap"]


def test_keys_are_left_out_wherever_they_stand() -> None:
    found = Dump(dump(key="c2VjcmV0"), "x")
    assert "c2VjcmV0" not in json.dumps(found.whole)
    assert "c2VjcmV0" not in repr(found.secrets())
    value = {"a": [{"password": {"inline_string": "x"}, "generic_secret": {"secret": "y"}}]}
    assert redacted(value) == {"a": [{"password": "[redacted]", "generic_secret": "[redacted]"}]}


@pytest.mark.parametrize("value", [{}, [], "x", None, {"configs": []}, {"configs": "x"}])
def test_what_is_no_dump(value: Any) -> None:
    with pytest.raises(CommandError, match=r"^a\.json: is no configuration dump"):
        Dump(value, "a.json")


def test_what_is_nested_without_end() -> None:
    value: Any = {}
    for _ in range(100_000):
        value = [value]
    with pytest.raises(CommandError, match="nested too deeply"):
        Dump({"configs": [{"@type": "x", "value": value}]}, "x")


def test_addresses() -> None:
    assert address(socket("10.0.0.1", 80)) == ("10.0.0.1", 80)
    assert address({"pipe": {"path": "/x"}}) == ("unix:///x", None)
    assert address({"envoy_internal_address": {"server_listener_name": "i"}}) == ("i", None)
    assert address(None) == ("-", None)


def test_the_object_of_istios() -> None:
    where = "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews"
    value = {"metadata": {"filter_metadata": {"istio": {"config": where}}}}
    assert istio_config(value, "virtual-service") == "reviews.shop"
    assert istio_config(value, "destination-rule") == ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([
            "cluster", "listener", "active_state", "route_config", "virtual_hosts", "routes",
            "match", "domains", "name", "address", "socket_address", "port_value", "filters",
            "filter_chains", "typed_config", "filter_chain_match", "endpoint_config", "endpoints",
            "lb_endpoints", "endpoint", "metadata", "cluster_statuses", "host_statuses",
            "health_status", "safe_regex", "prefix",
        ]),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(_JSON)
def test_nonsense_is_nothing(value: Any) -> None:
    kinds = ("Clusters", "Listeners", "Routes", "Endpoints", "Secrets")
    keys = (
        "dynamic_active_clusters", "dynamic_listeners", "dynamic_route_configs",
        "dynamic_endpoint_configs", "dynamic_active_secrets",
    )  # fmt: skip
    configs = [
        {"@type": f"x.{kind}ConfigDump", key: [value]}
        for kind, key in zip(kinds, keys, strict=True)
    ]
    found = Dump({"configs": configs}, "x")
    assert next(clusters.rows(found.clusters()))
    assert list(listeners.rows(found.listeners()))
    assert list(routes.rows(found.routes()))
    assert list(endpoints.rows(endpoints.of_dump(found)))
    assert list(endpoints.rows(endpoints.of_clusters(value)))
