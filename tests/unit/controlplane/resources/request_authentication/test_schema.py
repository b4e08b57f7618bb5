"""Fields of RequestAuthentication."""

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.target import PolicyTargetReference
from controlplane.resources.request_authentication import KIND
from controlplane.resources.request_authentication.schema import (
    ClaimToHeader,
    JwtHeader,
    JwtRule,
    RequestAuthentication,
)
from controlplane.resources.schema import Seconds
from tests.support.judging import judge


def test_names() -> None:
    assert KIND.api_versions() == ("security.istio.io/v1", "security.istio.io/v1beta1")
    assert (KIND.plural, KIND.short) == ("requestauthentications", ("ra",))


def test_every_field() -> None:
    spec, errors, warnings = judge(
        KIND,
        """
        selector: {matchLabels: {app: httpbin}}
        jwtRules:
        - issuer: https://accounts.example
          audiences: [a, b]
          jwksUri: https://accounts.example/keys
          fromHeaders: [{name: x-token, prefix: "Bearer "}, {name: y}]
          fromParams: [token]
          fromCookies: [session]
          outputPayloadToHeader: x-payload
          outputClaimToHeaders: [{header: x-sub, claim: nested.sub}]
          forwardOriginalToken: true
          timeout: 2.5s
          spaceDelimitedClaims: [roles]
          presence: REQUIRED
        """,
    )
    assert (errors, warnings) == ([], [])
    assert spec == RequestAuthentication(
        selector=PolicySelector({"app": "httpbin"}),
        jwt_rules=(
            JwtRule(
                issuer="https://accounts.example",
                audiences=("a", "b"),
                jwks_uri="https://accounts.example/keys",
                from_headers=(JwtHeader("x-token", "Bearer "), JwtHeader("y")),
                from_params=("token",),
                from_cookies=("session",),
                output_payload_to_header="x-payload",
                output_claim_to_headers=(ClaimToHeader("x-sub", "nested.sub"),),
                forward_original_token=True,
                timeout=Seconds(2.5),
                space_delimited_claims=("roles",),
                presence="REQUIRED",
            ),
        ),
    )


def test_the_other_spelling_of_jwks_uri_and_target_references() -> None:
    spec, errors, _ = judge(
        KIND,
        """
        targetRef: {kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}
        jwtRules: [{issuer: i, jwks_uri: http://keys}]
        """,
    )
    assert errors == []
    assert spec.jwt_rules[0].jwks_uri == "http://keys"
    assert spec.target_ref == PolicyTargetReference(
        "Gateway", "waypoint", "gateway.networking.k8s.io"
    )
    spec, errors, _ = judge(KIND, "targetRefs: [{kind: Service, name: a}]")
    assert errors == []
    assert spec.target_refs == (PolicyTargetReference("Service", "a"),)
