"""controlplane.resources.envoy_filter.extensions: what ECDS is answered with."""

from __future__ import annotations

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig

from controlplane.translation.translator import IstioTranslator
from controlplane.world.proxy import Proxy
from controlplane.xds.type_urls import EXTENSION
from tests.support import meshes

_PATCH = """
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  configPatches:
  - applyTo: EXTENSION_CONFIG
    match: {{context: {context}}}
    patch:
      operation: {operation}
      value:
        name: one
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
          default_source_code: {{inline_string: {name}}}
"""


def _proxy(kind: str, namespace: str) -> Proxy:
    return meshes.proxy(
        f"{{type: {kind}, id: a.{namespace}, namespace: {namespace}, service_account: a,"
        " addresses: [10.0.0.1]}"
    )


def _of(mesh: str, proxy: Proxy, name: str = "one") -> TypedExtensionConfig | None:
    world = meshes.world(mesh)
    node = IstioTranslator().named(world.view(), EXTENSION, proxy, name)
    found = world.graph.value_of(node)
    return None if found is None else TypedExtensionConfig.FromString(found.body)


def _patch(name: str, namespace: str, context: str = "ANY", operation: str = "ADD") -> str:
    return _PATCH.format(name=name, namespace=namespace, context=context, operation=operation)


@pytest.mark.parametrize(
    ("context", "kind", "namespace", "given"),
    [
        ("ANY", "sidecar", "shop", True),
        ("ANY", "router", "shop", True),
        ("SIDECAR_INBOUND", "sidecar", "shop", True),
        ("SIDECAR_OUTBOUND", "sidecar", "shop", True),
        ("SIDECAR_OUTBOUND", "router", "shop", False),
        ("GATEWAY", "sidecar", "shop", False),
        ("GATEWAY", "router", "shop", True),
        ("ANY", "sidecar", "other", False),
    ],
)
def test_proxies_that_it_is_for(context: str, kind: str, namespace: str, given: bool) -> None:
    found = _of(_patch("a", "shop", context), _proxy(kind, namespace))
    assert (found is not None) is given
    if found is not None:
        assert found.name == "one"


def test_the_roots_is_the_first() -> None:
    mesh = _patch("own", "shop") + _patch("root", "istio-system")
    found = _of(mesh, _proxy("sidecar", "shop"))
    assert found is not None
    assert b"root" in found.typed_config.value


def test_what_is_not_added_is_not_there() -> None:
    assert _of(_patch("a", "shop", operation="MERGE"), _proxy("sidecar", "shop")) is None
    assert _of(_patch("a", "shop"), _proxy("sidecar", "shop"), "two") is None
