"""Rules of RequestAuthentication beyond types."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from controlplane.problem import Problem
from controlplane.resources.common.metadata import check_metadata
from controlplane.resources.common.target import check_selection, warn_of_selector
from controlplane.resources.request_authentication.keys import private_keys, wrong_keys
from controlplane.resources.request_authentication.schema import JwtRule, RequestAuthentication
from controlplane.resources.resource import Metadata


def validate(spec: RequestAuthentication, metadata: Metadata) -> Iterator[Problem]:
    yield from check_metadata(metadata)
    yield from check_selection(spec.selector, spec.target_refs, spec.target_ref)
    for index, rule in enumerate(spec.jwt_rules):
        yield from _rule(rule, f"spec.jwtRules[{index}]")


def warnings(spec: RequestAuthentication, metadata: Metadata) -> Iterator[Problem]:
    yield from warn_of_selector(spec.selector)
    for index, rule in enumerate(spec.jwt_rules):
        for key in private_keys(rule.jwks or ""):
            reason = f"keys[{key}] is a private key; tokens are verified with the public one only"
            yield Problem(f"spec.jwtRules[{index}].jwks", reason)


def _rule(rule: JwtRule, path: str) -> Iterator[Problem]:
    if not rule.issuer and not rule.uri:
        yield Problem(path, "needs an issuer, or a jwksUri with the keys")
    if rule.uri:
        where = f"{path}.jwksUri" if rule.jwks_uri else f"{path}.jwks_uri"
        reason = _wrong_uri(rule.uri)
        if reason:
            yield Problem(where, reason)
    if rule.jwks:
        reason = wrong_keys(rule.jwks)
        if reason:
            yield Problem(f"{path}.jwks", reason)
    if rule.timeout is not None:
        if rule.timeout < 0.001:
            yield Problem(f"{path}.timeout", "must be 1ms or more")
        elif round(rule.timeout * 1e9) % 1_000_000:
            yield Problem(f"{path}.timeout", "must be whole milliseconds")


def _wrong_uri(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        # `port` is read to have it checked.
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return ""
    except ValueError as error:
        return f"{uri!r} is no URL: {error}"
    return f"must be http://HOST/... or https://HOST/..., is {uri!r}"
