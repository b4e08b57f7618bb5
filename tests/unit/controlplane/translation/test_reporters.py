"""What reports elsewhere goes to proxies that have it; the others serve without."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)

from controlplane.world.proxy import ISTIO_FILTERS
from mesh import api
from tests.support import meshes, translated

_WORLD = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
    - {name: spans, zipkin: {service: zipkin.default.svc.cluster.local, port: 9411}}
    - {name: logs, envoyHttpAls: {service: zipkin.default.svc.cluster.local, port: 9411}}
    - {name: more, envoyOtelAls: {service: zipkin.default.svc.cluster.local, port: 9411}}
    - {name: file, envoyFileAccessLog: {path: /dev/stdout}}
    defaultProviders: {tracing: [spans], accessLogging: [logs, more, file]}
---
apiVersion: v1
kind: Service
metadata: {name: zipkin}
spec: {ports: [{port: 9411, name: http}], clusterIP: 10.1.0.1}
"""
_PROXY = "{id: a.default, namespace: default, service_account: a, addresses: [10.0.0.1], %s}"


def _managers(runs: str = "") -> list[Any]:
    sent = translated.everything(meshes.world(_WORLD), meshes.proxy(_PROXY % runs))
    found = []
    for listener in sent[api.LISTENER]:
        for chain in listener.filter_chains:
            for one in chain.filters:
                manager = hcm.HttpConnectionManager()
                if one.typed_config.Unpack(manager):
                    found.append(manager)
    assert found
    return found


def test_an_envoy_has_all() -> None:
    for one in _managers():
        assert one.tracing.provider.name == "envoy.tracers.zipkin"
        assert [log.name for log in one.access_log] == [
            "envoy.access_loggers.file",
            "envoy.access_loggers.http_grpc",
            "envoy.access_loggers.open_telemetry",
        ]


@pytest.mark.parametrize("runs", [[], sorted(ISTIO_FILTERS)])
def test_who_has_none_is_sent_none(runs: list[str]) -> None:
    for one in _managers(f"runs: {runs}"):
        assert not one.HasField("tracing")
        assert [log.name for log in one.access_log] == ["envoy.access_loggers.file"]


def test_each_is_asked_for_by_its_type() -> None:
    for one in _managers("runs: [envoy.config.trace.v3.ZipkinConfig]"):
        assert one.tracing.provider.name == "envoy.tracers.zipkin"
        assert [log.name for log in one.access_log] == ["envoy.access_loggers.file"]
