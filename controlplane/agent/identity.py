"""The workload's certificate: asked for with a token, then renewed with itself.

The key is made here and never leaves memory. Renewal is at half of the certificate's life, give or
take a little so that a mesh that was started at once does not renew at once; it is tried again and
again, with longer and longer pauses. When the certificate has ended meanwhile (the machine slept,
the control plane was away) its key is proved instead; when that is taken no more, a new join file
in place of the old one is.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.agent import join as joining
from controlplane.agent.join import Join
from controlplane.ca import rejoin
from mesh.api import certificates

_LOG = logging.getLogger(__name__)
#: Options of channels: not by a proxy that `http_proxy` names. It is our own sidecar's where this
#: is started by a program that is in the mesh (`mesh run -- bash`).
DIRECTLY = (("grpc.enable_http_proxy", 0),)
_METHOD = f"/{certificates.SERVICE}/CreateCertificate"
_TIMEOUT = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: Half of the life, plus or minus 1 % (Istio).
_JITTER = 0.01
#: Timers stand still while the machine sleeps; the clock is looked at this often.
_LOOK_SECONDS = 30.0
#: A certificate that was made a moment ago is not renewed yet, however short its life.
_LEAST_SECONDS = 1.0


class Refused(Exception):
    """The control plane gives no certificate, and asking again will not help."""


class _Failed(Exception):
    """No certificate this time; `final`: asking again in the same way will not help."""

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


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


def _now() -> datetime:
    return datetime.now(UTC)


class Identity:
    """Gets credentials and keeps them fresh. `told` is called with each new one."""

    def __init__(
        self,
        join: Join,
        told: Callable[[Credentials], None],
        path: Path,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """`path`: the join file; it is read again when nothing else helps."""
        self._join = join
        self._path = path
        self._told = told
        self._clock = clock
        self._held: Credentials | None = None
        self._renew = asyncio.Event()
        #: For the token, which is good for one key: an answer that was lost is asked for again.
        self._first_key = ec.generate_private_key(ec.SECP256R1())
        #: Whether the join file has a token that was neither used nor refused.
        self._may_join = True

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
                return await self._create(self._by_token)
            except _Failed as error:
                if error.final:
                    text = f"{self._join.join}: {error}"
                    raise Refused(f"{text}\n{self._way_out()}, and start this again") from None
                _LOG.warning("no certificate yet (%s): %s", self._join.join, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            # Somebody may have mended it.
            self._look_at_join_file()

    async def keep(self) -> None:
        """Renews for ever."""
        pause = 0.0
        while True:
            await self._until_due(pause)
            self._renew.clear()
            try:
                await self._again()
            except _Failed as error:
                pause = min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
                self._complain(error)
            else:
                pause = 0.0

    def renew(self) -> None:
        """Renews now."""
        self._renew.set()

    async def _until_due(self, pause: float) -> None:
        """Until the certificate is to be renewed: after `pause`, otherwise at half its life; or at
        once when it has ended or somebody asks for it."""
        now = self._clock().timestamp()
        due = now + pause if pause else max(now + _LEAST_SECONDS, _half(self.held))
        while not self._renew.is_set():
            left = due - self._clock().timestamp()
            if left <= 0:
                return
            try:
                await asyncio.wait_for(self._renew.wait(), min(left, _LOOK_SECONDS))
            except TimeoutError:
                pass

    def _complain(self, error: _Failed) -> None:
        left = self.held.not_after - self._clock()
        if left.total_seconds() > 0:
            _LOG.warning("certificate not renewed (%s left of it): %s", left, error)
        else:
            _LOG.error(
                "the certificate has ended at %s, nobody takes it any more, and it is not renewed:"
                " %s\n%s; it is taken up from there",
                self.held.not_after.isoformat(), error, self._way_out(),
            )  # fmt: skip

    def _plainly(self, details: str) -> str:
        """What a library says of the control plane's certificate, for people."""
        if any(one in details for one in _OTHER_ROOT):
            known = f"the join file {self._path}" if self._held is None else "this workload knows"
            return (
                f"the control plane there has another root than {known}: it is another control"
                " plane, or has another state folder (mesh control --state) than before.\n"
                f"{self._way_out()}; it is taken up from there ({details})"
            )
        if any(one in details for one in _OTHER_TIME):
            return (
                f"the control plane's certificate is not good now; look at the clocks ({details})"
            )
        if _NOBODY in details:
            return f"nobody answers; is `mesh control` running? It is waited for ({details})"
        return details

    def _way_out(self) -> str:
        return f"Where the control plane runs: {self._join.command(self._path)}"

    async def _again(self) -> None:
        """A new certificate by the one that is held, when that has ended by its key; when that is
        not taken by a new token."""
        ended = self._clock() >= self.held.not_after
        try:
            await self._create(self._by_key if ended else self._by_certificate)
        except _Failed as error:
            if not self._look_at_join_file():
                raise
            _LOG.info("%s: there is a new token, after: %s", self._path, error)
            try:
                await self._create(self._by_token)
            except _Failed as second:
                self._may_join = not second.final
                raise

    def _look_at_join_file(self) -> bool:
        """Whether there is a token to try."""
        try:
            found = joining.read(self._path)
        except joining.BadJoin as error:
            _LOG.debug("%s", error)
            return False
        same = (found.namespace, found.service_account, found.trust_domain)
        if same != (self._join.namespace, self._join.service_account, self._join.trust_domain):
            # The sidecar is somebody already.
            _LOG.warning("%s: is for another workload; it is not used", self._path)
            return False
        if found.token != self._join.token:
            self._join, self._may_join = found, True
            self._first_key = ec.generate_private_key(ec.SECP256R1())
            return True
        return self._may_join

    async def _by_token(self) -> Credentials:
        found = await self._ask(
            self._join.join, self._join.roots.encode(), self._first_key, token=self._join.token
        )
        self._may_join = False
        return found

    async def _by_certificate(self) -> Credentials:
        return await self._ask(self._join.control, self.held.roots, None, shown=self.held)

    async def _by_key(self) -> Credentials:
        return await self._ask(self._join.join, self.held.roots, None, proved=self.held)

    async def _create(self, ask: Callable[[], Awaitable[Credentials]]) -> Credentials:
        """Raises _Failed."""
        try:
            self._held = await ask()
        except grpc.aio.AioRpcError as error:
            raise _Failed(
                self._plainly(str(error.details())), final=error.code() in _FINAL
            ) from None
        except (ValueError, IndexError) as error:
            raise _Failed(f"the control plane's answer is no certificate: {error}") from None
        self._told(self._held)
        return self._held

    async def _ask(
        self,
        target: str,
        roots: bytes,
        private: ec.EllipticCurvePrivateKey | None,
        *,
        token: str = "",
        shown: Credentials | None = None,
        proved: Credentials | None = None,
    ) -> Credentials:
        private = private or ec.generate_private_key(ec.SECP256R1())
        request = _request(private)
        if proved is not None:
            token = rejoin.proof(proved.chain, proved.key, request)
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        own = {"private_key": shown.key, "certificate_chain": shown.chain} if shown else {}
        async with grpc.aio.secure_channel(
            target, grpc.ssl_channel_credentials(roots, **own), DIRECTLY
        ) as channel:
            call = channel.unary_unary(
                _METHOD,
                request_serializer=certificates.Request.SerializeToString,
                response_deserializer=certificates.Response.FromString,
            )
            asked = certificates.Request(csr=request.decode())
            response = await call(asked, metadata=metadata, timeout=_TIMEOUT)
        return _credentials(private, list(response.cert_chain))


#: What gRPC says where no port is open.
_NOBODY = "Connection refused"
#: What BoringSSL calls it when a certificate is of none of the roots, or of another time.
_OTHER_ROOT = (
    "unable to get local issuer certificate",
    "self signed certificate",
    "self-signed certificate",
    "certificate signature failure",
)
_OTHER_TIME = ("certificate has expired", "certificate is not yet valid")
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
    if leaf.public_key() != private.public_key():
        raise ValueError("it is for another key than ours")
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


def _half(held: Credentials) -> float:
    """When to renew it, by the clock."""
    begins, ends = held.not_before.timestamp(), held.not_after.timestamp()
    return begins + (ends - begins) * (0.5 + random.uniform(-_JITTER, _JITTER))
