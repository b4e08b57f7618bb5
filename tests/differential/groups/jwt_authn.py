"""The HTTP filter `jwt_authn`: which tokens it takes, what it says of the others, what it forwards,
what it notes in dynamic metadata, and how routes and `rbac` read that."""

from __future__ import annotations

import json
from typing import Any

from tests.differential.http_filters import a_filter, chain, host, per_filter, route, table, typed
from tests.differential.model import Case, Group, Listener, ask, reply, req
from tests.support import jwt

_NAMESPACE = "envoy.filters.http.jwt_authn"
_PATHS = (
    "payload:sub payload:iss payload:exp payload:admin payload:none payload:scope payload:groups"
    " payload:nested:deep:er payload:nested payload:rate head:alg head:kid failed:code"
    " failed:message other:code missing"
).split()
_LOG = "\t".join(
    [
        "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %ROUTE_NAME% %UPSTREAM_CLUSTER%",
        *(f"{path}=%DYNAMIC_METADATA({_NAMESPACE}:{path})%" for path in _PATHS),
        f"cut=%DYNAMIC_METADATA({_NAMESPACE}:payload:nested):9%",
        "%DYNAMIC_METADATA(envoy.filters.http.rbac:enforced_engine_result)%\n",
    ]
)
_TO_A = table(host("all", "*", route("all", match="prefix: /")))


def _filter(name: str = "jwt", **config: Any) -> str:
    return a_filter(name, "jwt_authn.v3.JwtAuthentication", json.dumps(config)[1:-1])


def provider(*, keys: str = "", **more: Any) -> dict[str, Any]:
    """A provider with keys of its own; without `issuer` that of the tokens here."""
    inline = {"inline_string": keys or jwt.keys(jwt.key("RS256"))}
    return {"issuer": jwt.ISSUER, "local_jwks": inline, **more}


def every(requires: Any, **more: Any) -> dict[str, Any]:
    """One rule, for every path."""
    return {"rules": [{"match": {"prefix": "/"}, "requires": requires}], **more}


def _one(provider: dict[str, Any], **more: Any) -> str:
    """A chain with one provider, which is required."""
    return chain(_filter(providers={"p": provider}, **every({"provider_name": "p"}, **more)))


def bearer(token: str) -> str:
    """The usual header."""
    return f"Authorization: Bearer {token}"


_GOOD = jwt.token()
_SIGNED, _, _SIGNATURE = _GOOD.rpartition(".")
_HEADER, _PAYLOAD, _ = _GOOD.split(".")
_OTHER = "https://other.example"
_EXPIRED = jwt.token(exp=1000)
_NONE = jwt.b64(b'{"alg": "none"}')


def _alg_case(name: str, token: str, listener: str = "algs") -> Case:
    return Case(f"{listener}-{name}", req("/", bearer(token)), listener, reply())


_MALFORMED = {
    "empty": "",
    "dots": "..",
    "no-dots": "abc",
    "one-dot": "a.b",
    "three-dots": f"{_GOOD}.x",
    "dot-before": f".{_GOOD}",
    "dot-after": f"{_GOOD}.",
    "two-dots-between": _GOOD.replace(".", "..", 1),
    "empty-payload": f"{_HEADER}..{_SIGNATURE}",
    "empty-signature": f"{_SIGNED}.",
    "cut": _GOOD[:-3],
    "bad-header": f"!{_GOOD[1:]}",
    "bad-header-base64": f"a*b.{_PAYLOAD}.{_SIGNATURE}",
    "header-length": f"a.{_PAYLOAD}.{_SIGNATURE}",
    "bad-payload-base64": f"{_HEADER}.a*b.{_SIGNATURE}",
    "bad-signature-base64": f"{_SIGNED}.a*b",
    "padded-header": f"{_HEADER}=.{_PAYLOAD}.{_SIGNATURE}",
    "padded-signature": f"{_GOOD}==",
    "plus": f"{_SIGNED}.a+b/",
    "trailing-bits": f"{_SIGNED}.YR",
    "trailing-space": f"{_GOOD} ",
    "more-after": f"{_GOOD} tail",
    "comma": f"{_GOOD},Bearer {_GOOD}",
    "header-no-json": jwt.raw("{}", "no json"),
    "header-list": jwt.raw("{}", "[]"),
    "no-alg": jwt.raw("{}", {"typ": "JWT", "signed": "RS256"}),
    "alg-number": jwt.raw("{}", '{"alg": 1}'),
    "alg-none": jwt.raw(json.dumps({"iss": jwt.ISSUER}), '{"alg": "none"}'),
    "alg-None": jwt.raw(json.dumps({"iss": jwt.ISSUER}), '{"alg": "None"}'),
    "alg-none-unsigned": f"{_NONE}.{_PAYLOAD}.",
    "alg-lower": jwt.raw("{}", '{"alg": "rs256"}'),
    "alg-unknown": jwt.raw("{}", '{"alg": "ES256K"}'),
    "kid-number": jwt.raw("{}", '{"alg": "RS256", "kid": 1}'),
    "payload-no-json": jwt.raw("no json", {"alg": "RS256"}),
    "payload-list": jwt.raw("[1]", {"alg": "RS256"}),
    "payload-text": jwt.raw('"x"', {"alg": "RS256"}),
    "payload-empty": jwt.raw("", {"alg": "RS256"}),
    "payload-not-utf8": jwt.raw(b'{"iss": "\xff"}', {"alg": "RS256"}),
    "payload-deep": jwt.raw('{"a":' * 90 + "1" + "}" * 90, {"alg": "RS256"}),
    "payload-too-deep": jwt.raw('{"a":' * 200 + "1" + "}" * 200, {"alg": "RS256"}),
    "payload-twice": jwt.raw(
        f'{{"iss": "{_OTHER}", "iss": "{jwt.ISSUER}", "exp": {jwt.NEVER}}}', {"alg": "RS256"}
    ),
    "payload-trailing": jwt.raw(f'{{"iss": "{jwt.ISSUER}"}} x', {"alg": "RS256"}),
    "payload-spaces": jwt.raw(f' {{ "iss" : "{jwt.ISSUER}" }}\n', {"alg": "RS256"}),
    "payload-escapes": jwt.raw(
        '{"iss": "https:\\/\\/issuer.example", "sub": "\\u00e9\\ud83d\\ude00"}', {"alg": "RS256"}
    ),
    "payload-half-pair": jwt.raw(f'{{"iss": "{jwt.ISSUER}", "sub": "\\ud83d"}}', {"alg": "RS256"}),
    "payload-huge-number": jwt.raw(f'{{"iss": "{jwt.ISSUER}", "x": 1e999}}', {"alg": "RS256"}),
    "payload-nan": jwt.raw(f'{{"iss": "{jwt.ISSUER}", "x": NaN}}', {"alg": "RS256"}),
    "payload-zeroes": jwt.raw(f'{{"iss": "{jwt.ISSUER}", "x": 01}}', {"alg": "RS256"}),
}
_CLAIMS: dict[str, dict[str, Any]] = {
    "iss-wrong": {"iss": _OTHER},
    "iss-number": {"iss": 1},
    "sub-number": {"sub": 1},
    "iat-text": {"iat": "1"},
    "iat-negative": {"iat": -1},
    "nbf-text": {"nbf": "1"},
    "nbf-huge": {"nbf": 1e30},
    "nbf-later": {"nbf": jwt.NEVER - 100},
    "nbf-before": {"nbf": 1000},
    "exp-text": {"exp": "1"},
    "exp-negative": {"exp": -1},
    "exp-past": {"exp": 1000},
    "exp-zero": {"exp": 0},
    "exp-half": {"exp": jwt.NEVER + 0.5},
    "exp-null": {"exp": None},
    "exp-huge": {"exp": 1e30},
    "jti-number": {"jti": 1},
    "aud-number": {"aud": 1},
    "aud-mixed": {"aud": ["a", 1]},
    "aud-any": {"aud": ["a", "b"]},
    "aud-null": {"aud": None},
    **{
        f"number-{n}": {"rate": rate}
        for n, rate in enumerate([1e21, 0.1, 1e-7, 1.5e300, -2, 123456789.125, 9007199254740993, 0])
    },
}
_AUDIENCES: dict[str, Any] = {
    "one": "web",
    "among": ["x", "web"],
    "slash": "web/",
    "scheme": "https://web/",
    "other-scheme": "http://api",
    "wrong": "nobody",
    "empty": [],
    "blank": "",
    "case": "WEB",
}
_RICH = jwt.token(
    header={"kid": "k"},
    sub="me",
    admin=True,
    none=None,
    rate=1.5,
    count=7,
    scope="read  write",
    groups=["a", "b"],
    nested={"deep": {"er": "x", "n": 3}, "list": [1, {"a": "b"}]},
    quoted='a"b',
    single={"k": 1.5},
)
_OUT: dict[str, Any] = {
    "plain": {},
    "kept": {"forward": True},
    "payload": {"forward_payload_header": "x-payload"},
    "padded": {"forward_payload_header": "x-payload", "pad_forward_payload_header": True},
    "claims": {
        "claim_to_headers": [
            {"header_name": f"x-claim-{n}", "claim_name": name}
            for n, name in enumerate(
                # Of structs with several fields Envoy's order is that of a hash table.
                "sub admin none rate count scope groups single nested.deep.er"
                " nested.deep.n nested.list missing sub.x exp quoted".split()
            )
        ]
    },
    "paths": {
        "claim_to_headers": [
            {"header_name": "x-path", "claim_path": [{"key": "nested"}, {"key": "list"}]},
            {"header_name": "x-path", "claim_path": [{"key": "sub"}]},
        ]
    },
    "metadata": {
        "payload_in_metadata": "payload",
        "header_in_metadata": "head",
        "failed_status_in_metadata": "failed",
    },
    "whole": {"payload_in_metadata": "payload", "header_in_metadata": "payload"},
    "normal": {
        "payload_in_metadata": "payload",
        "normalize_payload_in_metadata": {
            "space_delimited_claims": ["scope", "sub", "groups", "missing"]
        },
    },
}
_PLACES: dict[str, Any] = {
    "default": {},
    "header": {"from_headers": [{"name": "x-token"}]},
    "prefix": {"from_headers": [{"name": "x-token", "value_prefix": "jwt="}]},
    "cookie-header": {"from_headers": [{"name": "cookie", "value_prefix": "t="}]},
    "two-headers": {"from_headers": [{"name": "x-a"}, {"name": "x-b", "value_prefix": "Token "}]},
    "param": {"from_params": ["t", "u"]},
    "cookie": {"from_cookies": ["session", "other"]},
    "all": {"from_headers": [{"name": "x-token"}], "from_params": ["t"], "from_cookies": ["c"]},
    "kept": {"from_params": ["t"], "forward": True},
}
_ASKED: dict[str, list[bytes]] = {
    "default": [
        req("/"),
        req("/", bearer(_GOOD)),
        req("/", f"authorization: bearer {_GOOD}"),
        req("/", f"Authorization: Basic x, Bearer {_GOOD}"),
        req("/", f"Authorization: Bearer  {_GOOD}"),
        req("/", f"Authorization: Bearer{_GOOD}"),
        req("/", f"Authorization: {_GOOD}"),
        req("/", "Authorization: Bearer "),
        req(f"/x?access_token={_GOOD}&a=1"),
        req(f"/x?a=1&access_token={_GOOD}"),
        req(f"/x?access_token={_GOOD}"),
        req(f"/x?access_token=bad&access_token={_GOOD}"),
        req(f"/x?access_token={_GOOD}", bearer(_GOOD)),
        req(f"/x?access_token={_EXPIRED}", bearer(_GOOD)),
        req(f"/x?access_token={_GOOD}", bearer(_EXPIRED)),
        req("/", bearer(_GOOD), bearer(_EXPIRED)),
        req("/", bearer(_EXPIRED), bearer(_GOOD)),
        req("/x?access_token="),
        req(f"/x?access_token={_GOOD}&b=%41%2F+x&c&=d"),
        req(f"/x?%61ccess_token={_GOOD}"),
        req(f"/x?access_token={_GOOD}&b=%20%0d%0a%23%3f&b=%26%3D"),
    ],
    "header": [
        req("/", f"x-token: {_GOOD}"),
        req("/", bearer(_GOOD)),
        req("/", f"x-token: Bearer {_GOOD}"),
        req("/", f"x-token: {_GOOD}", f"x-token: {_GOOD}"),
        req("/", "x-token:"),
    ],
    "prefix": [
        req("/", f"x-token: jwt={_GOOD}"),
        req("/", f'x-token: a="b" jwt="{_GOOD}"'),
        req("/", f"x-token: {_GOOD}"),
        req("/", f"x-token: jwt={_GOOD};x"),
        req("/", "x-token: jwt=;"),
    ],
    "cookie-header": [
        req("/", f"cookie: t={_GOOD}"),
        req("/", "cookie: a=b", f"cookie: t={_GOOD}"),
    ],
    "two-headers": [
        req("/", f"x-a: {_GOOD}"),
        req("/", f"x-b: Token {_GOOD}"),
        req("/", f"x-a: {_GOOD}", f"x-b: Token {_GOOD}"),
        req("/", f"x-a: {_EXPIRED}", f"x-b: Token {_GOOD}"),
    ],
    "param": [
        req(f"/?t={_GOOD}"),
        req(f"/?u={_GOOD}&t={_GOOD}"),
        req(f"/?u={_GOOD}&x=1"),
        req(f"/?T={_GOOD}"),
        req(f"/?t={_GOOD.replace('.', '%2E')}"),
    ],
    "cookie": [
        req("/", f"cookie: session={_GOOD}"),
        req("/", f"cookie: a=b; session={_GOOD}; c=d"),
        req("/", f'cookie: session="{_GOOD}"'),
        req("/", "cookie: a=b", f"cookie: session={_GOOD}"),
        req("/", f"cookie: session=bad; session={_GOOD}"),
        req("/", f"cookie: other={_GOOD}; session={_EXPIRED}"),
        req("/", f"cookie: Session={_GOOD}"),
        req("/", "cookie: session="),
    ],
    "all": [
        req(f"/?t={_GOOD}", f"x-token: {_GOOD}", f"cookie: c={_GOOD}"),
        req(f"/?t={_GOOD}", f"x-token: {_GOOD}", f"cookie: c={_EXPIRED}"),
        req("/", bearer(_GOOD)),
    ],
    "kept": [req(f"/?a=1&t={_GOOD}")],
}
_P, _Q = {"provider_name": "p"}, {"provider_name": "q"}
_MISSING: Any = {"allow_missing": {}}
_FAILED: Any = {"allow_missing_or_failed": {}}
_TWO = {
    "p": provider(payload_in_metadata="payload", failed_status_in_metadata="failed"),
    "q": provider(
        issuer=_OTHER,
        audiences=["web"],
        from_headers=[{"name": "x-q"}],
        forward_payload_header="x-payload",
        failed_status_in_metadata="other",
    ),
}
_FOR_Q = jwt.token(iss=_OTHER, aud="web")
_TREES: dict[str, Any] = {
    "any": {"requires_any": {"requirements": [_P, _Q]}},
    "all": {"requires_all": {"requirements": [_P, _Q]}},
    "missing": _MISSING,
    "failed": _FAILED,
    "nothing": {},
    "optional": {"requires_any": {"requirements": [_P, _MISSING]}},
    "lax": {"requires_any": {"requirements": [_P, _FAILED]}},
    "only-lax": {"requires_any": {"requirements": [_MISSING, _FAILED]}},
    "audience": {"provider_and_audiences": {"provider_name": "p", "audiences": ["api"]}},
    "istio": {
        "requires_any": {
            "requirements": [
                _P,
                _Q,
                {
                    "requires_all": {
                        "requirements": [
                            {"requires_any": {"requirements": [_P, _MISSING]}},
                            {"requires_any": {"requirements": [_Q, _MISSING]}},
                        ]
                    }
                },
            ]
        }
    },
}
_TREE_TOKENS: dict[str, list[str]] = {
    "none": [],
    "p": [bearer(_GOOD)],
    "q": [f"x-q: {_FOR_Q}"],
    "both": [bearer(_GOOD), f"x-q: {_FOR_Q}"],
    "p-expired": [bearer(_EXPIRED)],
    "p-expired-q": [bearer(_EXPIRED), f"x-q: {_FOR_Q}"],
    "q-audience": [f"x-q: {jwt.token(iss=_OTHER, aud='x')}"],
    "p-q-audience": [bearer(_GOOD), f"x-q: {jwt.token(iss=_OTHER, aud='x')}"],
    "p-nobody-in-q": [bearer(_GOOD), f"x-q: {jwt.token(iss='https://nobody.example')}"],
    "q-in-p": [bearer(_FOR_Q)],
    "p-in-q": [f"x-q: {_GOOD}"],
    "nobody": [bearer(jwt.token(iss="https://nobody.example"))],
    "api": [bearer(jwt.token(aud="api"))],
    "forged": ["x-payload: forged"],
}
_RULES: list[dict[str, Any]] = [
    {"match": {"prefix": "/open"}},
    {"match": {"path": "/exact"}, "requires": _P},
    {"match": {"path": "/case", "case_sensitive": False}, "requires": _P},
    {"match": {"safe_regex": {"regex": "/re/[0-9]+"}}, "requires": _P},
    {"match": {"path_separated_prefix": "/sep"}, "requires": _P},
    {
        "match": {
            "prefix": "/head",
            "headers": [{"name": "x-a", "string_match": {"exact": "1"}}],
        },
        "requires": _P,
    },
    {
        "match": {
            "prefix": "/query",
            "query_parameters": [{"name": "a", "string_match": {"exact": "1"}}],
        },
        "requires": _P,
    },
    {"match": {"prefix": "/named"}, "requirement_name": "good"},
    {"match": {"connect_matcher": {}}, "requires": _P},
]


def _claim(*path: str, **value: Any) -> dict[str, Any]:
    keys = [{"key": key} for key in ("payload", *path)]
    return {"filter": _NAMESPACE, "path": keys, "value": value}


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
        _filter(
            providers={"p": provider(payload_in_metadata="payload", **more)}, **every(_MISSING)
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
_URI = {"uri": "http://keys.example:81/keys?x=1", "cluster": "b", "timeout": "2s"}


def _remote(**more: Any) -> dict[str, Any]:
    """A provider whose keys cluster b has; no set is good for long."""
    config = {"http_uri": _URI, "cache_duration": "0.001s", **more}
    return {"issuer": jwt.ISSUER, "remote_jwks": config, "failed_status_in_metadata": "failed"}


_REMOTE = {"p": _remote(), "q": _remote() | {"issuer": _OTHER, "from_headers": [{"name": "x-q"}]}}
_KEYS_OF_B = jwt.keys(jwt.key("RS256")).encode()
_REMOTE_ANSWERS: dict[str, Any] = {
    "good": reply(body=_KEYS_OF_B),
    "wrong": reply(body=jwt.keys(jwt.key("HS256")).encode()),
    "not-found": reply("404 Not Found", body=_KEYS_OF_B),
    "accepted": reply("202 Accepted", body=_KEYS_OF_B),
    "empty": reply(body=b""),
    "nonsense": reply(body=b"nonsense"),
}
_REQUIRED = {
    "good": _P,
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
_SETS: dict[str, str] = {
    "bad-then-good": jwt.keys({"kty": "RSA", "n": "!", "e": "AQAB"}, jwt.key("RS256")),
    "no-objects": json.dumps({"keys": [1, "x", jwt.key("RS256")]}),
    "rsa-exponent": jwt.keys({**jwt.key("RS256"), "e": "Aw"}),
    "x509": json.dumps({"k1": jwt.certificate()}),
    "x5c": jwt.keys(jwt.key("RS256", x5c=["no certificate"])),
    "use-enc": jwt.keys(jwt.key("RS256", use="enc")),
    "padded": jwt.keys({**jwt.key("RS256"), "n": jwt.key("RS256")["n"] + "=="}),
    "kid-number": jwt.keys(jwt.key("RS256", kid=1)),
    "zeroes": jwt.keys({**jwt.key("RS256"), "e": "AAEAAQ"}),
}
_KIDS = jwt.keys(
    jwt.key("ES256", kid="a"),
    jwt.key("RS256", kid="b", alg="RS256"),
    jwt.key("EdDSA", kid="c"),
    jwt.key("HS256", kid="d", alg="HS256"),
)
#: Two providers that look at the same place.
_RIVALS = {
    "p": provider(forward=True, forward_payload_header="x-payload"),
    "r": provider(
        issuer=_OTHER, audiences=["web"], forward=True, forward_payload_header="x-payload"
    ),
    "s": provider(forward=True, forward_payload_header="x-payload"),
}
_RIVAL_TREES: dict[str, Any] = {
    "any": {"requires_any": {"requirements": [_P, {"provider_name": "r"}]}},
    "any-turned": {"requires_any": {"requirements": [{"provider_name": "r"}, _P]}},
    "all": {"requires_all": {"requirements": [_P, {"provider_name": "s"}]}},
}
_RIVAL_TOKENS: dict[str, str] = {
    "good": _GOOD,
    "expired": _EXPIRED,
    "other": _FOR_Q,
    "other-expired": jwt.token(iss=_OTHER, aud="web", exp=1000),
    "other-audience": jwt.token(iss=_OTHER),
    "forged": f"{_SIGNED}.{jwt.b64(b'x' * 256)}",
    "nobody": jwt.token(iss="https://nobody.example"),
}
_PREFLIGHT = ("Origin: http://a", "Access-Control-Request-Method: GET")

_LISTENERS: dict[str, Listener] = {
    "algs": Listener(_TO_A, _one(provider(keys=jwt.every_key())), _LOG),
    "kids": Listener(_TO_A, _one(provider(keys=_KIDS)), _LOG),
    "claims": Listener(_TO_A, _one(provider(payload_in_metadata="payload")), _LOG),
    "skew": Listener(_TO_A, _one(provider(clock_skew_seconds=jwt.NEVER)), _LOG),
    "any-issuer": Listener(_TO_A, _one(provider(issuer="")), _LOG),
    "audiences": Listener(_TO_A, _one(provider(audiences=["web", "https://api/"])), _LOG),
    "subjects": Listener(_TO_A, _one(provider(subjects={"prefix": "u"})), _LOG),
    "expires": Listener(_TO_A, _one(provider(require_expiration=True)), _LOG),
    "lifetime": Listener(_TO_A, _one(provider(max_lifetime="3600s")), _LOG),
    **{f"out-{name}": Listener(_TO_A, _one(provider(**more)), _LOG) for name, more in _OUT.items()},
    **{
        f"at-{name}": Listener(_TO_A, _one(provider(**more)), _LOG)
        for name, more in _PLACES.items()
    },
    **{
        f"tree-{name}": Listener(_TO_A, chain(_filter(providers=_TWO, **every(tree))), _LOG)
        for name, tree in _TREES.items()
    },
    **{
        f"rivals-{name}": Listener(_TO_A, chain(_filter(providers=_RIVALS, **every(tree))), _LOG)
        for name, tree in _RIVAL_TREES.items()
    },
    **{
        f"single-{name}": Listener(
            _TO_A,
            chain(
                _filter(
                    providers={"p": provider(failed_status_in_metadata="failed")}, **every(tree)
                )
            ),
            _LOG,
        )
        for name, tree in {"missing": _MISSING, "failed": _FAILED}.items()
    },
    "rules": Listener(
        _TO_A,
        chain(_filter(providers=_TWO, rules=_RULES, requirement_map={"good": _P})),
        _LOG,
    ),
    "per-route": Listener(
        _PER_ROUTE,
        chain(_filter(providers=_TWO, requirement_map=_REQUIRED, **every(_P))),
        _LOG,
    ),
    "preflight": Listener(
        _TO_A,
        _one(provider(forward_payload_header="x-payload"), bypass_cors_preflight=True),
        _LOG,
    ),
    "remote": Listener(_TO_A, chain(_filter(providers=_REMOTE, **every(_P))), _LOG),
    "remote-any": Listener(
        _TO_A,
        chain(
            _filter(providers=_REMOTE, **every({"requires_any": {"requirements": [_P, _Q]}})),
        ),
        _LOG,
    ),
    "remote-lax": Listener(_TO_A, chain(_filter(providers=_REMOTE, **every(_FAILED))), _LOG),
    "stripped": Listener(
        _PER_ROUTE,
        chain(
            _filter(
                providers=_TWO, requirement_map=_REQUIRED, strip_failure_response=True, **every(_P)
            )
        ),
        _LOG,
    ),
    "prefixed": Listener(_TO_A, _one(provider(), stat_prefix="mine"), _LOG),
    "cached": Listener(
        _TO_A,
        _one(
            provider(
                jwt_cache_config={"jwt_cache_size": 2, "jwt_max_token_size": 460},
                payload_in_metadata="payload",
                forward_payload_header="x-payload",
            )
        ),
        _LOG,
    ),
    "routed": Listener(
        _CLAIM_ROUTES,
        _one(provider(payload_in_metadata="payload", clear_route_cache=True)),
        _LOG,
    ),
    "routed-not": Listener(_CLAIM_ROUTES, _one(provider(payload_in_metadata="payload")), _LOG),
    "routed-header": Listener(
        _CLAIM_ROUTES,
        _one(
            provider(
                clear_route_cache=True,
                claim_to_headers=[{"header_name": "x-user", "claim_name": "sub"}],
            )
        ),
        _LOG,
    ),
    **{
        f"again-{name}": Listener(_BY_HEADER, _one(provider(clear_route_cache=True, **more)), _LOG)
        for name, more in _AGAIN.items()
    },
    "whole-log": Listener(
        _TO_A,
        _one(provider(payload_in_metadata="payload", header_in_metadata="head")),
        f"%DYNAMIC_METADATA({_NAMESPACE})% %DYNAMIC_METADATA({_NAMESPACE}):20%\n",
    ),
    **{f"rbac-{name}": Listener(_TO_A, _then(rule), _LOG) for name, rule in _PRINCIPALS.items()},
    **{
        f"keys-{name}": Listener(_TO_A, _one(provider(keys=keys)), _LOG)
        for name, keys in _SETS.items()
    },
}


def _cases() -> list[Case]:
    cases = [_alg_case(alg, jwt.token(alg)) for alg in jwt.EVERY]
    cases += [
        _alg_case(f"{alg}-forged", f"{jwt.token(alg).rpartition('.')[0]}.{jwt.b64(b'x' * 64)}")
        for alg in ("RS256", "PS256", "ES256", "HS256", "EdDSA")
    ]
    cases += [
        _alg_case("eddsa-short", f"{jwt.token('EdDSA').rpartition('.')[0]}.{jwt.b64(b'x' * 63)}"),
        # The key of one algorithm must not be taken for another's secret.
        _alg_case(
            "es-as-rs",
            jwt.raw(json.dumps({"iss": jwt.ISSUER}), {"alg": "RS256", "signed": "ES256"}),
        ),
        _alg_case(
            "rs-as-ps",
            jwt.raw(json.dumps({"iss": jwt.ISSUER}), {"alg": "PS256", "signed": "RS256"}),
        ),
        _alg_case(
            "hs-as-rs",
            jwt.raw(json.dumps({"iss": jwt.ISSUER}), {"alg": "RS256", "signed": "HS256"}),
        ),
        _alg_case(
            "hs256-as-hs512",
            jwt.raw(json.dumps({"iss": jwt.ISSUER}), {"alg": "HS512", "signed": "HS256"}),
        ),
        _alg_case("es256-with-p384", jwt.crossed("384", "256")),
        _alg_case("es384-with-p256", jwt.crossed("256", "384")),
    ]
    cases += [
        _alg_case(f"{alg}-{kid}", jwt.token(alg, {"kid": kid} if kid else None), "kids")
        for alg, kid in (
            ("RS256", "b"),
            ("RS256", "a"),
            ("RS256", "x"),
            ("RS256", ""),
            ("RS384", "b"),
            ("PS256", ""),
            ("ES256", "a"),
            ("ES256", ""),
            ("EdDSA", "c"),
            ("EdDSA", "a"),
            ("HS256", "d"),
            ("HS384", "d"),
            ("HS256", ""),
        )
    ]
    cases += [_alg_case(name, token, "claims") for name, token in _MALFORMED.items()]
    cases += [_alg_case(name, jwt.token(**more), "claims") for name, more in _CLAIMS.items()]
    cases += [
        _alg_case("iss-missing", jwt.token(without=("iss",)), "claims"),
        _alg_case("sub-missing", jwt.token(without=("sub",)), "claims"),
        _alg_case("exp-missing", jwt.token(without=("exp",)), "claims"),
        _alg_case("large", jwt.token(filler="x" * 20000), "claims"),
        _alg_case("past", _EXPIRED, "skew"),
        _alg_case("later", jwt.token(nbf=jwt.NEVER - 100), "skew"),
        _alg_case("other", jwt.token(iss=_OTHER), "any-issuer"),
        _alg_case("none", jwt.token(without=("iss",)), "any-issuer"),
    ]
    cases += [_alg_case(n, jwt.token(aud=aud), "audiences") for n, aud in _AUDIENCES.items()]
    cases += [
        _alg_case("missing", _GOOD, "audiences"),
        _alg_case("good", _GOOD, "subjects"),
        _alg_case("wrong", jwt.token(sub="x"), "subjects"),
        _alg_case("missing", jwt.token(without=("sub",)), "subjects"),
        _alg_case("good", _GOOD, "expires"),
        _alg_case("never", jwt.token(without=("exp",)), "expires"),
        _alg_case("zero", jwt.token(exp=0), "expires"),
        _alg_case("long", _GOOD, "lifetime"),
        _alg_case("never", jwt.token(without=("exp",)), "lifetime"),
    ]
    for name in _OUT:
        forged = ("x-payload: forged", "x-claim-0: forged", "x-path: forged")
        cases += [
            Case(f"out-{name}-{what}", req("/a?b", *headers, *forged), f"out-{name}", reply())
            for what, headers in (
                ("good", [bearer(_RICH)]),
                ("bad", [bearer(_EXPIRED)]),
                ("missing", []),
            )
        ]
    for name, asked in _ASKED.items():
        cases += [
            Case(f"at-{name}-{n}", send, f"at-{name}", reply()) for n, send in enumerate(asked)
        ]
    cases += [
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
                ("/named", bearer(_GOOD)),
                ("/other",),
                ("/openly",),
                ("/open", "x-payload: forged"),
                ("/other", "x-payload: forged"),
                ("/named", bearer(_GOOD), "x-payload: forged"),
            ]
        )
    ]
    cases += [
        _alg_case(name, token, f"rivals-{tree}")
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
        Case(f"remote-{name}", req("/", bearer(_GOOD)), "remote", {"a": reply(), "b": answer})
        for name, answer in _REMOTE_ANSWERS.items()
    ]
    cases += [
        Case(f"remote-{name}", req("/", *headers), "remote", {"a": reply(), "b": reply()})
        for name, headers in (
            ("missing", []),
            ("expired", [bearer(_EXPIRED)]),
            ("nobody", [bearer(jwt.token(iss="https://nobody.example"))]),
        )
    ]
    cases += [
        Case(
            "remote-body",
            req("/", bearer(_GOOD), method="POST", body=b"x" * 100),
            "remote",
            {"a": reply(), "b": reply(body=_KEYS_OF_B)},
        ),
        Case(
            "remote-h2",
            ask("/", ("authorization", f"Bearer {_GOOD}")),
            "remote",
            {"a": reply(), "b": reply(body=_KEYS_OF_B)},
        ),
        Case(
            "remote-any",
            req("/", f"x-q: {jwt.token(iss=_OTHER)}"),
            "remote-any",
            {"a": reply(), "b": reply(body=_KEYS_OF_B)},
        ),
        Case(
            "remote-lax-failed",
            req("/", bearer(_GOOD)),
            "remote-lax",
            {"a": reply(), "b": reply("500 Internal Server Error")},
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
                    ("/api", bearer(_GOOD)),
                    ("/api", bearer(jwt.token(aud="api"))),
                    ("/wrong",),
                    ("/wrong", bearer(_GOOD)),
                    ("/rest",),
                    ("/rest", bearer(_GOOD)),
                    ("/rest", bearer(_EXPIRED)),
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
        _alg_case("good", _GOOD, "prefixed"),
        Case("prefixed-missing", req("/"), "prefixed", reply()),
        *(
            Case(f"cached-{n}", req("/", bearer(token)), "cached", reply())
            for n, token in enumerate(
                [
                    _GOOD,
                    _GOOD,
                    _EXPIRED,
                    _EXPIRED,
                    jwt.token(sub="a"),
                    jwt.token(sub="b"),
                    _GOOD,
                    jwt.token(sub="a" * 100),
                    jwt.token(sub="a" * 100),
                ]
            )
        ),
        Case("long-uri", req("/" + "x" * 400), "claims", reply()),
        Case("other-host", req("/a?b=c", host="Other.Example:8080"), "claims", reply()),
        Case("https", req("/a", "x-forwarded-proto: https"), "claims", reply()),
        Case("quote", req('/a"b'), "claims", reply()),
        Case("head", req("/", method="HEAD"), "claims", reply()),
        Case("body", req("/", method="POST", body=b"x" * 100), "claims", reply()),
        Case("grpc", req("/", "content-type: application/grpc", method="POST"), "claims", reply()),
        Case("h2", ask("/"), "claims"),
        Case("h2-grpc", ask("/", ("content-type", "application/grpc")), "claims"),
        Case("h2-audience", ask("/", ("authorization", f"Bearer {_GOOD}")), "audiences"),
    ]
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
                req("/inverted", bearer(_GOOD)),
                listener,
                {"a": reply(), "b": reply()},
            ),
        ]
    for name in _PRINCIPALS:
        cases += [
            _alg_case(
                "good",
                jwt.token(groups=["a", "b"], a={"b": "c"}, size=3, none=None),
                f"rbac-{name}",
            ),
            _alg_case(
                "other", jwt.token(sub="x", groups=["a"], a="b", size=4, none=0), f"rbac-{name}"
            ),
            Case(f"rbac-{name}-missing", req("/"), f"rbac-{name}", reply()),
        ]
    cases += [
        Case(
            f"again-{name}", req("/", bearer(_GOOD)), f"again-{name}", {"a": reply(), "b": reply()}
        )
        for name in _AGAIN
    ]
    cases += [_alg_case("good", _RICH, "whole-log")]
    for name in _SETS:
        cases += [_alg_case("rs", _GOOD, f"keys-{name}")]
    cases += [
        _alg_case("kid", jwt.token(header={"kid": "k1"}), "keys-x509"),
        _alg_case("other-kid", jwt.token(header={"kid": "k2"}), "keys-x509"),
    ]
    return cases


GROUP = Group(name="jwt_authn", doc=__doc__, listeners=_LISTENERS, cases=_cases())
