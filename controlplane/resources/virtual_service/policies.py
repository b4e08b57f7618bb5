"""Fault injection and CORS: configurations of filters, one for each route."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import Route
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy as EnvoyCors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from controlplane.resources.common.percent import Percent
from controlplane.resources.virtual_service.action import fraction
from controlplane.resources.virtual_service.match import string
from controlplane.resources.virtual_service.schema import (
    CorsPolicy,
    HTTPFaultInjection,
    HTTPRoute,
)
from controlplane.translation.durations import duration
from controlplane.translation.pack import any_of

FAULT, CORS = "envoy.filters.http.fault", "envoy.filters.http.cors"
#: As in Istio, a fault that does not say of how many requests is of none.
_NOTHING = Percent(0.0)
#: gRPC's status codes by name (grpc/status.md).
_GRPC = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


def add(built: Route, rule: HTTPRoute) -> None:
    """Gives a route what its rule says to filters."""
    if rule.fault is not None:
        built.typed_per_filter_config[FAULT].CopyFrom(any_of(fault(rule.fault)))
    if rule.cors_policy is not None:
        built.typed_per_filter_config[CORS].CopyFrom(any_of(cors(rule.cors_policy)))


def fault(given: HTTPFaultInjection) -> HTTPFault:
    """Delays and aborts on purpose."""
    built = HTTPFault()
    delay, abort = given.delay, given.abort
    if delay is not None and delay.fixed_delay is not None:
        built.delay.fixed_delay.CopyFrom(duration(delay.fixed_delay))
        share = delay.percentage or Percent(float(delay.percent))
        built.delay.percentage.CopyFrom(fraction(share))
    if abort is not None:
        built.abort.percentage.CopyFrom(fraction(abort.percentage or _NOTHING))
        if abort.grpc_status is not None:
            built.abort.grpc_status = _GRPC.index(abort.grpc_status)
        elif abort.http_status is not None:
            built.abort.http_status = abort.http_status
    return built


def cors(given: CorsPolicy) -> EnvoyCors:
    """Which origins may call."""
    origins = [string(one) for one in given.allow_origins]
    origins += [_any_or_exact(one) for one in given.allow_origin if not given.allow_origins]
    built = EnvoyCors(
        allow_origin_string_match=origins,
        allow_methods=",".join(given.allow_methods),
        allow_headers=",".join(given.allow_headers),
        expose_headers=",".join(given.expose_headers),
    )
    built.filter_enabled.default_value.CopyFrom(fraction(None))
    if given.max_age is not None:
        built.max_age = str(int(given.max_age))
    if given.allow_credentials is not None:
        built.allow_credentials.value = given.allow_credentials
    built.forward_not_matching_preflights.value = given.unmatched_preflights != "IGNORE"
    return built


def _any_or_exact(origin: str) -> StringMatcher:
    return StringMatcher(prefix="") if origin == "*" else StringMatcher(exact=origin)
