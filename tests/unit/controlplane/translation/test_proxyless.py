"""What gRPC's own clients are sent, and what they are not."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext

from controlplane.translation.translator import IstioTranslator
from mesh import api
from tests.support import meshes

_HOST = "greeter.default.svc.cluster.local"
_NAME = f"outbound|7070||{_HOST}"
_SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: greeter}
spec:
  ports: [{port: 7070, name: grpc}]
  selector: {app: greeter}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: greeter}
spec: {address: 10.0.0.1, labels: {app: greeter}, serviceAccount: greeter}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: elsewhere}
spec:
  hosts: [elsewhere.example]
  resolution: DNS
  ports: [{number: 80, name: grpc, protocol: GRPC}, {number: 81, name: more, protocol: GRPC}]
"""
_PROXY = """
id: caller.default
namespace: default
service_account: default
addresses: [127.0.0.1]
metadata: {GENERATOR: grpc}
"""


def _rule(policy: str) -> str:
    return f"""
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: greeter}}
spec:
  host: greeter
  trafficPolicy: {policy}
"""


def _sent(kind: str, name: str, message: Any, more: str = "") -> Any:
    world = meshes.world(_SERVICES + more)
    node = IstioTranslator().named(world.view(), kind, meshes.proxy(_PROXY), name)
    found = world.graph.value_of(node)
    return None if found is None else message.FromString(found.body)


@pytest.mark.parametrize(
    "target",
    [f"{_HOST}:7070", _HOST, "greeter:7070", "greeter", "greeter.default", "greeter.default.svc"],
)
def test_targets(target: str) -> None:
    built = _sent(api.LISTENER, target, Listener)
    assert built.name == target
    manager = hcm.HttpConnectionManager()
    assert built.api_listener.api_listener.Unpack(manager)
    assert manager.rds.route_config_name == _NAME
    assert manager.http_filters[-1].name == "envoy.filters.http.router"
    routes = _sent(api.ROUTE, _NAME, RouteConfiguration)
    # gRPC compares with the target as it was written.
    assert target in routes.virtual_hosts[0].domains


@pytest.mark.parametrize(
    "target",
    ["greeter:80", "nobody:7070", "greeter.other:7070", "elsewhere.example", "", ":", "a:b:c"],
)
def test_what_is_no_target(target: str) -> None:
    assert _sent(api.LISTENER, target, Listener) is None


@pytest.mark.parametrize("kind", [api.LISTENER, api.ROUTE, api.CLUSTER, api.ENDPOINT, api.SECRET])
@pytest.mark.parametrize("name", ["", "x", "outbound|7070|", "outbound|0||x", "outbound|7070||x"])
def test_names_that_mean_nothing(kind: str, name: str) -> None:
    assert _sent(kind, name, Cluster) is None


def test_nothing_is_sent_unasked() -> None:
    world = meshes.world(_SERVICES)
    for kind in (api.LISTENER, api.CLUSTER):
        node = IstioTranslator().everything(world.view(), kind, meshes.proxy(_PROXY))
        assert world.graph.value_of(node) == ()


def test_a_cluster_has_what_grpc_reads() -> None:
    """C core refuses LEAST_REQUEST, and auto mTLS is none that it knows."""
    built = _sent(api.CLUSTER, _NAME, Cluster)
    assert (built.type, built.lb_policy) == (Cluster.EDS, Cluster.ROUND_ROBIN)
    assert built.eds_cluster_config.service_name == _NAME
    assert not built.transport_socket_matches
    assert not built.HasField("transport_socket")


def test_hashes_limits_and_outliers() -> None:
    policy = _rule(
        "{loadBalancer: {consistentHash: {httpHeaderName: x-user}},"
        " connectionPool: {http: {http2MaxRequests: 7}},"
        " outlierDetection: {consecutive5xxErrors: 3}}"
    )
    built = _sent(api.CLUSTER, _NAME, Cluster, policy)
    assert built.lb_policy == Cluster.RING_HASH
    assert built.circuit_breakers.thresholds[0].max_requests.value == 7
    assert built.outlier_detection.consecutive_5xx.value == 3
    routes = _sent(api.ROUTE, _NAME, RouteConfiguration, policy)
    assert routes.virtual_hosts[0].routes[0].route.hash_policy[0].header.header_name == "x-user"


def test_mutual_tls_by_the_certificate_provider() -> None:
    built = _sent(api.CLUSTER, _NAME, Cluster, _rule("{tls: {mode: ISTIO_MUTUAL}}"))
    context = UpstreamTlsContext()
    assert built.transport_socket.typed_config.Unpack(context)
    common = context.common_tls_context
    own = common.tls_certificate_provider_instance
    assert (own.instance_name, own.certificate_name) == ("default", "default")
    checks = common.combined_validation_context.default_validation_context
    roots = checks.ca_certificate_provider_instance
    assert (roots.instance_name, roots.certificate_name) == ("default", "ROOTCA")
    names = [one.exact for one in checks.match_subject_alt_names]
    assert names == ["spiffe://cluster.local/ns/default/sa/greeter"]


@pytest.mark.parametrize("tls", ["{mode: SIMPLE}", "{mode: SIMPLE, credentialName: secret}"])
def test_other_tls_is_refused_and_not_left_out(tls: str) -> None:
    assert _sent(api.CLUSTER, _NAME, Cluster, _rule(f"{{tls: {tls}}}")) is None


def test_what_dns_resolves_is_not_for_grpc() -> None:
    assert _sent(api.CLUSTER, "outbound|80||elsewhere.example", Cluster) is None
