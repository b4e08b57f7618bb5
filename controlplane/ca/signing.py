"""From a request for a certificate to the certificate. The request gives the key and nothing else:
who it is for, and what that may call itself, is what the caller has proved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from controlplane.ca import grants as granted
from controlplane.ca.authority import Authority, pem
from controlplane.ca.grants import NOTHING, Grants
from controlplane.xds.identity import Identity

DEFAULT_LIFE = timedelta(hours=24)
#: What a caller may ask for at most (Istio's MAX_WORKLOAD_CERT_TTL).
MAX_LIFE = timedelta(days=90)
_LEAST_LIFE = timedelta(minutes=1)
#: Clocks of machines differ by this much (Istio's CLOCK_SKEW).
_SKEW = timedelta(minutes=2)
_MAX_REQUEST = 16 * 1024
_BEGIN = b"-----BEGIN"
_CURVES = ("secp256r1", "secp384r1")
_MAX_RSA = 4096
#: F4; smaller ones are weak where padding is careless (CA/Browser Forum 6.1.6).
_LEAST_EXPONENT = 65537
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Rejected(Exception):
    """The request cannot be signed; `str()` says why, to the caller."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate, and what is sent with it."""

    certificate: x509.Certificate
    #: PEM: the leaf, what is between, and all roots in the last element, as Istio's agents expect.
    chain: tuple[str, ...]


class Request:
    """A request that was looked at: only its key counts."""

    def __init__(self, body: bytes) -> None:
        """`body`: PKCS #10 in PEM. Raises Rejected."""
        self.body = body
        self.key = _read(body)

    @property
    def der(self) -> bytes:
        """The public key, to compare it."""
        return self.key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def sign(
    authority: Authority,
    request: Request,
    identity: Identity,
    life: timedelta,
    grants: Grants = NOTHING,
) -> Signed:
    """Signs the key of a request for an identity. `life` is cut to what is allowed and to what the
    authority itself has left. Raises Rejected."""
    now = datetime.now(UTC)
    if life <= timedelta(0):
        life = DEFAULT_LIFE
    ends = min(now + max(_LEAST_LIFE, min(life, MAX_LIFE)), authority.expires())
    if ends <= now:
        raise Rejected("the authority's own certificate has expired")
    issuer = authority.certificate
    public = authority.key.public_key()
    builder = (
        x509.CertificateBuilder()
        # The name is in the URI; a certificate without a subject must mark it critical (RFC 5280).
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(request.key)
        # 159 random bits: never the same twice, whatever is killed and when.
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - _SKEW, issuer.not_valid_before_utc))
        .not_valid_after(ends)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))]),
            critical=True,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_LEAF_USAGE, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    if grants != NOTHING:
        builder = builder.add_extension(granted.extension(grants), critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    between = (pem(one).decode() for one in authority.chain)
    chain = (pem(certificate).decode(), *between, authority.roots_pem().decode())
    return Signed(certificate, chain)


def _read(body: bytes) -> PublicKey:
    if len(body) > _MAX_REQUEST:
        raise Rejected(f"the request has {len(body)} bytes; {_MAX_REQUEST} are the most")
    if body.count(_BEGIN) > 1:
        raise Rejected("the request must be one block of PEM, without more before or behind it")
    try:
        request = x509.load_pem_x509_csr(body)
        key = request.public_key()
    except Exception as error:  # noqa: BLE001  # a library's parser on a stranger's bytes
        raise Rejected(f"the request is no PKCS #10 in PEM: {type(error).__name__}") from None
    # The key first: what a signature costs to verify depends on it.
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in _CURVES:
            raise Rejected(f"curve {key.curve.name} is not allowed; use P-256 or P-384")
    elif isinstance(key, rsa.RSAPublicKey):
        if not 2048 <= key.key_size <= _MAX_RSA:
            raise Rejected(f"RSA keys must have 2048 to {_MAX_RSA} bits, not {key.key_size}")
        if not _LEAST_EXPONENT <= key.public_numbers().e < 1 << 32:
            raise Rejected(f"the exponent of RSA keys must be {_LEAST_EXPONENT}, or a little more")
    else:
        raise Rejected("the key must be ECDSA (P-256, P-384) or RSA")
    try:
        genuine = request.is_signature_valid
    except Exception as error:  # noqa: BLE001  # an algorithm that the library does not know
        raise Rejected(f"the request's signature: {type(error).__name__}") from None
    if not genuine:
        raise Rejected("the request is not signed by its own key")
    return key


_LEAF_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=True,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
