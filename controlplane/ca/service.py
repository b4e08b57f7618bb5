"""`IstioCertificateService`: certificates for whoever has proved who it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from controlplane.ca import signing
from controlplane.ca.audit import Audit
from controlplane.ca.authenticate import Prove, Unavailable, WorkloadAuthenticator
from controlplane.ca.authority import Authority
from controlplane.ca.limits import Limits
from controlplane.ca.proofs import Proved, serial
from controlplane.xds import unary
from controlplane.xds.identity import Peer, Unauthenticated
from controlplane.xds.peer import peer
from controlplane.xds.unary import Refused
from mesh.api import certificates

#: Fields of a request's metadata, and why they are refused.
_REFUSED = {
    "ImpersonatedIdentity": "impersonation: a certificate is for who asks",
    "CertSigner": "there is one authority",
}
_MAX_SECONDS = int(signing.MAX_LIFE.total_seconds())
#: Of a request, in bytes: one for a certificate (`signing` bounds it further), and metadata.
_MOST = 64 * 1024


class CertificateService:
    """Signs; one thread at a time, beside the loop that serves everything else."""

    def __init__(
        self,
        authority: Callable[[], Authority],
        authenticator: WorkloadAuthenticator,
        audit: Audit,
        limits: Limits,
        default_life: timedelta = signing.DEFAULT_LIFE,
    ) -> None:
        #: Asked for each certificate, because a root may roll.
        self._authority = authority
        self._authenticator = authenticator
        self._audit = audit
        self._limits = limits
        self._default_life = default_life
        self._turn = asyncio.Lock()

    def handler(self) -> grpc.GenericRpcHandler:
        """For a server of grpc.aio."""
        create = unary.method(self._admit, most=_MOST)
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(
            certificates.SERVICE, {"CreateCertificate": create}
        )
        return handler

    async def _admit(self, context: unary.Context) -> unary.Answer:
        who = peer(context)
        if not who.secure:
            # A token in clear text would be anybody's.
            reason = "certificates are given out over TLS only; use the port of TLS"
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, reason)
        try:
            prove = await self._authenticator.expect(who)
        except Unauthenticated as error:
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None
        except Unavailable as error:
            raise Refused(grpc.StatusCode.UNAVAILABLE, str(error)) from None

        async def answer(data: bytes) -> bytes:
            return await self._create(_parsed(data), prove, who)

        return answer

    async def _create(self, request: Any, prove: Prove, who: Peer) -> bytes:
        try:
            # Before it is asked who it is: what cannot be signed must use up no token.
            asked = signing.Request(request.csr.encode())
            proved = await prove(asked)
        except signing.Rejected as error:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
        except Unauthenticated as error:
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None
        except Unavailable as error:
            # Agents take a refusal for final: this one is to be asked for again.
            raise Refused(grpc.StatusCode.UNAVAILABLE, str(error)) from None
        if not self._limits.take(proved.bearer):
            reason = f"{proved.identity} asked for too many certificates; wait a minute"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        seconds = min(request.validity_duration, _MAX_SECONDS)
        life = timedelta(seconds=seconds) if seconds > 0 else self._default_life
        try:
            async with self._turn:
                signed = await asyncio.to_thread(self._sign, asked, proved, life, who.address)
        except signing.Rejected as error:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from None
        except OSError as error:
            # What is not in the audit log must not be given out.
            reason = f"the audit log cannot be written: {error.strerror}"
            raise Refused(grpc.StatusCode.UNAVAILABLE, reason) from None
        heir = proved.identity, serial(signed.certificate)
        self._limits.inherit(heir, proved.bearer)
        response: bytes = certificates.Response(cert_chain=signed.chain).SerializeToString()
        return response

    def _sign(
        self, asked: signing.Request, proved: Proved, life: timedelta, caller: str
    ) -> signing.Signed:
        signed = signing.sign(self._authority(), asked, proved.identity, life, proved.grants)
        self._audit.issued(signed.certificate, proved, caller)
        return signed


def _parsed(data: bytes) -> Any:
    """An IstioCertificateRequest without what we do not do. Raises Refused."""
    try:
        request: Any = certificates.Request.FromString(data)
    except DecodeError as error:
        text = f"not an IstioCertificateRequest: {error}"
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, text) from None
    for field, why in _REFUSED.items():
        # Istio's agents send an empty one.
        if field in request.metadata.fields and request.metadata[field] != "":
            reason = f"metadata: {field} is not supported; {why}"
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, reason)
    return request
