"""Who a caller is: by the certificate that TLS has verified, or by a token."""

from __future__ import annotations

import asyncio

from controlplane.ca.tokens import Invalid, Tokens
from controlplane.xds.identity import (
    CertificateAuthenticator,
    Identity,
    Peer,
    Unauthenticated,
)


class WorkloadAuthenticator:
    """Certificates first: who has one needs no token, and a join token is not wasted."""

    def __init__(self, trust_domains: frozenset[str], tokens: Tokens) -> None:
        self._certificates = CertificateAuthenticator(trust_domains)
        self._tokens = tokens

    async def authenticate(self, peer: Peer) -> Identity:
        """Raises Unauthenticated."""
        if peer.uris:
            return await self._certificates.authenticate(peer)
        if not peer.token:
            raise Unauthenticated("a client certificate or a token is needed; none was shown")
        if not peer.secure:
            raise Unauthenticated("tokens are taken over TLS only; use the port of TLS")
        try:
            # A join token is written off on disk.
            identity, _ = await asyncio.to_thread(self._tokens.check, peer.token)
        except Invalid as error:
            raise Unauthenticated(str(error)) from None
        except OSError as error:
            raise Unauthenticated(f"tokens cannot be checked: {error.strerror}") from None
        return identity
