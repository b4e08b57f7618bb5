"""Rules of `extensionProviders`."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from controlplane.problem import Problem, shown
from controlplane.resources.mesh_config.providers import (
    EnvoyExtAuthzGrpc,
    EnvoyExtAuthzHttp,
    ExtensionProvider,
    OpenTelemetryTracing,
)
from controlplane.resources.rules import addresses, names
from controlplane.resources.schema import camel

#: Python names statuses that Envoy's enum does not have.
_NOT_ENVOYS = frozenset({101, 102, 103, 418, 425, 451})
_STATUSES = frozenset(str(int(one)) for one in HTTPStatus if one not in _NOT_ENVOYS)


def validate_providers(providers: tuple[ExtensionProvider, ...], path: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, provider in enumerate(providers):
        at = f"{path}[{index}]"
        if provider.name in seen:
            yield Problem(f"{at}.name", f"{shown(provider.name)} is there twice; keep one")
        seen.add(provider.name)
        if not provider.type:
            yield Problem(at, "has no provider; name what it is, as in `zipkin: {...}`")
            continue
        inner = getattr(provider, provider.type)
        at = f"{at}.{camel(provider.type)}"
        service = getattr(inner, "service", None)
        if service is not None:
            yield from _service(service, f"{at}.service")
        if isinstance(inner, (EnvoyExtAuthzHttp, EnvoyExtAuthzGrpc)):
            yield from _status(inner.status_on_error, f"{at}.statusOnError")
        if isinstance(inner, EnvoyExtAuthzHttp) and inner.path_prefix:
            yield from _prefix(inner.path_prefix, f"{at}.pathPrefix")
        if isinstance(inner, OpenTelemetryTracing) and inner.http and inner.grpc:
            yield Problem(at, "http, grpc exclude each other; keep one")


def _service(service: str, path: str) -> Iterator[Problem]:
    """`HOST`, an address, or `NAMESPACE/HOST`."""
    if "/" in service:
        yield from names.namespaced_host(service, path, gateway=False)
    elif not addresses.is_ip(service):
        yield from names.fqdn(service, path)


def _status(status: str, path: str) -> Iterator[Problem]:
    if status and status not in _STATUSES:
        yield Problem(path, f"must be an HTTP status like 503, is {shown(status)}")


def _prefix(prefix: str, path: str) -> Iterator[Problem]:
    if not prefix.startswith("/"):
        yield Problem(path, f"must begin with /, is {shown(prefix)}")
