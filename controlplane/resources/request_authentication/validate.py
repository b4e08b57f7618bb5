"""Rules of RequestAuthentication beyond types."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from controlplane.problem import Problem
from controlplane.resources.common.target import check_selection
from controlplane.resources.request_authentication.keys import private_keys, wrong_keys
from controlplane.resources.request_authentication.schema import JwtRule, RequestAuthentication
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import numbers
from controlplane.resources.rules.metadata import reserved


def validate(spec: RequestAuthentication, metadata: Metadata) -> Iterator[Problem]:
    yield from reserved(metadata)
    yield from check_selection(spec.selector, spec.target_refs, spec.target_ref)
    for index, rule in enumerate(spec.jwt_rules):
        yield from _rule(rule, f"spec.jwtRules[{index}]")


def _rule(rule: JwtRule, path: str) -> Iterator[Problem]:
    if not rule.issuer and not rule.jwks_uri:
        yield Problem(path, "needs an issuer, or a jwksUri with the keys")
    if rule.jwks_uri:
        reason = _wrong_uri(rule.jwks_uri)
        if reason:
            yield Problem(f"{path}.jwksUri", reason)
    if rule.jwks:
        reason = wrong_keys(rule.jwks)
        if reason:
            yield Problem(f"{path}.jwks", reason)
        for key in private_keys(rule.jwks):
            reason = f"keys[{key}] is a private key; leave its private part out, it is not needed"
            yield Problem(f"{path}.jwks", reason, warning=True)
    yield from numbers.duration(rule.timeout, f"{path}.timeout")


def _wrong_uri(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        # `port` is read to have it checked.
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return ""
    except ValueError as error:
        return f"{uri!r} is no URL: {error}"
    return f"must be http://HOST/... or https://HOST/..., is {uri!r}"
