"""Every kind that is read, by what YAML calls it and by what people type.

A new kind is one import and one entry here, both in the order of the alphabet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from controlplane.resources import (
    authorization_policy,
    config_map,
    deployment,
    destination_rule,
    endpoint_slice,
    endpoints,
    envoy_filter,
    gateway,
    namespace,
    node,
    peer_authentication,
    pod,
    proxy_config,
    request_authentication,
    secret,
    service,
    service_account,
    service_entry,
    sidecar,
    telemetry,
    traffic_extension,
    virtual_service,
    wasm_plugin,
    workload_entry,
    workload_group,
)
from controlplane.resources.resource import Kind

#: In alphabetical order.
_ALL: tuple[Kind, ...] = (
    authorization_policy.KIND,
    config_map.KIND,
    deployment.KIND,
    destination_rule.KIND,
    endpoint_slice.KIND,
    endpoints.KIND,
    envoy_filter.KIND,
    gateway.KIND,
    namespace.KIND,
    node.KIND,
    peer_authentication.KIND,
    pod.KIND,
    proxy_config.KIND,
    request_authentication.KIND,
    secret.KIND,
    service.KIND,
    service_account.KIND,
    service_entry.KIND,
    sidecar.KIND,
    telemetry.KIND,
    traffic_extension.KIND,
    virtual_service.KIND,
    wasm_plugin.KIND,
    workload_entry.KIND,
    workload_group.KIND,
)


def served(kinds: Iterable[Kind]) -> Mapping[tuple[str, str], Kind]:
    """By (apiVersion, kind), every served version. Raises ValueError for two whose resources would
    be taken for each other's."""
    found: dict[tuple[str, str], Kind] = {}
    by_id: dict[str, Kind] = {}
    for kind in kinds:
        other = by_id.setdefault(kind.id, kind)
        if other is not kind:
            raise ValueError(
                f"{kind.group} and {other.group} both have a {kind.id}: one needs shares_name"
            )
        found.update(((version, kind.name), kind) for version in kind.api_versions())
    return MappingProxyType(found)


KINDS: Mapping[tuple[str, str], Kind] = served(_ALL)


def names(kinds: Iterable[Kind]) -> Mapping[str, Kind]:
    """Kinds by all that people may type, in small letters."""
    found: dict[str, Kind] = {}
    for kind in kinds:
        plain = (kind.name.lower(), kind.plural, *kind.short)
        # Where two groups have the same kind, the plain name is the first one's.
        for name in plain:
            found.setdefault(name, kind)
        if kind.group:
            for name in (kind.name.lower(), kind.plural):
                found[f"{name}.{kind.group}"] = kind
                for version in kind.versions:
                    found[f"{name}.{version}.{kind.group}"] = kind
    return MappingProxyType(found)


_BY_NAME = names(_ALL)


def by_name(text: str) -> Kind | None:
    """`vs`, `virtualservices`, `VirtualService`, `virtualservices.networking.istio.io` (or
    `.v1.networking.istio.io`); None if there is no such kind. Capitals do not matter."""
    return _BY_NAME.get(text.lower())
