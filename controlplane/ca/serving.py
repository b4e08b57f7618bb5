"""The control plane's own certificate, for the ports on which it serves.

gRPC in Python either demands a client certificate or never asks for one, so there are two ports:
one for those who have a certificate (Istio's 15012) and one where newcomers show a token.

gRPC asks for the certificate at each handshake, on threads of its own and behind a lock; what it
makes of a new one it hands to the handshake only after the lock. Hence a new certificate frees what
a handshake on another thread may be about to use, and then the process dies (SIGSEGV, seen within
hundreds of handshakes at once). So it is told of a new certificate only when there is one, and not
before those who have left the lock are well past that place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.ca.authority import Authority, pem

_LIFE = timedelta(hours=24)
_SKEW = timedelta(minutes=2)


#: From the lock to the use are microseconds; a thread may be kept waiting for its turn.
_PAST = 0.1


class ServingCertificate:
    """A certificate that is made anew at half its life, or when the authority changes. Kept in
    memory only. Of any thread."""

    def __init__(
        self,
        authority: Callable[[], Authority],
        names: tuple[str, ...],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._authority = authority
        self._names = names
        self._clock = clock
        self._lock = threading.Lock()
        self._made: _Made | None = None

    def mutual(self) -> grpc.ServerCredentials:
        """Clients must show a certificate of the mesh."""
        port = _Port(self, roots=True)
        return grpc.dynamic_ssl_server_credentials(
            port.first, port.next, require_client_authentication=True
        )

    def one_sided(self) -> grpc.ServerCredentials:
        """Clients are not asked for a certificate."""
        port = _Port(self, roots=False)
        return grpc.dynamic_ssl_server_credentials(port.first, port.next)

    def current(self) -> _Made:
        """The certificate to show now: the same object until there is another."""
        with self._lock:
            authority = self._authority()
            made = self._made
            if made is None or made.by is not authority or not made.is_fresh(self._clock()):
                made = self._made = self._make(authority)
            return made

    def _make(self, authority: Authority) -> _Made:
        key, now = ec.generate_private_key(ec.SECP256R1()), self._clock()
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
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        chain = b"".join(pem(one) for one in (certificate, *authority.chain))
        return _Made(private, chain, authority, now, now + (ends - now) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """A certificate with its key."""

    key: bytes = field(repr=False)
    chain: bytes
    by: Authority
    made_at: datetime
    renew_at: datetime

    def is_fresh(self, now: datetime) -> bool:
        """Not after half its life, nor before it begins: clocks are set back."""
        return self.made_at - _SKEW / 2 <= now < self.renew_at


class _Port:
    """What one port was told."""

    def __init__(self, certificate: ServingCertificate, *, roots: bool) -> None:
        self._certificate = certificate
        self._roots = roots
        self._told = certificate.current()
        self.first = self._configuration()

    def next(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked for at every handshake, one at a time; None is what was told before."""
        made = self._certificate.current()
        if made is self._told:
            return None
        # All others wait behind the lock meanwhile.
        time.sleep(_PAST)
        self._told = made
        return self._configuration()

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        made = self._told
        trusted = made.by.roots_pem() if self._roots else None
        return grpc.ssl_server_certificate_configuration([(made.key, made.chain)], trusted)


def _name(text: str) -> x509.GeneralName:
    if text.startswith("spiffe://"):
        return x509.UniformResourceIdentifier(text)
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
