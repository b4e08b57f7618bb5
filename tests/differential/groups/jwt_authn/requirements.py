"""Which tokens a request must have: trees of requirements, rules, routes."""

from __future__ import annotations

from typing import Any

from tests.differential.groups.jwt_authn.pieces import (
    EXPIRED,
    FAILED,
    GOOD,
    LOG,
    MISSING,
    OTHER,
    SIGNED,
    TO_A,
    P,
    Q,
    bearer,
    case_of,
    every,
    jwt_filter,
    one,
    provider,
)
from tests.differential.http_filters import chain, host, per_filter, route, table, typed
from tests.differential.model import Case, Listener, reply, req
from tests.support import jwt

_TWO = {
    "p": provider(payload_in_metadata="payload", failed_status_in_metadata="failed"),
    "q": provider(
        issuer=OTHER,
        audiences=["web"],
        from_headers=[{"name": "x-q"}],
        forward_payload_header="x-payload",
        failed_status_in_metadata="other",
    ),
}
_FOR_Q = jwt.token(iss=OTHER, aud="web")
_TREES: dict[str, Any] = {
    "any": {"requires_any": {"requirements": [P, Q]}},
    "all": {"requires_all": {"requirements": [P, Q]}},
    "missing": MISSING,
    "failed": FAILED,
    "nothing": {},
    "optional": {"requires_any": {"requirements": [P, MISSING]}},
    "lax": {"requires_any": {"requirements": [P, FAILED]}},
    "only-lax": {"requires_any": {"requirements": [MISSING, FAILED]}},
    "audience": {"provider_and_audiences": {"provider_name": "p", "audiences": ["api"]}},
    "istio": {
        "requires_any": {
            "requirements": [
                P,
                Q,
                {
                    "requires_all": {
                        "requirements": [
                            {"requires_any": {"requirements": [P, MISSING]}},
                            {"requires_any": {"requirements": [Q, MISSING]}},
                        ]
                    }
                },
            ]
        }
    },
}
_TREE_TOKENS: dict[str, list[str]] = {
    "none": [],
    "p": [bearer(GOOD)],
    "q": [f"x-q: {_FOR_Q}"],
    "both": [bearer(GOOD), f"x-q: {_FOR_Q}"],
    "p-expired": [bearer(EXPIRED)],
    "p-expired-q": [bearer(EXPIRED), f"x-q: {_FOR_Q}"],
    "q-audience": [f"x-q: {jwt.token(iss=OTHER, aud='x')}"],
    "p-q-audience": [bearer(GOOD), f"x-q: {jwt.token(iss=OTHER, aud='x')}"],
    "p-nobody-in-q": [bearer(GOOD), f"x-q: {jwt.token(iss='https://nobody.example')}"],
    "q-in-p": [bearer(_FOR_Q)],
    "p-in-q": [f"x-q: {GOOD}"],
    "nobody": [bearer(jwt.token(iss="https://nobody.example"))],
    "api": [bearer(jwt.token(aud="api"))],
    "forged": ["x-payload: forged"],
}
_RULES: list[dict[str, Any]] = [
    {"match": {"prefix": "/open"}},
    {"match": {"path": "/exact"}, "requires": P},
    {"match": {"path": "/case", "case_sensitive": False}, "requires": P},
    {"match": {"safe_regex": {"regex": "/re/[0-9]+"}}, "requires": P},
    {"match": {"path_separated_prefix": "/sep"}, "requires": P},
    {
        "match": {
            "prefix": "/head",
            "headers": [{"name": "x-a", "string_match": {"exact": "1"}}],
        },
        "requires": P,
    },
    {
        "match": {
            "prefix": "/query",
            "query_parameters": [{"name": "a", "string_match": {"exact": "1"}}],
        },
        "requires": P,
    },
    {"match": {"prefix": "/named"}, "requirement_name": "good"},
    {"match": {"connect_matcher": {}}, "requires": P},
]
_REQUIRED = {
    "good": P,
    "audience": {"provider_and_audiences": {"provider_name": "p", "audiences": ["api"]}},
}
_PER_ROUTE = table(
    host(
        "all",
        "*",
        route("off", per_filter(jwt=typed("jwt_authn.v3.PerRouteConfig", "disabled: true"))),
        route(
            "api",
            per_filter(jwt=typed("jwt_authn.v3.PerRouteConfig", "requirement_name: audience")),
        ),
        route(
            "wrong",
            per_filter(jwt=typed("jwt_authn.v3.PerRouteConfig", "requirement_name: nobody")),
        ),
        route("all", match="prefix: /"),
    )
)
#: Two providers that look at the same place.
_RIVALS = {
    "p": provider(forward=True, forward_payload_header="x-payload"),
    "r": provider(
        issuer=OTHER, audiences=["web"], forward=True, forward_payload_header="x-payload"
    ),
    "s": provider(forward=True, forward_payload_header="x-payload"),
}
_RIVAL_TREES: dict[str, Any] = {
    "any": {"requires_any": {"requirements": [P, {"provider_name": "r"}]}},
    "any-turned": {"requires_any": {"requirements": [{"provider_name": "r"}, P]}},
    "all": {"requires_all": {"requirements": [P, {"provider_name": "s"}]}},
}
_RIVAL_TOKENS: dict[str, str] = {
    "good": GOOD,
    "expired": EXPIRED,
    "other": _FOR_Q,
    "other-expired": jwt.token(iss=OTHER, aud="web", exp=1000),
    "other-audience": jwt.token(iss=OTHER),
    "forged": f"{SIGNED}.{jwt.b64(b'x' * 256)}",
    "nobody": jwt.token(iss="https://nobody.example"),
}
_PREFLIGHT = ("Origin: http://a", "Access-Control-Request-Method: GET")

LISTENERS: dict[str, Listener] = {
    **{
        f"tree-{name}": Listener(TO_A, chain(jwt_filter(providers=_TWO, **every(tree))), LOG)
        for name, tree in _TREES.items()
    },
    **{
        f"rivals-{name}": Listener(TO_A, chain(jwt_filter(providers=_RIVALS, **every(tree))), LOG)
        for name, tree in _RIVAL_TREES.items()
    },
    **{
        f"single-{name}": Listener(
            TO_A,
            chain(
                jwt_filter(
                    providers={"p": provider(failed_status_in_metadata="failed")}, **every(tree)
                )
            ),
            LOG,
        )
        for name, tree in {"missing": MISSING, "failed": FAILED}.items()
    },
    "rules": Listener(
        TO_A,
        chain(jwt_filter(providers=_TWO, rules=_RULES, requirement_map={"good": P})),
        LOG,
    ),
    "per-route": Listener(
        _PER_ROUTE,
        chain(jwt_filter(providers=_TWO, requirement_map=_REQUIRED, **every(P))),
        LOG,
    ),
    "stripped": Listener(
        _PER_ROUTE,
        chain(
            jwt_filter(
                providers=_TWO, requirement_map=_REQUIRED, strip_failure_response=True, **every(P)
            )
        ),
        LOG,
    ),
    "preflight": Listener(
        TO_A,
        one(provider(forward_payload_header="x-payload"), bypass_cors_preflight=True),
        LOG,
    ),
}


def cases() -> list[Case]:
    cases = [
        Case(f"tree-{tree}-{name}", req("/", *headers), f"tree-{tree}", reply())
        for tree in _TREES
        for name, headers in _TREE_TOKENS.items()
    ]
    cases += [
        Case(f"rules-{n}", req(target, *headers), "rules", reply())
        for n, (target, *headers) in enumerate(
            [
                ("/open",),
                ("/exact",),
                ("/exact?x",),
                ("/exact/",),
                ("/CASE",),
                ("/re/12",),
                ("/re/x",),
                ("/sep",),
                ("/sep/x",),
                ("/sept",),
                ("/head",),
                ("/head", "x-a: 1"),
                ("/query?a=1",),
                ("/query?a=2",),
                ("/named",),
                ("/named", bearer(GOOD)),
                ("/other",),
                ("/openly",),
                ("/open", "x-payload: forged"),
                ("/other", "x-payload: forged"),
                ("/named", bearer(GOOD), "x-payload: forged"),
            ]
        )
    ]
    cases += [
        case_of(name, token, f"rivals-{tree}")
        for tree in _RIVAL_TREES
        for name, token in _RIVAL_TOKENS.items()
    ]
    cases += [
        Case("per-route-off-forged", req("/off", "x-payload: forged"), "per-route", reply()),
        Case(
            "preflight-forged",
            req("/", *_PREFLIGHT, "x-payload: forged", method="OPTIONS"),
            "preflight",
            reply(),
        ),
    ]
    cases += [
        Case(f"single-{tree}-{name}", req("/", *headers), f"single-{tree}", reply())
        for tree in ("missing", "failed")
        for name, headers in (
            ("none", []),
            ("nobody", [bearer(jwt.token(iss="https://nobody.example"))]),
            ("malformed", [bearer("a.b")]),
        )
    ]
    for listener in ("per-route", "stripped"):
        cases += [
            Case(f"{listener}-{n}", req(target, *headers), listener, reply())
            for n, (target, *headers) in enumerate(
                [
                    ("/off",),
                    ("/api",),
                    ("/api", bearer(GOOD)),
                    ("/api", bearer(jwt.token(aud="api"))),
                    ("/wrong",),
                    ("/wrong", bearer(GOOD)),
                    ("/rest",),
                    ("/rest", bearer(GOOD)),
                    ("/rest", bearer(EXPIRED)),
                ]
            )
        ]
    cases += [
        Case("preflight", req("/", *_PREFLIGHT, method="OPTIONS"), "preflight", reply()),
        Case("preflight-get", req("/", *_PREFLIGHT), "preflight", reply()),
        Case("preflight-half", req("/", _PREFLIGHT[0], method="OPTIONS"), "preflight", reply()),
        Case(
            "preflight-empty",
            req("/", "Origin:", _PREFLIGHT[1], method="OPTIONS"),
            "preflight",
            reply(),
        ),
        Case("preflight-not", req("/", *_PREFLIGHT, method="OPTIONS"), "claims", reply()),
    ]
    return cases
