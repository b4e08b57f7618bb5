"""Who reads what the filter has noted: routes, which may be chosen again, and `rbac`."""

from __future__ import annotations

import json
from typing import Any

from tests.differential.groups.jwt_authn.pieces import (
    GOOD,
    LOG,
    MISSING,
    NAMESPACE,
    TO_A,
    bearer,
    case_of,
    every,
    jwt_filter,
    one,
    provider,
)
from tests.differential.http_filters import a_filter, chain, host, route, table
from tests.differential.model import Case, Listener, reply, req
from tests.support import jwt


def _claim(*path: str, **value: Any) -> dict[str, Any]:
    keys = [{"key": key} for key in ("payload", *path)]
    return {"filter": NAMESPACE, "path": keys, "value": value}


def _claims_route(name: str, **match: Any) -> dict[str, Any]:
    return {
        "name": name,
        "match": {"prefix": "/", "dynamic_metadata": [_claim(*match.pop("path"), **match)]},
        "route": {"cluster": "b"},
    }


_ONE_OF: Any = {"one_of": {"string_match": {"exact": "b"}}}
_CLAIM_ROUTES = json.dumps(
    {
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [
                    _claims_route("text", path=["sub"], string_match={"exact": "text"}),
                    _claims_route("list", path=["groups"], list_match=_ONE_OF),
                    _claims_route("number", path=["size"], double_match={"exact": 3}),
                    _claims_route(
                        "range", path=["size"], double_match={"range": {"start": 5, "end": 7}}
                    ),
                    _claims_route("bool", path=["admin"], bool_match=True),
                    _claims_route("null", path=["none"], null_match={}),
                    _claims_route("deep", path=["a", "b"], string_match={"prefix": "c"}),
                    _claims_route("present", path=["here"], present_match=True),
                    _claims_route(
                        "or",
                        path=["o"],
                        or_match={
                            "value_matchers": [
                                {"string_match": {"exact": "b"}},
                                {"list_match": _ONE_OF},
                            ]
                        },
                    ),
                    {
                        "name": "inverted",
                        "match": {
                            "path": "/inverted",
                            "dynamic_metadata": [
                                {**_claim("sub", string_match={"exact": "user"}), "invert": True}
                            ],
                        },
                        "route": {"cluster": "b"},
                    },
                    {"name": "rest", "match": {"prefix": "/"}, "route": {"cluster": "a"}},
                ],
            }
        ]
    }
)
_CLAIM_TOKENS: dict[str, dict[str, Any]] = {
    "text": {"sub": "text"},
    "list": {"groups": ["a", "b"]},
    "list-not": {"groups": ["a"]},
    "list-text": {"groups": "b"},
    "number": {"size": 3},
    "range": {"size": 6.5},
    "range-end": {"size": 7},
    "bool": {"admin": True},
    "bool-not": {"admin": False},
    "null": {"none": None},
    "deep": {"a": {"b": "cd"}},
    "deep-not": {"a": "b"},
    "present": {"here": 0},
    "or-text": {"o": "b"},
    "or-list": {"o": ["b"]},
    "or-number": {"o": 1},
    "none": {},
}
_BY_HEADER = table(
    host(
        "all",
        "*",
        route(
            "token",
            match='prefix: "/", headers: [{name: authorization, present_match: true}]',
            action="route: {cluster: a}",
        ),
        route("all", match="prefix: /", action="route: {cluster: b}"),
    )
)
#: Which of what the filter does makes it choose the route again.
_AGAIN: dict[str, Any] = {
    "removed": {},
    "payload": {"forward_payload_header": "x-payload"},
    "claim": {"claim_to_headers": [{"header_name": "x-user", "claim_name": "sub"}]},
    "no-claim": {"claim_to_headers": [{"header_name": "x-user", "claim_name": "nothing"}]},
    "metadata": {"payload_in_metadata": "payload"},
    "head": {"header_in_metadata": "head"},
    "failed": {"failed_status_in_metadata": "failed"},
}


def _principal(*path: str, **value: Any) -> str:
    config = {
        "rules": {
            "action": "ALLOW",
            "policies": {
                "p": {
                    "permissions": [{"any": True}],
                    "principals": [{"metadata": _claim(*path, **value)}],
                }
            },
        }
    }
    return a_filter("rbac", "rbac.v3.RBAC", json.dumps(config)[1:-1])


def _then(rule: str, **more: Any) -> str:
    """The filter, and `rbac` behind it."""
    return chain(
        jwt_filter(
            providers={"p": provider(payload_in_metadata="payload", **more)}, **every(MISSING)
        ),
        rule,
    )


_PRINCIPALS = {
    "text": _principal("sub", string_match={"exact": "user"}),
    "list": _principal("groups", list_match=_ONE_OF),
    "deep": _principal("a", "b", string_match={"exact": "c"}),
    "number": _principal("size", double_match={"exact": 3}),
    "null": _principal("none", null_match={}),
}

LISTENERS: dict[str, Listener] = {
    "routed": Listener(
        _CLAIM_ROUTES,
        one(provider(payload_in_metadata="payload", clear_route_cache=True)),
        LOG,
    ),
    "routed-not": Listener(_CLAIM_ROUTES, one(provider(payload_in_metadata="payload")), LOG),
    "routed-header": Listener(
        _CLAIM_ROUTES,
        one(
            provider(
                clear_route_cache=True,
                claim_to_headers=[{"header_name": "x-user", "claim_name": "sub"}],
            )
        ),
        LOG,
    ),
    **{
        f"again-{name}": Listener(_BY_HEADER, one(provider(clear_route_cache=True, **more)), LOG)
        for name, more in _AGAIN.items()
    },
    **{f"rbac-{name}": Listener(TO_A, _then(rule), LOG) for name, rule in _PRINCIPALS.items()},
}


def cases() -> list[Case]:
    cases: list[Case] = []
    for listener in ("routed", "routed-not", "routed-header"):
        cases += [
            Case(
                f"{listener}-{name}",
                req("/", bearer(jwt.token(**claims))),
                listener,
                {"a": reply(), "b": reply()},
            )
            for name, claims in _CLAIM_TOKENS.items()
        ]
        cases += [
            Case(f"{listener}-missing", req("/"), listener, reply()),
            Case(
                f"{listener}-inverted",
                req("/inverted", bearer(GOOD)),
                listener,
                {"a": reply(), "b": reply()},
            ),
        ]
    for name in _PRINCIPALS:
        cases += [
            case_of(
                "good",
                jwt.token(groups=["a", "b"], a={"b": "c"}, size=3, none=None),
                f"rbac-{name}",
            ),
            case_of(
                "other", jwt.token(sub="x", groups=["a"], a="b", size=4, none=0), f"rbac-{name}"
            ),
            Case(f"rbac-{name}-missing", req("/"), f"rbac-{name}", reply()),
        ]
    cases += [
        Case(
            f"again-{name}", req("/", bearer(GOOD)), f"again-{name}", {"a": reply(), "b": reply()}
        )
        for name in _AGAIN
    ]
    return cases
