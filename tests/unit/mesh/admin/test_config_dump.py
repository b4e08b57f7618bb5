"""mesh.admin.config_dump"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.mesh.admin.helpers import HCM, FakeProcess, api, get


@pytest.fixture
def process() -> FakeProcess:
    made = FakeProcess()
    config = {"name": "inline", "virtual_hosts": []}
    filters = [{"name": "hcm", "typed_config": {"@type": HCM, "route_config": config}}]
    made.hold(api.LISTENER, "static", filter_chains=[{"filters": filters}])
    made.hold(api.LISTENER, "dynamic", "l1")
    made.hold(api.CLUSTER, "sc", load_assignment={"cluster_name": "sc"})
    made.hold(api.CLUSTER, "dc", "c1", type="EDS")
    made.hold(api.ENDPOINT, "dc", "e1")
    made.hold(api.ROUTE, "r", "r1")
    made.store.set_version(api.LISTENER, "l1")
    return made


def dump(process: FakeProcess, query: str = "") -> dict[str, dict[str, Any]]:
    configs = json.loads(get(process, f"/config_dump{query}")[1])["configs"]
    return {one["@type"].rpartition(".")[2]: one for one in configs}


def test_sections_in_envoys_order(process: FakeProcess) -> None:
    names = ["Bootstrap", "Clusters", "Listeners", "ScopedRoutes", "Routes", "Secrets"]
    assert list(dump(process)) == [f"{name}ConfigDump" for name in names]
    names.insert(2, "Endpoints")
    assert list(dump(process, "?include_eds")) == [f"{name}ConfigDump" for name in names]


def test_static_and_dynamic(process: FakeProcess) -> None:
    sections = dump(process, "?include_eds")
    listeners = sections["ListenersConfigDump"]
    assert listeners["version_info"] == "l1"
    assert listeners["static_listeners"][0]["listener"]["name"] == "static"
    active = listeners["dynamic_listeners"][0]["active_state"]
    assert (active["version_info"], active["listener"]["name"]) == ("l1", "dynamic")
    clusters = sections["ClustersConfigDump"]
    assert clusters["dynamic_active_clusters"][0]["version_info"] == "c1"
    routes = sections["RoutesConfigDump"]
    assert routes["static_route_configs"][0]["route_config"]["name"] == "inline"
    assert routes["dynamic_route_configs"][0]["version_info"] == "r1"
    endpoints = sections["EndpointsConfigDump"]
    assert endpoints["static_endpoint_configs"][0]["endpoint_config"]["cluster_name"] == "sc"
    assert endpoints["dynamic_endpoint_configs"][0]["version_info"] == "e1"
    assert sections["BootstrapConfigDump"]["bootstrap"]["node"]["id"] == "n"


def test_warming(process: FakeProcess) -> None:
    process.core.warming_now = [(api.CLUSTER, "dc"), (api.LISTENER, "dynamic")]
    sections = dump(process)
    assert "dynamic_active_clusters" not in sections["ClustersConfigDump"]
    assert len(sections["ClustersConfigDump"]["dynamic_warming_clusters"]) == 1
    assert "warming_state" in sections["ListenersConfigDump"]["dynamic_listeners"][0]
    assert json.loads(get(process, "/init_dump")[1])["unready_targets_dumps"][0]["name"] == "dc"


def test_what_was_refused_is_shown_beside_what_serves(process: FakeProcess) -> None:
    for name in ("dynamic", "never"):
        process.store.fail(api.LISTENER, name, b'{"name": "x"}', "l2", "why")
    entries = dump(process)["ListenersConfigDump"]["dynamic_listeners"]
    assert [entry["name"] for entry in entries] == ["dynamic", "never"]
    assert entries[0]["active_state"]["version_info"] == "l1"
    state = entries[0]["error_state"]
    assert (state["details"], state["version_info"]) == ("why", "l2")
    assert state["failed_configuration"]["name"] == "x"
    assert "active_state" not in entries[1]


def test_secrets(process: FakeProcess) -> None:
    process.hold(api.SECRET, "static")
    process.hold(api.SECRET, "served", "s1")
    for name in ("served", "never"):
        process.store.fail(api.SECRET, name, b"{}", "s2", "why")
    section = dump(process)["SecretsConfigDump"]
    secret = {"@type": api.SECRET, "name": "static"}
    assert section["static_secrets"] == [{"name": "static", "secret": secret}]
    (served,) = section["dynamic_active_secrets"]
    assert (served["version_info"], served["secret"]["name"]) == ("s1", "served")
    assert served["error_state"]["details"] == "why"
    (never,) = section["dynamic_warming_secrets"]
    assert (never["name"], never["error_state"]["version_info"]) == ("never", "s2")
    assert "secret" not in never


def test_extensions(process: FakeProcess) -> None:
    process.hold(api.EXTENSION, "served", "x1")
    for name in ("served", "never"):
        process.store.fail(api.EXTENSION, name, b"{}", "x2", "why")
    sections = dump(process)
    assert list(sections)[2] == "EcdsConfigDump"
    never, served = sections["EcdsConfigDump"]["ecds_filters"]
    assert (served["version_info"], served["ecds_filter"]["name"]) == ("x1", "served")
    assert served["error_state"]["details"] == never["error_state"]["details"] == "why"
    assert "ecds_filter" not in never
    (one, _) = json.loads(get(process, "/config_dump?resource=ecds_filters")[1])["configs"]
    assert one["@type"].endswith("admin.v3.EcdsConfigDump.EcdsFilterConfig")


def test_resource_mask_and_name(process: FakeProcess) -> None:
    query = "?resource=dynamic_active_clusters&mask=cluster.name,version_info"
    (only,) = json.loads(get(process, f"/config_dump{query}")[1])["configs"]
    assert only == {
        "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster",
        "version_info": "c1",
        "cluster": {"@type": api.CLUSTER, "name": "dc"},
    }
    sections = dump(process, "?name_regex=d.*")
    assert "static_listeners" not in sections["ListenersConfigDump"]
    assert "dynamic_listeners" in sections["ListenersConfigDump"]
    assert "dynamic_route_configs" not in sections["RoutesConfigDump"]


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("resource=bogus", 404, "bogus not found in config dump"),
        ("resource=dynamic_endpoint_configs", 404, "not found in config dump"),
        ("resource=bootstrap", 400, "bootstrap is not a repeated field. Use ?mask=bootstrap"),
        ("mask=bogus", 400, "FieldMask bogus could not be successfully applied"),
        ("name_regex=(", 400, "Error while parsing name_regex from ("),
    ],
)
def test_refusals(process: FakeProcess, query: str, status: int, says: str) -> None:
    got, body = get(process, f"/config_dump?{query}")
    assert got == status
    assert says in body


def test_an_empty_field_is_no_error(process: FakeProcess) -> None:
    assert get(process, "/config_dump?resource=dynamic_warming_clusters") == (200, "{}\n")
    assert get(process, "/config_dump?resource=static_clusters&name_regex=no&mask=x")[1] == "{}\n"


def test_nothing_to_wait_for(process: FakeProcess) -> None:
    assert get(process, "/init_dump") == (200, "{}\n")
