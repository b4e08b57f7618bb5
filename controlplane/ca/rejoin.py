"""The way back for a workload whose certificate has ended while nobody could renew it: a machine
that slept, a control plane that was away for longer than a day.

Its token is used up, and TLS takes its certificate no more. But it still has the key: so on the
port for newcomers it shows the certificate, and signs with the key what it asks for. The proof is
made for one request, hence a copy of it gives nobody else anything. It is taken for a bounded time
after the certificate's end.

The proof is a JWT: `x5c` (RFC 7515) is the certificate and what is between it and the root, `csr`
the SHA-256 of the request. It stands where tokens stand, in `authorization`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from controlplane.ca.authority import Authority
from controlplane.ca.proofs import Invalid, serial

PREFIX = "fmrejoin_"
#: How long after its end a certificate may be renewed like this.
GRACE = timedelta(days=7)
_AUDIENCE, _ALGORITHM = "fastmesh-rejoin", "ES256"
_LIFE = timedelta(minutes=5)
#: Clocks of machines differ, most of all when one has slept.
_SKEW = timedelta(minutes=2)
_MOST_BYTES, _MOST_CERTIFICATES = 16 * 1024, 6
_WITHOUT = "a certificate is renewed with the proof of its key"


def proof(chain: bytes, key: bytes, request: bytes) -> str:
    """What the agent shows. `chain`: PEM, the leaf first; `key`: PEM; `request`: that of the new
    certificate, as it is sent."""
    now = datetime.now(UTC)
    claims = {"aud": _AUDIENCE, "iat": now, "exp": now + _LIFE, "csr": _hash(request)}
    shown = [
        base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode()
        for one in x509.load_pem_x509_certificates(chain)
    ]
    private = serialization.load_pem_private_key(key, password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return PREFIX + jwt.encode(claims, private, _ALGORITHM, headers={"x5c": shown})


@dataclass(frozen=True, slots=True)
class Ended:
    """An old certificate, and for which request its key was proved."""

    certificate: x509.Certificate
    request_hash: str

    def check(self, request: bytes) -> None:
        """Raises Invalid for any other request."""
        if not hmac.compare_digest(self.request_hash.encode(), _hash(request).encode()):
            raise Invalid("the proof of an old certificate was made for another request")


class Rejoin:
    """Checks proofs."""

    def __init__(self, authority: Callable[[], Authority], grace: timedelta = GRACE) -> None:
        """`grace`: 0 takes no certificate that has ended."""
        self._authority = authority
        self._grace = grace

    def open(self, token: str) -> Ended:
        """The certificate whose key was proved: one of this mesh, and not ended for too long. Who
        it names is for the caller to look at. Raises Invalid."""
        if len(token) > _MOST_BYTES:
            raise Invalid("the proof of an old certificate is too long")
        token = token.removeprefix(PREFIX)
        leaf, between = _shown(token)
        key = leaf.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise Invalid(f"{_WITHOUT} for P-256 only")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                leeway=_SKEW,
                options={"require": ["aud", "iat", "exp", "csr"]},
            )
        except jwt.PyJWTError as error:
            raise Invalid(f"the proof of an old certificate is not valid: {error}") from None
        self._check_chain(leaf, between)
        self._check_time(leaf)
        return Ended(leaf, str(claims["csr"]))

    def _check_time(self, leaf: x509.Certificate) -> None:
        now = datetime.now(UTC)
        if leaf.not_valid_before_utc > now + _SKEW:
            raise Invalid("the old certificate is not valid yet; set the clocks")
        if now > leaf.not_valid_after_utc + self._grace:
            raise Invalid(
                f"certificate {serial(leaf)} has ended at {leaf.not_valid_after_utc:%FT%TZ}, more"
                f" than {self._grace} ago: it needs a new join token (`mesh token create`)"
            )

    def _check_chain(self, leaf: x509.Certificate, between: list[x509.Certificate]) -> None:
        """As TLS would have done it while the certificate was good."""
        authority = self._authority()
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(list(authority.roots)))
            .time(leaf.not_valid_after_utc - timedelta(seconds=1))
            .max_chain_depth(_MOST_CERTIFICATES)
            .build_client_verifier()
        )
        try:
            verifier.verify(leaf, [*between, *authority.chain])
        except (verification.VerificationError, ValueError) as error:
            raise Invalid(f"the old certificate is not of this mesh: {error}") from None


def _shown(token: str) -> tuple[x509.Certificate, list[x509.Certificate]]:
    """The certificates of a proof, the leaf apart. Raises Invalid."""
    try:
        shown = jwt.get_unverified_header(token).get("x5c")
    except jwt.PyJWTError as error:
        raise Invalid(f"the proof of an old certificate is not valid: {error}") from None
    if not isinstance(shown, list) or not 1 <= len(shown) <= _MOST_CERTIFICATES:
        raise Invalid(f"the proof must show 1 to {_MOST_CERTIFICATES} certificates (x5c)")
    try:
        found = [
            x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in shown
        ]
    except (ValueError, TypeError, binascii.Error):
        raise Invalid("the proof shows what is no certificate (x5c)") from None
    return found[0], found[1:]


def _hash(request: bytes) -> str:
    return hashlib.sha256(request).hexdigest()
