"""CUSTOM policies: a shadow RBAC filter says what is asked about, `ext_authz` asks the provider.

A provider that MeshConfig does not have, that names no service, or a second one on one workload
(Istio allows one), allows nothing: what would have been asked about is denied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from envoy.config.core.v3.base_pb2 import HeaderValue
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac  # noqa: N811
from envoy.extensions.filters.network.ext_authz.v3.ext_authz_pb2 import (
    ExtAuthz as NetworkExtAuthz,
)
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.filters.network.rbac.v3.rbac_pb2 import RBAC as NetworkRbac  # noqa: N811
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.string_pb2 import ListStringMatcher, StringMatcher

from controlplane.registry import mesh
from controlplane.registry.workloads import Labels
from controlplane.resources.authorization_policy.translate import (
    Delegated,
    asked_prefix,
    delegated,
)
from controlplane.resources.mesh_config.providers import (
    EnvoyExtAuthzGrpc,
    EnvoyExtAuthzHttp,
    RequestBody,
)
from controlplane.translation.durations import duration
from controlplane.translation.listeners.manager import http_filter, network_filter
from controlplane.translation.providers import Target, target
from controlplane.world.view import View

_PREFIX = "istio_ext_authz_"
_EFFECTIVE = f"{_PREFIX}shadow_effective_policy_id"
_DENIED = "-deny-due-to-bad-CUSTOM-action"
#: Seconds that a provider may take where it does not say; Istio's.
_TIMEOUT = 600.0
_HTTP_RBAC, _HTTP_NAME = "envoy.filters.http.rbac", "envoy.filters.http.ext_authz"
_TCP_RBAC, _TCP_NAME = "envoy.filters.network.rbac", "envoy.filters.network.ext_authz"

_Provider = EnvoyExtAuthzHttp | EnvoyExtAuthzGrpc


def http_filters(view: View, namespace: str, labels: Labels) -> list[hcm.HttpFilter]:
    """For HTTP."""
    found = []
    asked = delegated(view, namespace, labels, http=True)
    for one in asked:
        provider, service = _usable(view, one, asked)
        if provider is None or service is None:
            found.append(http_filter(_HTTP_RBAC, HttpRbac(rules=_denied(one.asked))))
            continue
        shadow = HttpRbac(shadow_rules=one.asked, shadow_rules_stat_prefix=_PREFIX)
        found.append(http_filter(_HTTP_RBAC, shadow))
        found.append(http_filter(_HTTP_NAME, _http(provider, service, one.provider)))
    return found


def network_filters(view: View, namespace: str, labels: Labels) -> list[Filter]:
    """For connections that are not HTTP. A provider that speaks HTTP cannot be asked about them;
    as in Istio, they then pass."""
    found = []
    asked = delegated(view, namespace, labels, http=False)
    for one in asked:
        provider, service = _usable(view, one, asked)
        if provider is None or service is None:
            denied = NetworkRbac(rules=_denied(one.asked), stat_prefix="tcp.")
            found.append(network_filter(_TCP_RBAC, denied))
        elif isinstance(provider, EnvoyExtAuthzGrpc):
            shadow = NetworkRbac(
                shadow_rules=one.asked, shadow_rules_stat_prefix=_PREFIX, stat_prefix="tcp."
            )
            built = NetworkExtAuthz(
                stat_prefix="tcp.",
                failure_mode_allow=provider.fail_open,
                transport_api_version=ApiVersion.V3,
                grpc_service=_grpc(provider, service),
                filter_enabled_metadata=_asked_about(_TCP_RBAC, one.provider),
            )
            found += [network_filter(_TCP_RBAC, shadow), network_filter(_TCP_NAME, built)]
    return found


def _usable(
    view: View, one: Delegated, asked: Sequence[Delegated]
) -> tuple[_Provider | None, Target | None]:
    if len(asked) > 1:
        return None, None
    for provider in mesh.config(view).extension_providers:
        if provider.name == one.provider:
            chosen = provider.envoy_ext_authz_http or provider.envoy_ext_authz_grpc
            if chosen is not None:
                return chosen, target(view, chosen.service, chosen.port)
    return None, None


def _denied(asked: RBAC) -> RBAC:
    built = RBAC(action=RBAC.DENY)
    for name, policy in asked.policies.items():
        built.policies[name + _DENIED].CopyFrom(policy)
    return built


def _http(provider: _Provider, service: Target, name: str) -> ExtAuthz:
    built = ExtAuthz(
        failure_mode_allow=provider.fail_open,
        clear_route_cache=provider.clear_route_cache,
        transport_api_version=ApiVersion.V3,
        filter_enabled_metadata=_asked_about(_HTTP_RBAC, name),
    )
    if provider.status_on_error:
        built.status_on_error.code = int(provider.status_on_error)
    _body(built, provider.include_request_body_in_check)
    if isinstance(provider, EnvoyExtAuthzGrpc):
        built.grpc_service.CopyFrom(_grpc(provider, service))
    else:
        _http_service(built, provider, service)
    return built


def _http_service(built: ExtAuthz, provider: EnvoyExtAuthzHttp, service: Target) -> None:
    to = built.http_service
    to.path_prefix = provider.path_prefix
    to.server_uri.uri = f"http://{service.host}"
    to.server_uri.cluster = service.cluster
    to.server_uri.timeout.CopyFrom(duration(_seconds(provider)))
    sent = provider.include_request_headers_in_check or provider.include_headers_in_check
    if sent:
        built.allowed_headers.CopyFrom(_names(sent))
    for key, value in sorted(provider.include_additional_headers_in_check.items()):
        to.authorization_request.headers_to_add.append(HeaderValue(key=key, value=value))
    for field, given in (
        ("allowed_upstream_headers", provider.headers_to_upstream_on_allow),
        ("allowed_client_headers", provider.headers_to_downstream_on_deny),
        ("allowed_client_headers_on_success", provider.headers_to_downstream_on_allow),
    ):
        if given:
            getattr(to.authorization_response, field).CopyFrom(_names(given))


def _grpc(provider: EnvoyExtAuthzGrpc, service: Target) -> GrpcService:
    built = GrpcService(timeout=duration(_seconds(provider)))
    built.envoy_grpc.cluster_name = service.cluster
    built.envoy_grpc.authority = service.host
    return built


def _seconds(provider: _Provider) -> float:
    return _TIMEOUT if provider.timeout is None else provider.timeout


def _body(built: ExtAuthz, given: RequestBody | None) -> None:
    if given is not None:
        built.with_request_body.max_request_bytes = given.max_request_bytes
        built.with_request_body.allow_partial_message = given.allow_partial_message
        built.with_request_body.pack_as_bytes = given.pack_as_bytes


def _names(given: Iterable[str]) -> ListStringMatcher:
    built = ListStringMatcher()
    for name in given:
        one: StringMatcher = built.patterns.add(ignore_case=True)
        if name.startswith("*"):
            one.suffix = name[1:]
        elif name.endswith("*"):
            one.prefix = name[:-1]
        else:
            one.exact = name
    return built


def _asked_about(rbac: str, provider: str) -> MetadataMatcher:
    """Whether the shadow rules matched one of the provider's."""
    built = MetadataMatcher(filter=rbac)
    built.path.add(key=_EFFECTIVE)
    built.value.string_match.prefix = asked_prefix(provider)
    return built
