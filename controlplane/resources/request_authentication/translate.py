"""JWT rules as the configuration of Envoy's `jwt_authn`.

A request without a token passes; one with a token that no rule takes is refused (401). With
several rules, one valid token is enough, or none at all.
"""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.route.v3.route_components_pb2 import RouteMatch
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import (
    JwtAuthentication,
    JwtProvider,
    JwtRequirement,
)

from controlplane.registry import selection
from controlplane.registry.workloads import Labels
from controlplane.resources.request_authentication import jwks
from controlplane.resources.request_authentication.schema import JwtRule
from controlplane.resources.request_authentication.usable import served
from controlplane.world.view import View

#: Claims that are lists written as one string (RFC 6749), always.
_SPACE_DELIMITED = frozenset({"permission", "scope"})
#: Below which key policies find the claims.
_PAYLOAD = "payload"


def authentication(
    view: View, namespace: str, labels: Labels, *, gateway: bool
) -> JwtAuthentication | None:
    """What holds for a workload; None if nothing does. `gateway`: routes may ask for claims, so
    they are chosen again once these are known."""
    held = selection.selected(view, "RequestAuthentication", namespace, labels)
    rules = [rule for policy in held for rule in policy.spec.jwt_rules]
    if not rules:
        return None
    rules.sort(key=lambda rule: rule.issuer or "")
    built = JwtAuthentication(bypass_cors_preflight=True)
    for index, rule in enumerate(rules):
        provider = _provider(view, rule)
        provider.clear_route_cache = gateway
        built.providers[_name(index)].CopyFrom(provider)
    built.rules.add(match=RouteMatch(prefix="/"), requires=_requirement(rules))
    return built


def _name(index: int) -> str:
    return f"origins-{index}"


def _requirement(rules: list[JwtRule]) -> JwtRequirement:
    each = [JwtRequirement(provider_name=_name(index)) for index in range(len(rules))]
    optional = [_any([one, JwtRequirement(allow_missing={})]) for one in each]
    one_of = optional[0] if len(rules) == 1 else _any([*each, _all(optional)])
    required = [one for one, rule in zip(each, rules, strict=True) if rule.presence == "REQUIRED"]
    return _all([*required, one_of]) if required else one_of


def _any(parts: Iterable[JwtRequirement]) -> JwtRequirement:
    built = JwtRequirement()
    built.requires_any.requirements.extend(parts)
    return built


def _all(parts: Iterable[JwtRequirement]) -> JwtRequirement:
    built = JwtRequirement()
    built.requires_all.requirements.extend(parts)
    return built


def _provider(view: View, rule: JwtRule) -> JwtProvider:
    built = JwtProvider(
        issuer=rule.issuer or "",
        audiences=rule.audiences,
        forward=rule.forward_original_token,
        forward_payload_header=rule.output_payload_to_header,
        payload_in_metadata=_PAYLOAD,
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
    )
    built.local_jwks.inline_string = (
        served(rule.jwks) if rule.jwks else jwks.known(view, jwks.source(rule))
    )
    built.normalize_payload_in_metadata.space_delimited_claims.extend(
        sorted(_SPACE_DELIMITED | set(rule.space_delimited_claims))
    )
    for one in rule.from_headers:
        built.from_headers.add(name=one.name, value_prefix=one.prefix)
    for claim in rule.output_claim_to_headers:
        built.claim_to_headers.add(header_name=claim.header, claim_name=claim.claim)
    return built
