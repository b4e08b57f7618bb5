"""RequestAuthentication: which JSON Web Tokens a workload accepts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.target import PolicyTargetReference, TargetReferences
from controlplane.resources.schema import Length, Pattern, Seconds

_Text = Annotated[str, Length(1)]
_Header = Annotated[str, Length(1), Pattern(r"[-_A-Za-z0-9]+", "letters, digits, - and _")]
_Uri = Annotated[str, Length(1, 2048)]


@dataclass(frozen=True, slots=True)
class JwtHeader:
    """Where a token is, and what stands before it."""

    name: _Text
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class ClaimToHeader:
    header: _Header
    claim: _Text


@dataclass(frozen=True, slots=True)
class JwtRule:
    issuer: Annotated[str, Length(1)] | None = None
    audiences: tuple[_Text, ...] = ()
    jwks_uri: _Uri | None = field(default=None, metadata={"also": "jwks_uri"})
    #: The keys themselves, as JSON text.
    jwks: str | None = None
    from_headers: tuple[JwtHeader, ...] = ()
    from_params: tuple[_Text, ...] = ()
    from_cookies: tuple[_Text, ...] = ()
    output_payload_to_header: str = ""
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    forward_original_token: bool = False
    #: How long fetching the keys may take.
    timeout: Seconds | None = None
    space_delimited_claims: Annotated[tuple[_Text, ...], Length(0, 64)] = ()
    #: REQUIRED: a request without this token is refused, whatever the other rules say.
    presence: Literal["OPTIONAL", "REQUIRED"] = "OPTIONAL"

    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = (("jwks_uri", "jwks"),)


@dataclass(frozen=True, slots=True)
class RequestAuthentication:
    selector: PolicySelector | None = None
    #: Deprecated in favour of `target_refs`.
    target_ref: PolicyTargetReference | None = None
    target_refs: TargetReferences = ()
    jwt_rules: Annotated[tuple[JwtRule, ...], Length(0, 4096)] = ()
