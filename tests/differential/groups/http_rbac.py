"""The HTTP filter `rbac`: what it lets pass, what it says, what it notes in dynamic metadata."""

from __future__ import annotations

from tests.differential.http_filters import (
    a_filter,
    chain,
    filter_config,
    host,
    per_filter,
    route,
    table,
    typed,
)
from tests.differential.model import Case, Group, Listener, ask, reply, req

_RBAC = "rbac.v3.RBAC"
_KEYS = (
    "enforced_engine_result enforced_effective_policy_id shadow_engine_result"
    " shadow_effective_policy_id enf_enforced_engine_result enf_enforced_effective_policy_id"
    " dry.shadow_engine_result dry.shadow_effective_policy_id own_enforced_engine_result"
    " own_enforced_effective_policy_id ownshadow_engine_result"
)
_LOG = "\t".join(
    [
        "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %ROUTE_NAME% %UPSTREAM_CLUSTER%",
        *(f"{key}=%DYNAMIC_METADATA(envoy.filters.http.rbac:{key})%" for key in _KEYS.split()),
        "hint=%DYNAMIC_METADATA(envoy.common:access_log_hint)%\n",
    ]
)


def rules(action: str, **policies: str) -> str:
    """Rules by permission: anybody may do it."""
    each = (
        f"{name}: {{permissions: [{permission}], principals: [{{any: true}}]}}"
        for name, permission in policies.items()
    )
    return f"{{action: {action}, policies: {{{', '.join(each)}}}}}"


def header(name: str, match: str) -> str:
    """A permission, or a principal, by header."""
    return f"{{header: {{name: {name}, {match}}}}}"


def path(match: str) -> str:
    """A permission by path."""
    return f"{{url_path: {{path: {{{match}}}}}}}"


def _allow(permission: str) -> str:
    return chain(a_filter("rbac", _RBAC, f"rules: {rules('ALLOW', p=permission)}"))


def _deny(permission: str) -> str:
    return chain(a_filter("rbac", _RBAC, f"rules: {rules('DENY', p=permission)}"))


def _metadata(value: str, key: str = "shadow_engine_result") -> str:
    return (
        "{metadata: {filter: envoy.filters.http.rbac,"
        f" path: [{{key: {key}}}], value: {value}}}}}"
    )


def _per_route(fields: str = "") -> str:
    return typed("rbac.v3.RBACPerRoute", f"rbac: {{{fields}}}" if fields else "")


_DENY_ALL = f"rules: {rules('DENY', all='{any: true}')}"
_RESPONSE = 'response_headers_to_add: [{header: {key: x-route, value: "yes"}}]'
_TO_A = table(
    host(
        "all",
        "*",
        route("direct", action="direct_response: {status: 200}"),
        route("redirect", action="redirect: {path_redirect: /z}"),
        route("unknown", action="route: {cluster: nowhere}"),
        route("headers", action="route: {cluster: a}, " + _RESPONSE),
        route("direct-headers", action="direct_response: {status: 200}, " + _RESPONSE),
        route("rest", match="prefix: /"),
    ),
    host("secure", "secure.test", route("any", match="prefix: /"), more="require_tls: ALL"),
    host("few", "few.test", route("only")),
)
_TWO = chain(
    a_filter(
        "first",
        _RBAC,
        "rules_stat_prefix: enf_, shadow_rules_stat_prefix: 'dry.', "
        f"rules: {rules('ALLOW', rest=path('prefix: /ok'), two=path('prefix: /of'))}, "
        f"shadow_rules: {rules('DENY', quiet=path('prefix: /ok/quiet'))}",
    ),
    a_filter("second", _RBAC, f"rules: {rules('LOG', loud=path('contains: loud'))}"),
)
_ROUTES = table(
    host(
        "all",
        "*",
        route("ok", match="prefix: /ok"),
        route("of/off", per_filter(first=filter_config("disabled: true"))),
        route("of/none", per_filter(first=_per_route())),
        route(
            "of/own",
            per_filter(
                first=_per_route(
                    f"rules_stat_prefix: own_, shadow_rules_stat_prefix: own, {_DENY_ALL},"
                    " shadow_rules: {}"
                )
            ),
        ),
        route("of/empty", per_filter(first=_per_route("rules: {}"))),
        route("of/other", per_filter(first=typed("cors.v3.CorsPolicy"))),
        route(
            "of/direct",
            per_filter(first=_per_route(_DENY_ALL)),
            "direct_response: {status: 200}",
        ),
        route("off", per_filter(first=filter_config("disabled: true"))),
        route("none", per_filter(first=_per_route())),
    ),
    host(
        "secure",
        "secure.test",
        route("any", match="prefix: /"),
        more="require_tls: ALL\n  " + per_filter(first=_per_route(_DENY_ALL)),
    ),
)

_PLAIN = {
    # A listener of one rule: its chain, and the requests that try it.
    "exact": (_allow(header("x-a", "string_match: {exact: 'yes'}")), ["x-a: yes", "x-a: no", ""]),
    "twice": (
        _allow(header("x-a", "string_match: {exact: 'yes'}")),
        ["x-a: no|x-a: yes", "x-a: yes,no", "X-A: yes|x-b: c"],
    ),
    "inverted": (
        _allow(header("x-a", "string_match: {exact: 'yes'}, invert_match: true")),
        ["x-a: yes", "x-a: no", "", "x-a: yes|x-a: no"],
    ),
    "present": (_deny(header("x-a", "present_match: true")), ["x-a: 1", "", "x-a:"]),
    "absent": (
        _deny(header("x-a", "string_match: {exact: ''}, treat_missing_header_as_empty: true")),
        ["x-a: 1", "", "x-a:"],
    ),
    "range": (_allow(header("x-n", "range_match: {start: 1, end: 5}")), ["x-n: 4", "x-n: 5"]),
    "not": (
        _deny(f"{{not_rule: {header('x-a', 'present_match: true')}}}"),
        ["x-a: 1", ""],
    ),
    "and": (
        _allow(
            "{and_rules: {rules: ["
            f"{header('x-a', 'present_match: true')}, {path('prefix: /')}]}}}}"
        ),
        ["x-a: 1", ""],
    ),
    "method": (_allow(header('":method"', "string_match: {exact: GET}")), [""]),
    "authority": (_allow(header('":authority"', "string_match: {prefix: host}")), [""]),
    "host": (_allow(header("host", "string_match: {prefix: host}")), [""]),
    "scheme": (_allow(header('":scheme"', "string_match: {exact: http}")), [""]),
    "whole-path": (_allow(header('":path"', "string_match: {exact: '/'}")), [""]),
    "shadow-metadata": (
        chain(
            a_filter("one", _RBAC, f"shadow_rules: {rules('ALLOW', s=path('exact: /'))}"),
            a_filter(
                "two",
                _RBAC,
                f"rules: {rules('ALLOW', p=_metadata('{string_match: {exact: allowed}}'))}",
            ),
        ),
        [""],
    ),
}
_PATHS = {
    "/a": "exact: /a",
    "/b": "prefix: /b",
    "/c": "suffix: .txt",
    "/d": "safe_regex: {regex: '/d/[0-9]+'}",
}


def _tries(listener: str, headers: list[str]) -> list[Case]:
    ok = reply()
    return [
        Case(f"{listener}-{n}", req("/", *filter(None, lines.split("|"))), listener, ok)
        for n, lines in enumerate(headers)
    ]


def _case(name: str, send: bytes, listener: str = "main") -> Case:
    return Case(f"{listener}-{name}", send, listener, reply())


_GRPC = ("content-type: application/grpc",)
GROUP = Group(
    name="http_rbac",
    doc=__doc__,
    listeners={
        "main": Listener(_ROUTES, _TWO, _LOG),
        "deny": Listener(_TO_A, _deny("{any: true}")),
        "paths": Listener(
            _TO_A,
            chain(
                a_filter(
                    "rbac",
                    _RBAC,
                    f"rules: {rules('ALLOW', **{m[1]: path(v) for m, v in _PATHS.items()})}",
                )
            ),
        ),
        "parameters": Listener(
            _TO_A + "\nignore_path_parameters_in_path_matching: true",
            _deny(path("exact: /admin")),
        ),
        "upgrade": Listener(
            _TO_A, _deny("{any: true}") + "\nupgrade_configs: [{upgrade_type: websocket}]"
        ),
        **{name: Listener(_TO_A, options) for name, (options, _) in _PLAIN.items()},
    },
    cases=[
        *(
            _case(target.strip("/").replace("/", "-"), req(target))
            for target in (
                "/ok /ok/quiet /ok/loud /okay?x=/no /no /of /of/off /of/none /of/own /of/empty"
                " /of/other /of/direct /off /none"
            ).split()
        ),
        _case("no-query", req("/no?q=/ok")),
        _case("secure", req("/ok", host="secure.test")),
        _case("denied-get", req("/"), "deny"),
        _case("denied-head", req("/", method="HEAD"), "deny"),
        _case("denied-body", req("/", method="POST", body=b"x" * 100), "deny"),
        _case("denied-grpc", req("/", *_GRPC, method="POST", body=b"x"), "deny"),
        _case("denied-direct", req("/direct"), "deny"),
        _case("denied-redirect", req("/redirect"), "deny"),
        _case("denied-unknown", req("/unknown"), "deny"),
        _case("denied-headers", req("/headers"), "deny"),
        _case("denied-direct-headers", req("/direct-headers"), "deny"),
        _case("denied-secure", req("/", host="secure.test"), "deny"),
        _case("denied-no-route", req("/", host="few.test"), "deny"),
        _case("denied-no-host", req("/", host=None), "deny"),
        Case("denied-h2", ask("/"), "deny"),
        Case("denied-h2-body", ask("/", method="POST", body=b"x" * 100), "deny"),
        Case("denied-h2-grpc", ask("/", ("content-type", "application/grpc")), "deny"),
        _case("websocket", req("/", "Connection: upgrade", "Upgrade: websocket"), "upgrade"),
        *(
            Case(f"path-{n}", req(target), "paths", reply())
            for n, target in enumerate(
                [
                    *("/a", "/a?b", "/a/", "/A", "/b", "/bc/d?e=/a", "/c.txt", "/c.txt?x"),
                    *("/d/12", "/d/12?34", "/d/x", "/a%2F", "/a;x=1", "/./a", "//a"),
                ]
            )
        ),
        *(
            Case(f"parameters-{n}", req(target), "parameters", reply())
            for n, target in enumerate(["/admin", "/admin;x=1", "/admin?x", "/other"])
        ),
        _case("no-route", req("/admin;x=1", host="few.test"), "parameters"),
        *(case for name, (_, tries) in _PLAIN.items() for case in _tries(name, tries)),
    ],
)
