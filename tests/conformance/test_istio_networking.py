"""What istiod makes of services, rules and gateways, by what Istio's own unit and simulation tests
assert (pilot/pkg/networking/core, pilot/pkg/model, pilot/pkg/xds of Istio 1.32): ours is the same.

The facts are Istio's, the words and the YAML are ours: each case of `istio_networking/*.yaml` names
the test that it is of, has a mesh, and says what must come out:

- `calls`: what becomes of a connection and the request on it (`tests/support/simulation.py`);
- `clusters`, `listeners`: by name, a part of the message; null: not there;
- `endpoints`: by cluster, hosts with their ports, or with what else is said of them;
- `virtual_hosts`: by route configuration and domain, the clusters of its routes; null: no host
  has the domain;
- `routes`: by route configuration and virtual host, a part of each route.

`inbound.yaml` is a table of its own: calls by the mode of mutual TLS.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy.config.core.v3.health_check_pb2 import HealthStatus
from google.protobuf.json_format import MessageToDict

from controlplane.world.proxy import FORWARDERS, Proxy
from mesh import api
from tests.support import meshes, simulation, translated
from tests.support.proxies import envoy_binary

_FOLDER = Path(__file__).parent / "istio_networking"
_SIDECAR = """
id: foo.default
namespace: default
service_account: foo
addresses: [1.1.1.1]
labels: {app: foo}
"""
_GATEWAY = """
type: router
id: ingress.istio-system
namespace: istio-system
service_account: ingress
addresses: [1.1.1.1]
labels: {istio: ingressgateway}
"""
_PROXIES = {"sidecar": _SIDECAR, "gateway": _GATEWAY}
_MODES = ("DISABLE", "PERMISSIVE", "STRICT")


def _cases() -> list[Any]:
    found = []
    for path in sorted(_FOLDER.glob("*.yaml")):
        if path.name == "inbound.yaml":
            continue
        found += [
            pytest.param(path.stem, case, id=f"{path.stem}: {case['istio']}")
            for case in yaml.safe_load(path.read_text())
        ]
    return found


@pytest.mark.parametrize(("group", "case"), _cases())
def test_what_istio_makes_of_it(group: str, case: dict[str, Any]) -> None:
    default = "gateway" if group == "gateways" else "sidecar"
    sent = _sent(case["mesh"], _proxy(case.get("proxy", default)))
    checked = {"istio", "mesh", "proxy"}
    for call in case.get("calls", ()):
        _assert_call(sent, call)
    for kind, field in ((api.CLUSTER, "clusters"), (api.LISTENER, "listeners")):
        by_name = {one.name: _plain(one) for one in sent[kind]}
        for name, expected in case.get(field, {}).items():
            _assert_part(expected, by_name.get(name), name)
    for name, expected in case.get("endpoints", {}).items():
        hosts = _hosts(sent, name)
        assert (hosts is None) == (expected is None), name
        if hosts is not None and expected is not None:
            # A number is the port, with nothing else to say.
            wanted = {k: v if isinstance(v, dict) else {"port": v} for k, v in expected.items()}
            assert hosts.keys() == wanted.keys(), name
            _assert_part(wanted, hosts, name)
    for name, expected in case.get("virtual_hosts", {}).items():
        config = next((one for one in sent[api.ROUTE] if one.name == name), None)
        assert config is not None, name
        _assert_part(expected, _clusters_of_hosts(config), name)
    for name, expected in case.get("routes", {}).items():
        config = next((one for one in sent[api.ROUTE] if one.name == name), None)
        assert config is not None, name
        hosts = {one.name: _plain(one).get("routes", []) for one in config.virtual_hosts}
        _assert_part(expected, hosts, name)
    known = {"calls", "clusters", "listeners", "endpoints", "virtual_hosts", "routes"}
    assert case.keys() - checked <= known
    assert case.keys() & known, "nothing is asserted"


@pytest.mark.parametrize(("group", "case"), _cases())
def test_both_proxies_take_it(group: str, case: dict[str, Any], tmp_path: Path) -> None:
    default = "gateway" if group == "gateways" else "sidecar"
    proxy = _proxy(case.get("proxy", default))
    assert translated.envoy_validates(envoy_binary(), _sent(case["mesh"], proxy), tmp_path) == ""
    # Ours has no dynamic_forward_proxy; it is sent the cluster, and no filter.
    ours = replace(proxy, runs=tuple(one for one in proxy.runs if one not in FORWARDERS))
    found = translated.mesh_validates(_sent(case["mesh"], ours), tmp_path)
    assert [one for one in found if "envoy.clusters.dynamic_forward_proxy" not in one] == []


@pytest.mark.parametrize("mode", _MODES)
def test_inbound(mode: str) -> None:
    table = yaml.safe_load((_FOLDER / "inbound.yaml").read_text())
    policy = (
        "\n---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
        f"metadata: {{name: default, namespace: istio-system}}\nspec: {{mtls: {{mode: {mode}}}}}"
    )
    sent = _sent(table["mesh"] + policy, _proxy("sidecar"))
    wrong = []
    for call, *expected in table["calls"]:
        wanted = expected[_MODES.index(mode)]
        found = simulation.run(sent, simulation.Call(**call, inbound=True, address="1.1.1.1"))
        text = found.error or found.cluster
        if " " in wanted and not found.error:
            text = f"{text} {found.virtual_host or found.chain}"
            if text != wanted:
                text = f"{found.cluster} {found.chain}"
        if text != wanted:
            wrong.append((call, wanted, found))
    assert wrong == []


def _proxy(given: str | dict[str, Any]) -> Proxy:
    """One of the two, or the sidecar with other fields."""
    if isinstance(given, str):
        return meshes.proxy(_PROXIES[given])
    base = yaml.safe_load(_SIDECAR)
    return meshes.proxy(yaml.safe_dump({**base, **given}))


def _sent(mesh: str, proxy: Proxy) -> dict[str, list[Any]]:
    return translated.everything(meshes.world(mesh), proxy)


def _assert_call(sent: dict[str, list[Any]], call: dict[str, Any]) -> None:
    given = {name: value for name, value in call.items() if name != "is"}
    given["headers"] = tuple(given.get("headers", {}).items())
    found = simulation.run(sent, simulation.Call(**given))
    expected = call["is"]
    actual = {name: getattr(found, name) for name in {*expected, "error"}}
    assert actual == {"error": "", **expected}, (call, found)


def _assert_part(expected: Any, actual: Any, where: str) -> None:
    """Objects have at least what is expected; null is what is not there; lists are equally long."""
    if expected is None:
        assert actual is None, (where, actual)
    elif isinstance(expected, dict):
        assert isinstance(actual, dict), (where, "is not there", expected)
        for name, value in expected.items():
            _assert_part(value, actual.get(name), f"{where}.{name}")
    elif isinstance(expected, list):
        assert isinstance(actual, list), (where, actual)
        assert len(actual) == len(expected), (where, actual)
        for index, value in enumerate(expected):
            _assert_part(value, actual[index], f"{where}[{index}]")
    else:
        assert actual == expected, where


def _hosts(sent: dict[str, list[Any]], cluster: str) -> dict[str, Any] | None:
    """By address what is said of it."""
    found = [one for one in sent[api.ENDPOINT] if one.cluster_name == cluster]
    found += [one.load_assignment for one in sent[api.CLUSTER] if one.name == cluster]
    if not found:
        return None
    hosts: dict[str, Any] = {}
    for group in found[0].endpoints:
        for one in group.lb_endpoints:
            at = one.endpoint.address.socket_address
            metadata = one.metadata.filter_metadata
            hosts[at.address] = {
                "port": at.port_value,
                "priority": group.priority,
                "weight": one.load_balancing_weight.value,
                "health": HealthStatus.Name(one.health_status),
                "mtls": "envoy.transport_socket_match" in metadata,
            }
    return hosts


def _clusters_of_hosts(config: Any) -> dict[str, Any]:
    """By each domain, the clusters of its routes, in order; of an answer its status."""
    found: dict[str, Any] = {}
    for host in config.virtual_hosts:
        routes = [
            one.direct_response.status
            if one.HasField("direct_response")
            else one.route.cluster
            or ",".join(each.name for each in one.route.weighted_clusters.clusters)
            for one in host.routes
        ]
        found |= dict.fromkeys(host.domains, routes)
    return found


def _plain(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True)
