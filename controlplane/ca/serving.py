"""The control plane's own certificate, for the ports on which it serves.

gRPC in Python either demands a client certificate or never asks for one, so there are two ports:
one for those who have a certificate (Istio's 15012) and one where newcomers show a token.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.ca.authority import Authority, pem

_LIFE = timedelta(hours=24)
_SKEW = timedelta(minutes=2)


class ServingCertificate:
    """A certificate that is made anew at half its life, or when the authority changes. Kept in
    memory only."""

    def __init__(self, authority: Callable[[], Authority], names: tuple[str, ...]) -> None:
        self._authority = authority
        self._names = names
        self._made_by: Authority | None = None
        self._renew_at = datetime.now(UTC)
        self._key = b""
        self._chain = b""

    def mutual(self) -> grpc.ServerCredentials:
        """Clients must show a certificate of the mesh."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(roots=True),
            lambda: self._configuration(roots=True),
            require_client_authentication=True,
        )

    def one_sided(self) -> grpc.ServerCredentials:
        """Clients are not asked for a certificate."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(roots=False), lambda: self._configuration(roots=False)
        )

    def _configuration(self, *, roots: bool) -> grpc.ServerCertificateConfiguration:
        """Asked for at every handshake."""
        authority = self._authority()
        if authority is not self._made_by or datetime.now(UTC) >= self._renew_at:
            self._renew(authority)
        trusted = authority.roots_pem() if roots else None
        return grpc.ssl_server_certificate_configuration([(self._key, self._chain)], trusted)

    def _renew(self, authority: Authority) -> None:
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        ends = min(now + _LIFE, authority.expires())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(authority.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(ends)
            .add_extension(
                x509.SubjectAlternativeName([_name(one) for one in self._names]), critical=True
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
                critical=False,
            )
            .sign(authority.key, hashes.SHA256())
        )
        self._key = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._chain = b"".join(pem(one) for one in (certificate, *authority.chain))
        self._made_by = authority
        self._renew_at = now + (ends - now) / 2


def _name(text: str) -> x509.GeneralName:
    if text.startswith("spiffe://"):
        return x509.UniformResourceIdentifier(text)
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
