"""Golden files of the translation: a mesh and a proxy in, all that the proxy is sent out.

A case is a folder of `translation`: `mesh.yaml`, `proxy.yaml`, and `expected.yaml`, which
`UPDATE_GOLDEN=1` writes anew. What is expected must also be what the stock Envoy takes, unless the
proxy says that it runs what the stock Envoy does not have.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from controlplane.xds.type_urls import EXTENSION
from mesh import api
from tests.support import meshes, translated
from tests.support.proxies import envoy_binary

CASES = sorted(one.parent for one in Path(__file__).parent.glob("translation/*/mesh.yaml"))
#: Istio's own filters are not in the stock Envoy, and not sent to it.
STOCK = [one for one in CASES if "\nruns:" not in (one / "proxy.yaml").read_text()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_proxy_is_sent(case: Path) -> None:
    sent = translated.everything(
        meshes.world((case / "mesh.yaml").read_text()),
        meshes.proxy((case / "proxy.yaml").read_text()),
    )
    text = _text({kind: [_plain(one) for one in messages] for kind, messages in sent.items()})
    expected = case / "expected.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text)
    assert text == expected.read_text(), "UPDATE_GOLDEN=1 accepts the difference"


@pytest.mark.parametrize("case", STOCK, ids=lambda case: case.name)
def test_the_stock_envoy_takes_it(case: Path, tmp_path: Path) -> None:
    sent = translated.everything(
        meshes.world((case / "mesh.yaml").read_text()),
        meshes.proxy((case / "proxy.yaml").read_text()),
    )
    problems = translated.envoy_validates(envoy_binary(), sent, tmp_path)
    assert problems == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_our_proxy_takes_it(case: Path, tmp_path: Path) -> None:
    sent = translated.everything(
        meshes.world((case / "mesh.yaml").read_text()),
        meshes.proxy((case / "proxy.yaml").read_text()),
    )
    found = translated.mesh_validates(sent, tmp_path)
    # What docs/parity.md lists as not yet; nothing else may be refused.
    assert [one for one in found if not any(name in one for name in _NOT_YET)] == []


# What `mesh proxy` still refuses of it; nothing else may be refused.
_NOT_YET = (
    "envoy.extensions.filters.http.lua.v3.Lua",
    "envoy.tracers.",
    "upstream_proxy_protocol",
    "filters.http.lua",
    "preserve_case",
    "config_discovery",
    "access_loggers.http_grpc",
    "access_loggers.tcp_grpc",
    "access_loggers.open_telemetry",
)


def _plain(message: Any) -> Any:
    return _ordered(MessageToDict(message, preserving_proto_field_name=True))


def _ordered(value: Any) -> Any:
    """Maps of protobuf have no order of their own: the name first, then the alphabet."""
    if isinstance(value, list):
        return [_ordered(one) for one in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: (key not in {"@type", "name"}, key))
    return {key: _ordered(value[key]) for key in keys}


def _text(sent: dict[str, Any]) -> str:
    names = {
        api.CLUSTER: "clusters",
        EXTENSION: "extensions",
        api.ENDPOINT: "endpoints",
        api.LISTENER: "listeners",
        api.ROUTE: "routes",
    }
    # Through JSON, because protobuf's strings and numbers are not all Python's own.
    named = json.loads(json.dumps({names[kind]: found for kind, found in sent.items()}))
    return yaml.safe_dump(named, sort_keys=False, width=100)
