"""What a gRPC call says about who makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controlplane.xds.identity import Identity, Peer, Unauthenticated

if TYPE_CHECKING:
    import grpc.aio

    from controlplane.xds.identity import Authenticator

_BEARER = "bearer "


class Door:
    """Finds out who calls."""

    def __init__(self, authenticator: Authenticator, *, trust_plaintext: bool) -> None:
        self._authenticator = authenticator
        self._trust_plaintext = trust_plaintext

    async def identity(self, context: grpc.aio.ServicerContext[Any, Any]) -> Identity | None:
        """Who calls; None on a trusted port, where what is claimed counts. Raises
        Unauthenticated."""
        who = peer(context)
        if not who.secure and self._trust_plaintext:
            return None
        try:
            return await self._authenticator.authenticate(who)
        except Unauthenticated as error:
            raise Unauthenticated(f"{error} (from {who.address})") from None


def peer(context: grpc.aio.ServicerContext[Any, Any]) -> Peer:
    """What the call brings along as proof."""
    proofs = context.auth_context()
    transport = proofs.get("transport_security_type", [b""])[0]
    token = ""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and str(value)[: len(_BEARER)].lower() == _BEARER:
            token = str(value)[len(_BEARER) :].strip()
    certificate = proofs.get("x509_pem_cert", [b""])[0]
    return Peer(
        address=context.peer(),
        uris=tuple(one.decode(errors="replace") for one in proofs.get("peer_uri", ())),
        certificate=certificate,
        token=token,
        secure=transport in {b"ssl", b"tls"},
    )
