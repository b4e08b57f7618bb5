"""Everything that the translation sends to a proxy, and what the stock Envoy says to it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from google.protobuf.json_format import MessageToDict

from controlplane.translation.translator import IstioTranslator
from controlplane.world.proxy import Proxy
from controlplane.world.world import World
from controlplane.xds.type_urls import EXTENSION
from mesh import api
from tests.support.proxies import mesh_binary

_CERTIFICATES = (
    Path(__file__).parents[2] / "src/fastpath/crates/model/tests/golden/pki"
)  # fmt: skip
_MESSAGES = {
    api.CLUSTER: Cluster,
    api.ENDPOINT: ClusterLoadAssignment,
    api.LISTENER: Listener,
    api.ROUTE: RouteConfiguration,
}


def everything(world: World, proxy: Proxy) -> dict[str, list[Any]]:
    """By type: all clusters and listeners, and what they refer to."""
    view, graph, translator = world.view(), world.graph, IstioTranslator()
    sent: dict[str, list[Any]] = {}
    for kind in (api.CLUSTER, api.LISTENER):
        found = graph.value_of(translator.everything(view, kind, proxy))
        sent[kind] = [_MESSAGES[kind].FromString(one.body) for one in found]
    wanted = {
        api.ENDPOINT: list(
            dict.fromkeys(
                one.eds_cluster_config.service_name
                for one in sent[api.CLUSTER]
                if one.type == Cluster.EDS
            )
        ),
        api.ROUTE: sorted({name for one in sent[api.LISTENER] for name in route_names(one)}),
    }
    for kind, names in wanted.items():
        found = [graph.value_of(translator.named(view, kind, proxy, name)) for name in names]
        # A snapshot is consistent: whatever is referred to is there.
        assert None not in found, [name for name, one in zip(names, found, strict=True) if not one]
        sent[kind] = [_MESSAGES[kind].FromString(one.body) for one in found]
    # Only where something asks for them.
    asked = sorted({name for one in sent[api.LISTENER] for name in extension_names(one)})
    extensions = [graph.value_of(translator.named(view, EXTENSION, proxy, one)) for one in asked]
    assert None not in extensions, asked
    if extensions:
        sent[EXTENSION] = [TypedExtensionConfig.FromString(one.body) for one in extensions]
    return sent


def route_names(listener: Any) -> list[str]:
    """The route configurations that a listener asks for."""
    return [one.rds.route_config_name for one in _managers(listener) if one.HasField("rds")]


def extension_names(listener: Any) -> list[str]:
    """The configurations of HTTP filters that a listener asks for."""
    filters = [one for manager in _managers(listener) for one in manager.http_filters]
    return [one.name for one in filters if one.HasField("config_discovery")]


def _managers(listener: Any) -> list[Any]:
    found = []
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        for one in chain.filters:
            manager = hcm.HttpConnectionManager()
            if one.typed_config.Unpack(manager):
                found.append(manager)
    return found


def envoy_validates(envoy: Path, sent: dict[str, list[Any]], directory: Path) -> str:
    """What `envoy --mode validate` says against it; "" if it takes it."""
    path = _bootstrap(sent, directory)
    command = [envoy, "--mode", "validate", "-c", path, "-l", "error", "--concurrency", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stderr[-800:]


def mesh_validates(sent: dict[str, list[Any]], directory: Path) -> list[str]:
    """The lines with which `mesh proxy --mode validate` refuses it; none if it takes it."""
    path = _bootstrap(sent, directory)
    command = [str(mesh_binary()), "proxy", "--mode", "validate", "-c", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith(str(path))]
    assert (done.returncode == 0) == (not lines), done.stderr[-800:]
    return lines


def _bootstrap(sent: dict[str, list[Any]], directory: Path) -> Path:
    """All of it as static resources."""
    clusters = [_plain(one) for one in sent[api.CLUSTER]]
    clusters += [
        {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name}}
        for name in ("xds", "sds-grpc")
    ]
    listeners = [_plain(one) for one in sent[api.LISTENER]]
    listeners += [_plain(_with_routes(one, index)) for index, one in enumerate(sent[api.ROUTE])]
    config = {
        "node": {"id": "test", "cluster": "test"},
        "static_resources": {"listeners": listeners, "clusters": clusters},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            }
        },
    }
    path = directory / "envoy.json"
    # Certificates in files, which a mesh of a test calls `/certs/NAME`.
    path.write_text(json.dumps(config).replace('"/certs/', f'"{_CERTIFICATES}/'))
    return path


def _with_routes(routes: Any, index: int) -> Listener:
    """A listener that holds a route configuration, so that it is validated too."""
    manager = hcm.HttpConnectionManager(stat_prefix=f"routes_{index}", route_config=routes)
    for name, kind in (
        ("fault", "fault.v3.HTTPFault"),
        ("cors", "cors.v3.Cors"),
        ("router", "router.v3.Router"),
    ):
        one = manager.http_filters.add(name=f"envoy.filters.http.{name}")
        one.typed_config.type_url = f"type.googleapis.com/envoy.extensions.filters.http.{kind}"
    listener = Listener(name=f"routes_{index}")
    listener.address.socket_address.address = "127.0.0.1"
    listener.address.socket_address.port_value = 0
    listener.filter_chains.add().filters.add(name="hcm").typed_config.Pack(manager)
    return listener


def _plain(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True)
