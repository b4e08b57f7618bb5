"""Every kind that the control plane reads, by what a document says of itself."""

from __future__ import annotations

from collections.abc import Mapping

from controlplane.resources import (
    authorization_policy,
    envoy_filter,
    peer_authentication,
    proxy_config,
    request_authentication,
    telemetry,
    traffic_extension,
    wasm_plugin,
)
from controlplane.resources.resource import Kind

#: In alphabetical order.
_ALL: tuple[Kind, ...] = (
    authorization_policy.KIND,
    envoy_filter.KIND,
    peer_authentication.KIND,
    proxy_config.KIND,
    request_authentication.KIND,
    telemetry.KIND,
    traffic_extension.KIND,
    wasm_plugin.KIND,
)

#: By (apiVersion, kind).
KINDS: Mapping[tuple[str, str], Kind] = {
    (version, kind.name): kind for kind in _ALL for version in kind.api_versions()
}
