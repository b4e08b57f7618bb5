"""The workload's certificate: asked for with a token, then renewed with itself.

The key is made here and never leaves memory. Renewal is at half of the certificate's life, give or
take a little so that a mesh that was started at once does not renew at once; it is tried again and
again, with longer and longer pauses, while the old one is still good.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.agent.join import Join
from mesh.api import certificates

_LOG = logging.getLogger(__name__)
_METHOD = f"/{certificates.SERVICE}/CreateCertificate"
_TIMEOUT = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: Half of the life, plus or minus 1 % (Istio).
_JITTER = 0.01


class Refused(Exception):
    """The control plane gives no certificate, and asking again will not help."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate with its key."""

    #: PEM, the leaf first.
    chain: bytes
    roots: bytes
    not_before: datetime
    not_after: datetime
    serial: int
    key: bytes = field(repr=False)


class Identity:
    """Gets credentials and keeps them fresh. `told` is called with each new one."""

    def __init__(self, join: Join, told: Callable[[Credentials], None]) -> None:
        self._join = join
        self._told = told
        self._held: Credentials | None = None
        self._renew = asyncio.Event()

    @property
    def held(self) -> Credentials:
        """The newest. Only after `obtain`."""
        assert self._held is not None
        return self._held

    async def obtain(self) -> Credentials:
        """The first certificate, by the token; waits for a control plane that is not there yet.
        Raises Refused."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._create()
            except grpc.aio.AioRpcError as error:
                if error.code() in _FINAL:
                    raise Refused(f"{self._join.join}: {error.details()}") from None
                _LOG.warning("no certificate yet (%s): %s", self._join.join, error.details())
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def keep(self) -> None:
        """Renews for ever."""
        pause = 0.0
        while True:
            assert self._held is not None
            wait = pause or _until_half(self._held)
            try:
                await asyncio.wait_for(self._renew.wait(), wait)
            except TimeoutError:
                pass
            self._renew.clear()
            try:
                await self._create()
            except grpc.aio.AioRpcError as error:
                left = self._held.not_after - datetime.now(UTC)
                _LOG.warning("certificate not renewed (%s left of it): %s", left, error.details())
                pause = min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
            else:
                pause = 0.0

    def renew(self) -> None:
        """Renews now."""
        self._renew.set()

    async def _create(self) -> Credentials:
        private = ec.generate_private_key(ec.SECP256R1())
        held = self._held
        if held is not None and held.not_after <= datetime.now(UTC):
            # Nobody takes it any more; a token that is still good may.
            held = None
        metadata: tuple[tuple[str, str], ...] = ()
        if held is None:
            target, proof = self._join.join, {}
            metadata = (("authorization", f"Bearer {self._join.token}"),)
        else:
            target = self._join.control
            proof = {"private_key": held.key, "certificate_chain": held.chain}
        roots = held.roots if held else self._join.roots.encode()
        credentials = grpc.ssl_channel_credentials(roots, **proof)
        async with grpc.aio.secure_channel(target, credentials) as channel:
            call = channel.unary_unary(
                _METHOD,
                request_serializer=certificates.Request.SerializeToString,
                response_deserializer=certificates.Response.FromString,
            )
            asked = certificates.Request(csr=_request(private).decode())
            response = await call(asked, metadata=metadata, timeout=_TIMEOUT)
        self._held = _credentials(private, list(response.cert_chain))
        self._told(self._held)
        return self._held


_FINAL = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
}


def _request(private: ec.EllipticCurvePrivateKey) -> bytes:
    built = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return built.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _credentials(private: ec.EllipticCurvePrivateKey, chain: list[str]) -> Credentials:
    leaf = x509.load_pem_x509_certificate(chain[0].encode())
    return Credentials(
        chain="".join(chain[:-1]).encode(),
        # The last element holds all roots.
        roots=chain[-1].encode(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        serial=leaf.serial_number,
        key=private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _until_half(held: Credentials) -> float:
    life = (held.not_after - held.not_before).total_seconds()
    half = held.not_before.timestamp() + life * (0.5 + random.uniform(-_JITTER, _JITTER))
    return max(1.0, half - datetime.now(UTC).timestamp())
