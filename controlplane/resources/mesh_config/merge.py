"""How MeshConfig is put together: Istio's defaults, a text, another text, a pod's annotation.

As in Istio, a field that is given replaces what was there, with these exceptions: `defaultConfig`
is merged field by field, and in it `proxyMetadata` key by key and `proxyHeaders` header by header;
`defaultProviders` field by field; `extensionProviders` by their names; `trustDomainAliases` only
grow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from controlplane.problem import Problem
from controlplane.resources.mesh_config.providers import ExtensionProvider
from controlplane.resources.mesh_config.proxy_config import MeshProxyConfig, ProxyHeaders
from controlplane.resources.mesh_config.schema import MeshConfig
from controlplane.resources.mesh_config.validate import validate
from controlplane.resources.mesh_config.validate_proxy import validate_proxy
from controlplane.resources.schema import camel, decode, field_names

#: Annotation of a pod: YAML text of what differs from the mesh's `defaultConfig`.
PROXY_CONFIG_ANNOTATION = "proxy.istio.io/config"

_T = TypeVar("_T")

#: Headers of `proxyHeaders` that stay when an annotation names others.
_KEPT_HEADERS = (
    "forwarded_client_cert",
    "request_id",
    "attempt_count",
    "server",
    "envoy_debug_headers",
)


def apply(
    value: object, base: MeshConfig | None = None, path: str = ""
) -> tuple[MeshConfig | None, list[Problem]]:
    """The values of a MeshConfig text over `base` (Istio's defaults when None).

    Gives the result, or None and why it cannot be taken; warnings come either way.
    """
    base = base or MeshConfig()
    given, problems = decode(MeshConfig, value, path, proto_names=True)
    if not isinstance(given, MeshConfig) or not isinstance(value, Mapping):
        return None, problems
    result = _overlaid(base, given, value)
    aliases = {*base.trust_domain_aliases, *result.trust_domain_aliases}
    result = dataclasses.replace(
        result,
        default_config=_proxy(
            base.default_config, given.default_config, _given(value, "default_config")
        ),
        default_providers=_overlaid(
            base.default_providers, given.default_providers, _given(value, "default_providers")
        ),
        extension_providers=_providers(
            base.extension_providers,
            given.extension_providers if _given(value, "extension_providers") is not None else (),
        ),
        trust_domain_aliases=tuple(sorted(aliases)),
    )
    return _judged(result, list(validate(result, path)))


def apply_proxy_config(
    value: object, base: MeshProxyConfig, path: str = ""
) -> tuple[MeshProxyConfig | None, list[Problem]]:
    """The values of a pod's annotation over the mesh's `defaultConfig`."""
    given, problems = decode(MeshProxyConfig, value, path, proto_names=True)
    if not isinstance(given, MeshProxyConfig):
        return None, problems
    result = _proxy(base, given, value)
    return _judged(result, list(validate_proxy(result, path)))


def _judged(result: _T, problems: list[Problem]) -> tuple[_T | None, list[Problem]]:
    refused = any(not problem.warning for problem in problems)
    return (None if refused else result), problems


def _given(value: Mapping[str, Any], attribute: str) -> Any:
    """What a MeshConfig says of a field, by either of its names."""
    return value.get(camel(attribute), value.get(attribute))


def _overlaid(base: _T, given: _T, value: object) -> _T:
    """`base` with those fields of `given` that the value has."""
    if not isinstance(value, Mapping):
        return base
    names = field_names(type(given), True)  # type: ignore[arg-type]  # a class hashes
    changes: dict[str, Any] = {}
    for name, one in value.items():
        if one is not None:
            attribute = names[name]
            for group in getattr(type(given), "ONE_OF", ()):
                if attribute in group:
                    changes |= dict.fromkeys(group)
            changes[attribute] = getattr(given, attribute)
    return dataclasses.replace(base, **changes)  # type: ignore[type-var]  # all are dataclasses


def _proxy(base: MeshProxyConfig, given: MeshProxyConfig, value: object) -> MeshProxyConfig:
    result = _overlaid(base, given, value)
    metadata = {**base.proxy_metadata, **result.proxy_metadata}
    headers = result.proxy_headers
    if headers is not None and base.proxy_headers is not None:
        headers = _headers(base.proxy_headers, headers)
    return dataclasses.replace(result, proxy_metadata=metadata, proxy_headers=headers)


def _headers(base: ProxyHeaders, given: ProxyHeaders) -> ProxyHeaders:
    unset = ProxyHeaders()
    kept = {
        name: getattr(base, name)
        for name in _KEPT_HEADERS
        if getattr(given, name) == getattr(unset, name)
    }
    return dataclasses.replace(given, **kept)


def _providers(
    base: tuple[ExtensionProvider, ...], given: tuple[ExtensionProvider, ...]
) -> tuple[ExtensionProvider, ...]:
    """A provider of the same name takes its place; new ones come last."""
    result = list(base)
    places = {one.name: index for index, one in enumerate(result)}
    for one in given:
        if one.name in places:
            result[places[one.name]] = one
        else:
            places[one.name] = len(result)
            result.append(one)
    return tuple(result)
