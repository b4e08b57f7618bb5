"""Rules of RequestAuthentication."""

import json
from typing import Any

import pytest

from controlplane.resources.request_authentication import KIND
from tests.support.judging import judge, refusal

RSA = {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "1"}


def _keys(*keys: Any) -> str:
    return json.dumps(json.dumps({"keys": list(keys)}))


@pytest.mark.parametrize(
    "jwks",
    [
        _keys(RSA),
        _keys(),
        _keys({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AQ"}),
        _keys({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
        json.dumps(json.dumps(RSA)),
    ],
)
def test_keys_inline(jwks: str) -> None:
    _, errors, warnings = judge(KIND, f"jwtRules: [{{issuer: i, jwks: {jwks}}}]")
    assert (errors, warnings) == ([], [])


@pytest.mark.parametrize(
    ("rule", "path", "reason"),
    [
        ("audiences: [a]", "", "needs an issuer, or a jwksUri"),
        ("jwks: '{\"keys\": []}'", "", "needs an issuer, or a jwksUri"),
        ("issuer: ''", ".issuer", "must not be empty"),
        ("{issuer: i, audiences: [a, '']}", ".audiences[1]", "must not be empty"),
        ("{issuer: i, jwksUri: ftp://keys}", ".jwksUri", "must be http://HOST/... or https://"),
        ("{issuer: i, jwksUri: keys}", ".jwksUri", "must be http://HOST/... or https://"),
        ("{issuer: i, jwksUri: 'https://'}", ".jwksUri", "must be http://HOST/... or https://"),
        ("{issuer: i, jwksUri: 'https://a:99999/'}", ".jwksUri", "'https://a:99999/' is no URL"),
        ("{issuer: i, jwksUri: http://a, jwks: '{}'}", "", "jwksUri, jwks exclude each other"),
        ("{issuer: i, jwks: 'no'}", ".jwks", "is no JSON: Expecting value"),
        ("{issuer: i, jwks: '[]'}", ".jwks", "must be an object"),
        ("{issuer: i, jwks: '{}'}", ".jwks", 'has no "keys"'),
        ("{issuer: i, jwks: '{\"keys\": {}}'}", ".jwks", '"keys" must be a list'),
        ("{issuer: i, jwks: '{\"keys\": [NaN]}'}", ".jwks", "is no JSON: NaN"),
        (f"{{issuer: i, jwks: {_keys(1)}}}", ".jwks", "keys[0] must be an object"),
        (f"{{issuer: i, jwks: {_keys({})}}}", ".jwks", 'keys[0] has no "kty" of RSA, EC'),
        (f"{{issuer: i, jwks: {_keys({'kty': 'DSA'})}}}", ".jwks", 'keys[0] has no "kty" of RSA'),
        (f"{{issuer: i, jwks: {_keys(RSA, {'kty': 'EC'})}}}", ".jwks", 'keys[1] (EC) has no "crv"'),
        (
            f"{{issuer: i, jwks: {_keys({**RSA, 'n': 'a+b/'})}}}",
            ".jwks",
            'keys[0] (RSA) "n" is no base64url',
        ),
        ("{issuer: i, fromHeaders: [{prefix: a}]}", ".fromHeaders[0].name", "is required"),
        ("{issuer: i, fromHeaders: [{name: ''}]}", ".fromHeaders[0].name", "must not be empty"),
        ("{issuer: i, fromParams: ['']}", ".fromParams[0]", "must not be empty"),
        ("{issuer: i, fromCookies: ['']}", ".fromCookies[0]", "must not be empty"),
        (
            "{issuer: i, outputClaimToHeaders: [{header: 'x y', claim: a}]}",
            ".outputClaimToHeaders[0].header",
            "must be letters, digits, - and _",
        ),
        (
            "{issuer: i, outputClaimToHeaders: [{header: x, claim: ''}]}",
            ".outputClaimToHeaders[0].claim",
            "must not be empty",
        ),
        ("{issuer: i, timeout: 0s}", ".timeout", "must be at least 1ms"),
        ("{issuer: i, timeout: 1.5ms}", ".timeout", "must be in whole milliseconds"),
        (
            f"{{issuer: i, spaceDelimitedClaims: {['c'] * 65}}}",
            ".spaceDelimitedClaims",
            "must have 0 to 64 entries",
        ),
    ],
)
def test_refused_rules(rule: str, path: str, reason: str) -> None:
    rule = rule if rule.startswith("{") else "{" + rule + "}"
    where, why = refusal(KIND, f"jwtRules: [{{issuer: ok}}, {rule}]")
    assert where == f"spec.jwtRules[1]{path}"
    assert why.startswith(reason)


def test_messages_never_show_keys() -> None:
    secret = {**RSA, "d": "c2VjcmV0", "n": "c2VjcmV0+"}
    _, why = refusal(KIND, f"jwtRules: [{{issuer: i, jwks: {_keys(secret)}}}]")
    assert "c2VjcmV0" not in why


def test_private_keys_are_warned_of() -> None:
    private = {**RSA, "d": "AQAB"}
    symmetric = {"kty": "oct", "k": "AQAB"}
    _, errors, warnings = judge(
        KIND, f"jwtRules: [{{issuer: i, jwks: {_keys(RSA, private, symmetric)}}}]"
    )
    assert errors == []
    assert [one.reason.partition(" ")[0] for one in warnings] == ["keys[1]", "keys[2]"]
    assert {one.path for one in warnings} == {"spec.jwtRules[0].jwks"}


def test_deep_keys_are_refused_before_they_cost() -> None:
    _, why = refusal(KIND, f"jwtRules: [{{issuer: i, jwks: '{'[' * 100_000}'}}]")
    assert why.startswith(("is nested too deeply", "is no JSON"))
    _, why = refusal(KIND, f"jwtRules: [{{issuer: i, jwks: '{' ' * 300_000}'}}]")
    assert why.startswith("has 300000 characters")
