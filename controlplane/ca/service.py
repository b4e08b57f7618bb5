"""`IstioCertificateService`: certificates for whoever has proved who it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio

from controlplane.ca import signing
from controlplane.ca.audit import Audit
from controlplane.ca.authenticate import WorkloadAuthenticator
from controlplane.ca.authority import Authority
from controlplane.ca.limits import Limits
from controlplane.ca.proofs import Proved
from controlplane.xds.identity import Unauthenticated
from controlplane.xds.peer import peer
from mesh.api import certificates

#: Fields of a request's metadata, and why they are refused.
_REFUSED = {
    "ImpersonatedIdentity": "impersonation: a certificate is for who asks",
    "CertSigner": "there is one authority",
}
_MAX_SECONDS = int(signing.MAX_LIFE.total_seconds())


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
        create = grpc.unary_unary_rpc_method_handler(
            self._create,
            request_deserializer=certificates.Request.FromString,
            response_serializer=certificates.Response.SerializeToString,
        )
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(
            certificates.SERVICE, {"CreateCertificate": create}
        )
        return handler

    async def _create(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        who = peer(context)
        if not who.secure:
            # A token in clear text would be anybody's.
            reason = "certificates are given out over TLS only; use the port of TLS"
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, reason)
        for field, why in _REFUSED.items():
            # Istio's agents send an empty one.
            if field in request.metadata.fields and request.metadata[field] != "":
                reason = f"metadata: {field} is not supported; {why}"
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
        try:
            # Before it is asked who it is: what cannot be signed must use up no token.
            asked = signing.Request(request.csr.encode())
            proved = await self._authenticator.admit(who, asked)
        except signing.Rejected as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Unauthenticated as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        if not self._limits.take(proved.identity):
            reason = f"{proved.identity} asked for too many certificates; wait a minute"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        seconds = min(request.validity_duration, _MAX_SECONDS)
        life = timedelta(seconds=seconds) if seconds > 0 else self._default_life
        try:
            async with self._turn:
                chain = await asyncio.to_thread(self._sign, asked, proved, life, who.address)
        except signing.Rejected as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except OSError as error:
            # What is not in the audit log must not be given out.
            reason = f"the audit log cannot be written: {error.strerror}"
            await context.abort(grpc.StatusCode.UNAVAILABLE, reason)
        return certificates.Response(cert_chain=chain)

    def _sign(
        self, asked: signing.Request, proved: Proved, life: timedelta, caller: str
    ) -> tuple[str, ...]:
        signed = signing.sign(self._authority(), asked, proved.identity, life, proved.grants)
        self._audit.issued(signed.certificate, proved, caller)
        return signed.chain
