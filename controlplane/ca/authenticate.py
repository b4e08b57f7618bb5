"""Who a caller is: by the certificate that TLS has verified, by a token, or by the key of a
certificate that has ended."""

from __future__ import annotations

import asyncio

from cryptography import x509

from controlplane.ca import grants as granted
from controlplane.ca import proofs, rejoin
from controlplane.ca.grants import NOTHING, Grants
from controlplane.ca.proofs import Invalid, Proved
from controlplane.ca.rejoin import Rejoin
from controlplane.ca.signing import Request
from controlplane.ca.tokens import Tokens
from controlplane.xds.identity import (
    CertificateAuthenticator,
    Identity,
    Peer,
    Unauthenticated,
)


class WorkloadAuthenticator:
    """Certificates first: who has one needs no token, and a join token is not wasted."""

    def __init__(self, trust_domains: frozenset[str], tokens: Tokens, rejoin: Rejoin) -> None:
        self._certificates = CertificateAuthenticator(trust_domains)
        self._tokens = tokens
        self._rejoin = rejoin
        #: One at a time: strangers with tokens must not keep all threads from those who have
        #: certificates to sign.
        self._turn = asyncio.Lock()

    async def authenticate(self, peer: Peer) -> Identity:
        """For all but certificates: by certificate or service token. Raises Unauthenticated."""
        if peer.uris:
            return await self._certificates.authenticate(peer)
        _must_have_token(peer)
        try:
            return self._tokens.check(peer.token).identity
        except Invalid as error:
            raise Unauthenticated(str(error)) from None

    async def admit(self, peer: Peer, request: Request) -> Proved:
        """For a certificate: also by join token, which is used up for the request's key, and by
        the key of a certificate that has ended. Raises Unauthenticated."""
        if peer.uris:
            identity = await self._certificates.authenticate(peer)
            certificate = x509.load_pem_x509_certificate(peer.certificate)
            by = f"certificate {proofs.serial(certificate)}"
            return Proved(identity, by, _grants(certificate))
        _must_have_token(peer)
        try:
            async with self._turn:
                if peer.token.startswith(rejoin.PREFIX):
                    return await self._rejoined(peer, request)
                # A join token is written off on disk.
                return await asyncio.to_thread(self._tokens.admit, peer.token, request.der)
        except Invalid as error:
            raise Unauthenticated(str(error)) from None
        except OSError as error:
            raise Unauthenticated(f"tokens cannot be checked: {error.strerror}") from None

    async def _rejoined(self, peer: Peer, request: Request) -> Proved:
        old = await asyncio.to_thread(self._rejoin.check, peer.token, request.body)
        shown = Peer(address=peer.address, uris=proofs.uris(old), secure=True)
        identity = await self._certificates.authenticate(shown)
        return Proved(identity, f"ended certificate {proofs.serial(old)}", _grants(old))


def grants_of(peer: Peer) -> Grants:
    """What the certificate of a connection lets its holder call itself. Raises Unauthenticated."""
    if not peer.certificate:
        return NOTHING
    return _grants(x509.load_pem_x509_certificate(peer.certificate))


def _grants(certificate: x509.Certificate) -> Grants:
    try:
        return granted.of_certificate(certificate)
    except granted.Unreadable as error:
        raise Unauthenticated(str(error)) from None


def _must_have_token(peer: Peer) -> None:
    if not peer.token:
        raise Unauthenticated("a client certificate or a token is needed; none was shown")
    if not peer.secure:
        raise Unauthenticated("tokens are taken over TLS only; use the port of TLS")
