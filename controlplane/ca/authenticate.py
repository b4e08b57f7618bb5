"""Who a caller is: by the certificate that TLS has verified, by a token, or by the key of a
certificate that has ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TypeAlias

from cryptography import x509

from controlplane.ca import grants as granted
from controlplane.ca import proofs, rejoin
from controlplane.ca.grants import NOTHING, Grants
from controlplane.ca.proofs import Invalid, Proved
from controlplane.ca.rejoin import Ended, Rejoin
from controlplane.ca.signing import Request
from controlplane.ca.tokens import Tokens
from controlplane.xds.identity import (
    CertificateAuthenticator,
    Identity,
    Peer,
    Unauthenticated,
)

#: Who somebody is, now that his request is there. Raises Unauthenticated and Unavailable.
Prove: TypeAlias = Callable[[Request], Awaitable[Proved]]


class Unavailable(Exception):
    """Nobody can tell now who it is; it may be another time. `str()` says why."""


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

    async def expect(self, peer: Peer) -> Prove:
        """For a certificate, before the request is there: also by a join token, and by the key of
        a certificate that has ended. What proves nothing, whatever would be asked for, is refused
        here. Raises Unauthenticated and Unavailable."""
        if peer.uris:
            identity = await self._certificates.authenticate(peer)
            certificate = x509.load_pem_x509_certificate(peer.certificate)
            number = proofs.serial(certificate)
            proved = Proved(identity, f"certificate {number}", _grants(certificate), number)
            return _known(proved)
        _must_have_token(peer)
        with _told():
            if peer.token.startswith(rejoin.PREFIX):
                async with self._turn:
                    old = await asyncio.to_thread(self._rejoin.open, peer.token)
                return partial(self._rejoined, peer, old)
            if not self._tokens.is_join(peer.token):
                return _known(self._tokens.check(peer.token))
            async with self._turn:
                await asyncio.to_thread(self._tokens.look, peer.token)
        return partial(self._joined, peer)

    async def _joined(self, peer: Peer, request: Request) -> Proved:
        """By join token, which is used up for the request's key."""
        with _told():
            async with self._turn:
                # It is written off on disk.
                return await asyncio.to_thread(self._tokens.admit, peer.token, request.der)

    async def _rejoined(self, peer: Peer, old: Ended, request: Request) -> Proved:
        with _told():
            old.check(request.body)
        leaf = old.certificate
        shown = Peer(address=peer.address, uris=proofs.uris(leaf), secure=True)
        identity = await self._certificates.authenticate(shown)
        number = proofs.serial(leaf)
        return Proved(identity, f"ended certificate {number}", _grants(leaf), number)


def _known(proved: Proved) -> Prove:
    """Whatever is asked for."""

    async def prove(_: Request) -> Proved:
        return proved

    return prove


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Invalid as error:
        raise Unauthenticated(str(error)) from None
    except OSError as error:
        raise Unavailable(f"tokens cannot be checked: {error.strerror}") from None


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
