"""Rules of one HTTP route of a VirtualService."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controlplane.problem import Problem, shown
from controlplane.resources.common.match import StringMatch
from controlplane.resources.rules import (
    destinations,
    http_headers,
    labels,
    names,
    numbers,
    regex,
    retries,
)
from controlplane.resources.schema import below
from controlplane.resources.virtual_service.schema import (
    CorsPolicy,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPMatchRequest,
    HTTPRedirect,
    HTTPRewrite,
    HTTPRoute,
)

_CORS_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"}
)
GRPC_STATUSES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
#: Bytes of a body that every proxy holds: refused, and warned of.
_BODY_LIMIT = 1024 * 1024
_BODY_LARGE = 100 * 1024
#: The smallest share that Envoy can express, in percent.
_SMALLEST_SHARE = 0.0001


def http_route(route: HTTPRoute, path: str, *, delegate: bool, claims: bool) -> Iterator[Problem]:
    """`delegate`: of a VirtualService without hosts. `claims`: matches may look at a JWT."""
    yield from _exclusions(route, path, delegate=delegate)
    for index, match in enumerate(route.match):
        yield from _match(match, f"{path}.match[{index}]", claims=claims)
    yield from http_headers.headers(route.headers, f"{path}.headers")
    yield from _cors(route.cors_policy, f"{path}.corsPolicy")
    yield from _fault(route.fault, f"{path}.fault")
    yield from _mirrors(route, path)
    yield from _redirect(route, path)
    yield from _direct_response(route.direct_response, f"{path}.directResponse")
    yield from retries.retries(route.retries, f"{path}.retries")
    yield from _rewrite(route.rewrite, f"{path}.rewrite")
    yield from _authority(route, path)
    yield from destinations.shares(route.route, f"{path}.route")
    for index, one in enumerate(route.route):
        yield from http_headers.headers(one.headers, f"{path}.route[{index}].headers")
    yield from numbers.duration(route.timeout, f"{path}.timeout")


def _exclusions(route: HTTPRoute, path: str, *, delegate: bool) -> Iterator[Problem]:
    if route.delegate is not None:
        if delegate:
            reason = "a delegate cannot delegate further; write the routes here"
            yield Problem(f"{path}.delegate", reason)
        else:
            for name, there in (
                ("redirect", route.redirect is not None),
                ("route", bool(route.route)),
            ):
                if there:
                    reason = "is excluded by delegate, which has the routes; remove one of them"
                    yield Problem(f"{path}.{name}", reason)
            if not route.delegate.name:
                yield Problem(f"{path}.delegate.name", "must not be empty")
            if namespace := route.delegate.namespace:
                yield from names.dns_label(namespace, f"{path}.delegate.namespace", "a namespace")
            return
    answers = {"redirect": route.redirect, "directResponse": route.direct_response}
    given_answers = [name for name, value in answers.items() if value is not None]
    if len(given_answers) > 1:
        yield Problem(path, "redirect, directResponse exclude each other; keep one")
    for answer in given_answers[:1]:
        for name, there in (
            ("route", bool(route.route)),
            ("fault", route.fault is not None),
            ("rewrite", route.rewrite is not None),
        ):
            if there:
                yield Problem(f"{path}.{name}", f"is excluded by {answer}; remove one of them")
    if not given_answers and not route.route:
        yield Problem(path, "does nothing; add route, redirect, directResponse or delegate")


def _match(match: HTTPMatchRequest, path: str, *, claims: bool) -> Iterator[Problem]:
    yield from regex.match(match.uri, f"{path}.uri", empty_prefix=True)
    yield from regex.match(match.scheme, f"{path}.scheme")
    yield from regex.match(match.method, f"{path}.method")
    yield from regex.match(match.authority, f"{path}.authority")
    yield from _header_matches(match.headers, f"{path}.headers", claims=claims, absent=False)
    without = f"{path}.withoutHeaders"
    yield from _header_matches(match.without_headers, without, claims=claims, absent=True)
    for name, value in match.query_params.items():
        yield from regex.match(value, below(f"{path}.queryParams", name))
    if match.port:
        yield from numbers.port(match.port, f"{path}.port")
    yield from labels.labels(match.source_labels, f"{path}.sourceLabels")
    yield from names.gateway_names(match.gateways, f"{path}.gateways")
    if match.source_namespace:
        yield from names.dns_label(match.source_namespace, f"{path}.sourceNamespace", "a namespace")


def _header_matches(
    given: Mapping[str, StringMatch], path: str, *, claims: bool, absent: bool
) -> Iterator[Problem]:
    for name, value in given.items():
        at = below(path, name)
        yield from http_headers.matched_name(name, at)
        if http_headers.is_claim(name) and not claims:
            yield Problem(at, "claims are for gateways only; name gateways other than mesh")
        # `*` is no expression: it says present.
        if not (absent and value.regex == "*"):
            yield from regex.match(value, at)


def _cors(given: CorsPolicy | None, path: str) -> Iterator[Problem]:
    if given is None:
        return
    for index, origin in enumerate(given.allow_origins):
        at = f"{path}.allowOrigins[{index}]"
        if not (origin.exact or origin.prefix or origin.regex):
            yield Problem(at, "must not be empty; give exact, prefix or regex")
        elif origin.regex is not None:
            yield from regex.regex(origin.regex, f"{at}.regex")
    for index, method in enumerate(given.allow_methods):
        if method not in _CORS_METHODS:
            at = f"{path}.allowMethods[{index}]"
            yield Problem(at, f"{shown(method)} is no HTTP method; write it in capitals, or *")
    for field, values in (
        ("allowHeaders", given.allow_headers),
        ("exposeHeaders", given.expose_headers),
    ):
        for index, name in enumerate(values):
            yield from http_headers.cors_name(name, f"{path}.{field}[{index}]")
    yield from numbers.duration(given.max_age, f"{path}.maxAge")
    if given.max_age is not None and not float(given.max_age).is_integer():
        yield Problem(f"{path}.maxAge", f"must be in whole seconds, is {given.max_age:g}s")


def _fault(given: HTTPFaultInjection | None, path: str) -> Iterator[Problem]:
    if given is None:
        return
    if given.abort is None and given.delay is None:
        yield Problem(path, "is empty; give delay or abort, or remove it")
    if (abort := given.abort) is not None:
        at = f"{path}.abort"
        yield from numbers.percent(abort.percentage, f"{at}.percentage", smallest=_SMALLEST_SHARE)
        if abort.http2_error is not None:
            reason = "is not supported, by Istio neither; use httpStatus or grpcStatus"
            yield Problem(f"{at}.http2Error", reason)
        elif abort.http_status is not None:
            yield from numbers.http_status(abort.http_status, f"{at}.httpStatus")
        elif abort.grpc_status is None:
            yield Problem(at, "does nothing; give httpStatus or grpcStatus", warning=True)
        elif abort.grpc_status not in GRPC_STATUSES:
            known = ", ".join(GRPC_STATUSES)
            reason = f"{shown(abort.grpc_status)} is no gRPC status; use one of {known}"
            yield Problem(f"{at}.grpcStatus", reason)
    if (delay := given.delay) is not None:
        at = f"{path}.delay"
        yield from numbers.percent(delay.percentage, f"{at}.percentage", smallest=_SMALLEST_SHARE)
        yield from numbers.whole_percent(delay.percent, f"{at}.percent")
        if delay.percent:
            yield Problem(f"{at}.percent", "is deprecated; write percentage.value", warning=True)
        yield from numbers.duration(delay.fixed_delay, f"{at}.fixedDelay")
        if delay.exponential_delay is not None:
            reason = "is not supported, by Istio neither; use fixedDelay"
            yield Problem(f"{at}.exponentialDelay", reason)


def _mirrors(route: HTTPRoute, path: str) -> Iterator[Problem]:
    if route.mirror is not None and route.mirrors:
        yield Problem(path, "mirror, mirrors exclude each other; keep mirrors")
    if route.mirror_percent is not None:
        at = f"{path}.mirrorPercent"
        yield from numbers.whole_percent(route.mirror_percent, at)
        yield Problem(at, "is deprecated; write mirrorPercentage.value", warning=True)
    yield from numbers.percent(route.mirror_percentage, f"{path}.mirrorPercentage")
    yield from destinations.destination(route.mirror, f"{path}.mirror")
    for index, mirror in enumerate(route.mirrors):
        at = f"{path}.mirrors[{index}]"
        yield from destinations.destination(mirror.destination, f"{at}.destination")
        yield from numbers.percent(mirror.percentage, f"{at}.percentage")


def _redirect(route: HTTPRoute, path: str) -> Iterator[Problem]:
    given, at = route.redirect, f"{path}.redirect"
    if given is None:
        return
    if given.uri and given.prefix_rewrite:
        yield Problem(at, "uri, prefixRewrite exclude each other; keep one")
    if given.prefix_rewrite:
        for index, match in enumerate(route.match):
            if match.uri is not None and match.uri.prefix is None:
                reason = "must be a prefix, as the redirect replaces one (prefixRewrite)"
                yield Problem(f"{path}.match[{index}].uri", reason)
    # What is given beside the code changes nothing otherwise.
    if given == HTTPRedirect(redirect_code=given.redirect_code):
        reason = "must change something: give uri, prefixRewrite, authority, scheme or port"
        yield Problem(at, reason)
    if given.redirect_code and given.redirect_code not in {301, 302, 303, 307, 308}:
        reason = f"must be 301, 302, 303, 307 or 308, is {given.redirect_code}"
        yield Problem(f"{at}.redirectCode", reason)
    if given.scheme not in {"", "http", "https"}:
        yield Problem(f"{at}.scheme", f"must be http or https, is {shown(given.scheme)}")
    if given.port:
        yield from numbers.port(given.port, f"{at}.port")


def _direct_response(given: HTTPDirectResponse | None, path: str) -> Iterator[Problem]:
    if given is None:
        return
    yield from numbers.http_status(given.status, f"{path}.status")
    if given.body is None:
        return
    size = len(given.body.raw or b"") + len((given.body.string or "").encode(errors="replace"))
    if size > _BODY_LIMIT:
        yield Problem(
            f"{path}.body", f"must be 1 MiB at most, has {size} bytes; let a service answer"
        )
    elif size > _BODY_LARGE:
        reason = f"every proxy holds these {size} bytes; let a service answer"
        yield Problem(f"{path}.body", reason, warning=True)


def _rewrite(given: HTTPRewrite | None, path: str) -> Iterator[Problem]:
    if given is None:
        return
    if given.uri and given.uri_regex_rewrite is not None:
        yield Problem(path, "uri, uriRegexRewrite exclude each other; keep one")
    if given == HTTPRewrite():
        yield Problem(path, "is empty; give uri, uriRegexRewrite or authority")
    if given.uri_regex_rewrite is not None:
        at = f"{path}.uriRegexRewrite"
        yield from regex.regex(given.uri_regex_rewrite.match, f"{at}.match")
        if not given.uri_regex_rewrite.rewrite:
            yield Problem(f"{at}.rewrite", "must not be empty")


def _authority(route: HTTPRoute, path: str) -> Iterator[Problem]:
    """The authority is set in one place at most."""
    places = [f"{path}.rewrite.authority"] if route.rewrite and route.rewrite.authority else []
    request = route.headers.request if route.headers is not None else None
    if request is not None:
        for operation, values in (("set", request.set), ("add", request.add)):
            places += [
                below(f"{path}.headers.request.{operation}", name)
                for name in values
                if name.lower() in {":authority", "host"}
            ]
    for place in places[1:]:
        yield Problem(place, f"the authority is set at {places[0]} already; keep one")
