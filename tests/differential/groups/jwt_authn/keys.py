"""Keys and algorithms: which key is taken for a token, sets that are not what they should be, keys
that a server has."""

from __future__ import annotations

import json
from typing import Any

from tests.differential.groups.jwt_authn.pieces import (
    EXPIRED,
    FAILED,
    GOOD,
    LOG,
    OTHER,
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
from tests.differential.http_filters import chain
from tests.differential.model import Case, Listener, ask, reply, req
from tests.support import jwt

_KIDS = jwt.keys(
    jwt.key("ES256", kid="a"),
    jwt.key("RS256", kid="b", alg="RS256"),
    jwt.key("EdDSA", kid="c"),
    jwt.key("HS256", kid="d", alg="HS256"),
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
_URI = {"uri": "http://keys.example:81/keys?x=1", "cluster": "b", "timeout": "2s"}


def _remote(**more: Any) -> dict[str, Any]:
    """A provider whose keys cluster b has; no set is good for long."""
    config = {"http_uri": _URI, "cache_duration": "0.001s", **more}
    return {"issuer": jwt.ISSUER, "remote_jwks": config, "failed_status_in_metadata": "failed"}


_REMOTE = {"p": _remote(), "q": _remote() | {"issuer": OTHER, "from_headers": [{"name": "x-q"}]}}
_KEYS_OF_B = jwt.keys(jwt.key("RS256")).encode()
_REMOTE_ANSWERS: dict[str, Any] = {
    "good": reply(body=_KEYS_OF_B),
    "wrong": reply(body=jwt.keys(jwt.key("HS256")).encode()),
    "not-found": reply("404 Not Found", body=_KEYS_OF_B),
    "accepted": reply("202 Accepted", body=_KEYS_OF_B),
    "empty": reply(body=b""),
    "nonsense": reply(body=b"nonsense"),
}

LISTENERS: dict[str, Listener] = {
    "algs": Listener(TO_A, one(provider(keys=jwt.every_key())), LOG),
    "kids": Listener(TO_A, one(provider(keys=_KIDS)), LOG),
    **{
        f"keys-{name}": Listener(TO_A, one(provider(keys=keys)), LOG)
        for name, keys in _SETS.items()
    },
    "remote": Listener(TO_A, chain(jwt_filter(providers=_REMOTE, **every(P))), LOG),
    "remote-any": Listener(
        TO_A,
        chain(
            jwt_filter(providers=_REMOTE, **every({"requires_any": {"requirements": [P, Q]}})),
        ),
        LOG,
    ),
    "remote-lax": Listener(TO_A, chain(jwt_filter(providers=_REMOTE, **every(FAILED))), LOG),
}


def cases() -> list[Case]:
    cases = [case_of(alg, jwt.token(alg)) for alg in jwt.EVERY]
    cases += [
        case_of(f"{alg}-forged", f"{jwt.token(alg).rpartition('.')[0]}.{jwt.b64(b'x' * 64)}")
        for alg in ("RS256", "PS256", "ES256", "HS256", "EdDSA")
    ]
    cases += [
        case_of("eddsa-short", f"{jwt.token('EdDSA').rpartition('.')[0]}.{jwt.b64(b'x' * 63)}"),
        # The key of one algorithm must not be taken for another's secret.
        case_of(
            "es-as-rs",
            jwt.raw(json.dumps({"iss": jwt.ISSUER}), {"alg": "RS256", "signed": "ES256"}),
        ),
        case_of(
            "rs-as-ps",
            jwt.raw(json.dumps({"iss": jwt.ISSUER}), {"alg": "PS256", "signed": "RS256"}),
        ),
        case_of(
            "hs-as-rs",
            jwt.raw(json.dumps({"iss": jwt.ISSUER}), {"alg": "RS256", "signed": "HS256"}),
        ),
        case_of(
            "hs256-as-hs512",
            jwt.raw(json.dumps({"iss": jwt.ISSUER}), {"alg": "HS512", "signed": "HS256"}),
        ),
        case_of("es256-with-p384", jwt.crossed("384", "256")),
        case_of("es384-with-p256", jwt.crossed("256", "384")),
    ]
    cases += [
        case_of(f"{alg}-{kid}", jwt.token(alg, {"kid": kid} if kid else None), "kids")
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
    for name in _SETS:
        cases += [case_of("rs", GOOD, f"keys-{name}")]
    cases += [
        case_of("kid", jwt.token(header={"kid": "k1"}), "keys-x509"),
        case_of("other-kid", jwt.token(header={"kid": "k2"}), "keys-x509"),
    ]
    cases += [
        Case(f"remote-{name}", req("/", bearer(GOOD)), "remote", {"a": reply(), "b": answer})
        for name, answer in _REMOTE_ANSWERS.items()
    ]
    cases += [
        Case(f"remote-{name}", req("/", *headers), "remote", {"a": reply(), "b": reply()})
        for name, headers in (
            ("missing", []),
            ("expired", [bearer(EXPIRED)]),
            ("nobody", [bearer(jwt.token(iss="https://nobody.example"))]),
        )
    ]
    cases += [
        Case(
            "remote-body",
            req("/", bearer(GOOD), method="POST", body=b"x" * 100),
            "remote",
            {"a": reply(), "b": reply(body=_KEYS_OF_B)},
        ),
        Case(
            "remote-h2",
            ask("/", ("authorization", f"Bearer {GOOD}")),
            "remote",
            {"a": reply(), "b": reply(body=_KEYS_OF_B)},
        ),
        Case(
            "remote-any",
            req("/", f"x-q: {jwt.token(iss=OTHER)}"),
            "remote-any",
            {"a": reply(), "b": reply(body=_KEYS_OF_B)},
        ),
        Case(
            "remote-lax-failed",
            req("/", bearer(GOOD)),
            "remote-lax",
            {"a": reply(), "b": reply("500 Internal Server Error")},
        ),
    ]
    return cases
