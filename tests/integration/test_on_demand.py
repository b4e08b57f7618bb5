"""Clusters on demand: the stock Envoy asks the control plane for those that requests name, and has
no others."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support import config
from tests.support.control import controlled
from tests.support.hosts import Hosts
from tests.support.playing import played
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, Proxy

TYPE = "type.googleapis.com/envoy.extensions"
SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [{name}.internal]
  exportTo: {export}
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: {address}, ports: {{http: {port}}}}}]
---
"""


def bootstrap(admin: int, port: int, xds_port: int, source: str) -> str:
    """Nothing is followed by wildcard. `source`: of the clusters on demand."""
    api: dict[str, Any] = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
    }
    sources: dict[str, Any] = {"ads": {"ads": {}}, "its own stream": {"api_config_source": api}}
    odcds = {"source": {**sources[source], "resource_api_version": "V3"}, "timeout": "5s"}
    on_demand = {"@type": f"{TYPE}.filters.http.on_demand.v3.OnDemand", "odcds": odcds}
    manager = config.hcm(
        config.route_config("all", {"match": {"prefix": "/"}, "route": {"cluster_header": "x-to"}})
    )
    manager["http_filters"].insert(0, {"name": "on_demand", "typed_config": on_demand})
    xds = config.cluster("xds", xds_port)
    xds["typed_extension_protocol_options"] = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{TYPE}.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    node = {
        "id": "sidecar~127.0.0.9~app-1.shop~shop.svc.cluster.local",
        "cluster": "app",
        "metadata": {"NAMESPACE": "shop"},
    }
    return config.bootstrap(
        admin,
        [config.listener("in", port, manager)],
        [xds],
        node=node,
        dynamic_resources={"ads_config": api},
    )


def ask(port: int, cluster: str) -> tuple[int, str]:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"x-to": cluster})
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


@pytest.mark.parametrize("source", ["ads", "its own stream"])
@played
async def test_a_cluster_comes_when_a_request_names_it(tmp_path: Path, source: str) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    port, admin = free_port(), free_port()

    def write(second: str) -> None:
        pieces = [
            ("first", "shop", "127.0.0.2", "['*']"),
            ("second", "shop", second, "['*']"),
            ("hidden", "bank", "127.0.0.4", "['.']"),
        ]
        text = "".join(
            SERVICE.format(
                name=name, namespace=space, address=address, port=hosts.port, export=export
            )
            for name, space, address, export in pieces
        )
        config.move_in(folder / "all.yaml", text)

    with Hosts() as hosts:
        write("127.0.0.3")
        settings = {"plaintext": "127.0.0.1:0", "trust_plaintext": True}
        async with controlled(tmp_path, **settings) as running:
            text = bootstrap(admin, port, running.control.server.plaintext_port, source)
            proxy = Proxy(ENVOY, text, tmp_path, admin)
            await asyncio.to_thread(proxy.__enter__)
            try:
                first = await asyncio.to_thread(ask, port, "outbound|80||first.internal")
                assert first == (200, "127.0.0.2")
                _, clusters = await asyncio.to_thread(proxy.admin, "GET", "/clusters")
                assert "outbound|80||first.internal::" in clusters
                assert "second.internal" not in clusters
                for absent in ("outbound|80||hidden.internal", "outbound|80||none.internal"):
                    assert await asyncio.to_thread(ask, port, absent) == (503, "")
                # What has come on demand is followed like all else.
                name = "outbound|80||second.internal"
                assert await asyncio.to_thread(ask, port, name) == (200, "127.0.0.3")
                write("127.0.0.5")
                while await asyncio.to_thread(ask, port, name) != (200, "127.0.0.5"):
                    pass
            finally:
                await asyncio.to_thread(proxy.stop)
