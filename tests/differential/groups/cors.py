"""The HTTP filter `cors`: preflight requests and responses, by policies of routes, virtual hosts
and route configurations."""

from __future__ import annotations

from tests.differential.http_filters import a_filter, chain, host, per_filter, route, table, typed
from tests.differential.model import Case, Group, Listener, ask, reply, req

_POLICY = "cors.v3.CorsPolicy"
_ORIGINS = (
    "allow_origin_string_match:"
    " [{exact: 'http://a.test'}, {safe_regex: {regex: 'http://[a-z]*\\.b\\.test'}}]"
)
_OFF = "{default_value: {numerator: 0}}"
_ON = "{default_value: {numerator: 100}}"


def _route(name: str, fields: str, action: str = "route: {cluster: a}") -> str:
    return route(name, per_filter(cors=typed(_POLICY, fields)), action)


_FULL = (
    f"{_ORIGINS}, allow_methods: PUT, allow_headers: x-r, expose_headers: x-e, max_age: '100',"
    " allow_credentials: true, allow_private_network_access: true"
)
_WEIGHTED = (
    "route: {weighted_clusters: {clusters: [{name: a, weight: 1, "
    + per_filter(cors=typed(_POLICY, "expose_headers: x-weighted"))
    + "}]}}"
)
_ROUTES = table(
    host(
        "all",
        "*",
        _route("full", _FULL),
        _route(
            "star",
            "allow_origin_string_match: [{prefix: http}], allow_methods: '*', allow_headers: '*',"
            " allow_credentials: false",
        ),
        _route("any", "allow_origin_string_match: [{exact: '*'}]"),
        _route("off", f"{_ORIGINS}, filter_enabled: {_OFF}"),
        _route("shadow", f"{_ORIGINS}, filter_enabled: {_OFF}, shadow_enabled: {_ON}"),
        _route("both", f"{_ORIGINS}, filter_enabled: {_ON}, shadow_enabled: {_ON}"),
        _route("answer", f"{_ORIGINS}, forward_not_matching_preflights: false"),
        _route("direct", _FULL, "direct_response: {status: 200}"),
        _route("redirect", _FULL, "redirect: {path_redirect: /z}"),
        _route("unknown", _FULL, "route: {cluster: nowhere}"),
        _route("weighted", f"{_ORIGINS}, expose_headers: x-route", _WEIGHTED),
        _route(
            "removed",
            _FULL,
            "route: {cluster: a}, request_headers_to_remove: [origin],"
            " response_headers_to_add: [{header: {key: access-control-max-age, value: '5'}}]",
        ),
        route("inherit"),
        more=per_filter(
            cors=typed(
                _POLICY,
                f"{_ORIGINS}, allow_methods: 'GET,POST', allow_headers: x-vh, max_age: '7',"
                " allow_credentials: true",
            )
        ),
    ),
    host("none", "none.test", route("any", match="prefix: /")),
    more=per_filter(cors=typed(_POLICY, "expose_headers: x-table")),
)
_BARE = table(host("all", "*", route("any", match="prefix: /")))
_A, _B, _EVIL = "http://a.test", "http://x.b.test", "http://evil.test"
_METHOD = "access-control-request-method: GET"
_PRIVATE = "access-control-request-private-network: true"


def _preflight(path: str, origin: str, *more: str) -> bytes:
    return req(path, f"origin: {origin}", _METHOD, *more, method="OPTIONS")


def _case(name: str, send: bytes, listener: str = "main") -> Case:
    return Case(name, send, listener, reply())


_WISHES = ("access-control-request-headers: x-1,x-2", _PRIVATE)
_PATHS = "full star any off shadow both answer direct redirect unknown weighted removed inherit"
GROUP = Group(
    name="cors",
    doc=__doc__,
    listeners={
        "main": Listener(_ROUTES, chain(a_filter("cors", "cors.v3.Cors"))),
        "bare": Listener(_BARE, chain(a_filter("cors", "cors.v3.Cors"))),
        "renamed": Listener(_ROUTES, chain(a_filter("other", "cors.v3.Cors"))),
    },
    cases=[
        *(
            _case(f"{path}-{what}-{who}", send)
            for path in _PATHS.split()
            for who, origin in (("a", _A), ("evil", _EVIL))
            for what, send in (
                ("preflight", _preflight(f"/{path}", origin, *_WISHES)),
                ("get", req(f"/{path}", f"origin: {origin}")),
            )
        ),
        _case("regex", _preflight("/full", _B)),
        _case("regex-not-whole", _preflight("/full", _B + ".evil.test")),
        _case("case", _preflight("/full", "http://A.test")),
        _case("no-origin", req("/full")),
        _case("empty-origin", req("/full", "origin:")),
        _case("two-origins", req("/full", f"origin: {_A}", f"origin: {_EVIL}")),
        _case("options", req("/full", f"origin: {_A}", method="OPTIONS")),
        _case(
            "empty-method",
            req("/full", f"origin: {_A}", "access-control-request-method:", method="OPTIONS"),
        ),
        _case("head", req("/full", f"origin: {_A}", method="HEAD")),
        _case("no-private", _preflight("/full", _A)),
        _case("other-private", _preflight("/full", _A, _PRIVATE.replace("true", "false"))),
        _case("grpc", _preflight("/full", _A, "content-type: application/grpc")),
        _case("no-route", _preflight("/nowhere", _A)),
        _case("bare", _preflight("/", _A), "bare"),
        _case("renamed", _preflight("/full", _A), "renamed"),
        Case("of-table", req("/", f"origin: {_A}", host="none.test"), script=reply()),
        Case(
            "host-says-other",
            req("/full", f"origin: {_A}"),
            script=reply(
                "200 OK", "access-control-allow-origin: *", "access-control-expose-headers: zz"
            ),
        ),
        Case("h2", ask("/full", ("origin", _A)), script=reply()),
        Case(
            "h2-preflight",
            ask(
                "/full",
                ("origin", _A),
                ("access-control-request-method", "GET"),
                method="OPTIONS",
            ),
        ),
    ],
)
