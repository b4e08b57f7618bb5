"""Requests for certificates, as workloads send them."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AnyKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def key() -> ec.EllipticCurvePrivateKey:
    """A key as our sidecars make it."""
    return ec.generate_private_key(ec.SECP256R1())


def request(private: AnyKey, uri: str = "spiffe://evil/ns/kube-system/sa/admin") -> bytes:
    """PKCS #10 in PEM. The URI that it asks for must be ignored."""
    built = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    asked = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    digest = None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    signed = built.add_extension(asked, critical=False).sign(private, digest)
    return signed.public_bytes(serialization.Encoding.PEM)


def key_pem(private: AnyKey) -> bytes:
    """PKCS #8 in PEM."""
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
