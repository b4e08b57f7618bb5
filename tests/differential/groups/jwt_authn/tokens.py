"""Tokens, well-formed and not, and their claims."""

from __future__ import annotations

import json
from typing import Any

from tests.differential.groups.jwt_authn.pieces import (
    EXPIRED,
    GOOD,
    LOG,
    OTHER,
    SIGNED,
    TO_A,
    bearer,
    case_of,
    one,
    provider,
)
from tests.differential.model import Case, Listener, reply, req
from tests.support import jwt

_HEADER, _PAYLOAD, _SIGNATURE = GOOD.split(".")
_NONE = jwt.b64(b'{"alg": "none"}')
_MALFORMED = {
    "empty": "",
    "dots": "..",
    "no-dots": "abc",
    "one-dot": "a.b",
    "three-dots": f"{GOOD}.x",
    "dot-before": f".{GOOD}",
    "dot-after": f"{GOOD}.",
    "two-dots-between": GOOD.replace(".", "..", 1),
    "empty-payload": f"{_HEADER}..{_SIGNATURE}",
    "empty-signature": f"{SIGNED}.",
    "cut": GOOD[:-3],
    "bad-header": f"!{GOOD[1:]}",
    "bad-header-base64": f"a*b.{_PAYLOAD}.{_SIGNATURE}",
    "header-length": f"a.{_PAYLOAD}.{_SIGNATURE}",
    "bad-payload-base64": f"{_HEADER}.a*b.{_SIGNATURE}",
    "bad-signature-base64": f"{SIGNED}.a*b",
    "padded-header": f"{_HEADER}=.{_PAYLOAD}.{_SIGNATURE}",
    "padded-signature": f"{GOOD}==",
    "plus": f"{SIGNED}.a+b/",
    "trailing-bits": f"{SIGNED}.YR",
    "trailing-space": f"{GOOD} ",
    "more-after": f"{GOOD} tail",
    "comma": f"{GOOD},Bearer {GOOD}",
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
        f'{{"iss": "{OTHER}", "iss": "{jwt.ISSUER}", "exp": {jwt.NEVER}}}', {"alg": "RS256"}
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
    "iss-wrong": {"iss": OTHER},
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

LISTENERS: dict[str, Listener] = {
    "claims": Listener(TO_A, one(provider(payload_in_metadata="payload")), LOG),
    "skew": Listener(TO_A, one(provider(clock_skew_seconds=jwt.NEVER)), LOG),
    "any-issuer": Listener(TO_A, one(provider(issuer="")), LOG),
    "audiences": Listener(TO_A, one(provider(audiences=["web", "https://api/"])), LOG),
    "subjects": Listener(TO_A, one(provider(subjects={"prefix": "u"})), LOG),
    "expires": Listener(TO_A, one(provider(require_expiration=True)), LOG),
    "lifetime": Listener(TO_A, one(provider(max_lifetime="3600s")), LOG),
    "cached": Listener(
        TO_A,
        one(
            provider(
                jwt_cache_config={"jwt_cache_size": 2, "jwt_max_token_size": 460},
                payload_in_metadata="payload",
                forward_payload_header="x-payload",
            )
        ),
        LOG,
    ),
}


def cases() -> list[Case]:
    cases = [case_of(name, token, "claims") for name, token in _MALFORMED.items()]
    cases += [case_of(name, jwt.token(**more), "claims") for name, more in _CLAIMS.items()]
    cases += [
        case_of("iss-missing", jwt.token(without=("iss",)), "claims"),
        case_of("sub-missing", jwt.token(without=("sub",)), "claims"),
        case_of("exp-missing", jwt.token(without=("exp",)), "claims"),
        case_of("large", jwt.token(filler="x" * 20000), "claims"),
        case_of("past", EXPIRED, "skew"),
        case_of("later", jwt.token(nbf=jwt.NEVER - 100), "skew"),
        case_of("other", jwt.token(iss=OTHER), "any-issuer"),
        case_of("none", jwt.token(without=("iss",)), "any-issuer"),
    ]
    cases += [case_of(n, jwt.token(aud=aud), "audiences") for n, aud in _AUDIENCES.items()]
    cases += [
        case_of("missing", GOOD, "audiences"),
        case_of("good", GOOD, "subjects"),
        case_of("wrong", jwt.token(sub="x"), "subjects"),
        case_of("missing", jwt.token(without=("sub",)), "subjects"),
        case_of("good", GOOD, "expires"),
        case_of("never", jwt.token(without=("exp",)), "expires"),
        case_of("zero", jwt.token(exp=0), "expires"),
        case_of("long", GOOD, "lifetime"),
        case_of("never", jwt.token(without=("exp",)), "lifetime"),
    ]
    cases += [
        *(
            Case(f"cached-{n}", req("/", bearer(token)), "cached", reply())
            for n, token in enumerate(
                [
                    GOOD,
                    GOOD,
                    EXPIRED,
                    EXPIRED,
                    jwt.token(sub="a"),
                    jwt.token(sub="b"),
                    GOOD,
                    jwt.token(sub="a" * 100),
                    jwt.token(sub="a" * 100),
                ]
            )
        ),
    ]
    return cases
