"""The certificate service over gRPC, with real TLS: joining by token, renewing by certificate."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import grpc.aio
import jwt
import pytest
from cryptography import x509

from controlplane import durable
from controlplane.ca import authority, signing
from controlplane.ca.audit import Audit
from controlplane.ca.authenticate import WorkloadAuthenticator
from controlplane.ca.authority import load, roll
from controlplane.ca.grants import Grants, of_certificate
from controlplane.ca.holder import Holder
from controlplane.ca.limits import Limits
from controlplane.ca.rejoin import Rejoin, proof
from controlplane.ca.service import CertificateService
from controlplane.ca.serving import ServingCertificate
from controlplane.ca.tokens import Tokens
from controlplane.xds.identity import Identity
from mesh.api import certificates
from tests.support.requests import AnyKey, key, key_pem, request

WHO = Identity("cluster.local", "default", "reviews")
_DAY = timedelta(days=1)
_METHOD = f"/{certificates.SERVICE}/CreateCertificate"


@dataclass
class Running:
    """A server, and what a test needs of it."""

    holder: Holder
    tokens: Tokens
    mutual_port: int
    join_port: int
    plain_port: int
    directory: Path


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Running]:
    holder = Holder(directory / "ca", "cluster.local")
    tokens = Tokens(directory / "tokens", "cluster.local")
    rejoin = Rejoin(holder.current)
    service = CertificateService(
        holder.current,
        WorkloadAuthenticator(frozenset({"cluster.local"}), tokens, rejoin),
        Audit(directory / "audit.jsonl"),
        Limits(),
    )
    own = ServingCertificate(holder.current, ("localhost", "127.0.0.1"))
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service.handler(),))
    ports = (
        server.add_secure_port("127.0.0.1:0", own.mutual()),
        server.add_secure_port("127.0.0.1:0", own.one_sided()),
        server.add_insecure_port("127.0.0.1:0"),
    )
    await server.start()
    try:
        yield Running(holder, tokens, *ports, directory)
    finally:
        await server.stop(None)


def run(test: Callable[[Running], Awaitable[None]], directory: Path) -> None:
    async def main() -> None:
        async with serving(directory) as running:
            await test(running)

    asyncio.run(main())


async def create(
    port: int, credentials: grpc.ChannelCredentials | None, csr: bytes, token: str = ""
) -> list[str]:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    target = f"localhost:{port}"
    channel = (
        grpc.aio.insecure_channel(target)
        if credentials is None
        else grpc.aio.secure_channel(target, credentials)
    )
    async with channel:
        call: Any = channel.unary_unary(
            _METHOD,
            request_serializer=certificates.Request.SerializeToString,
            response_deserializer=certificates.Response.FromString,
        )
        asked = certificates.Request(csr=csr.decode(), validity_duration=3600)
        response = await call(asked, metadata=metadata, timeout=10)
        return list(response.cert_chain)


def trusting(running: Running, **own: bytes) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(running.holder.current().roots_pem(), **own)


async def refused(*arguments: Any) -> tuple[grpc.StatusCode, str]:
    """How `create` is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await create(*arguments)
    return raised.value.code(), str(raised.value.details())


def holding(running: Running, private: AnyKey, chain: list[str]) -> grpc.ChannelCredentials:
    """With a certificate of one's own."""
    return trusting(
        running, private_key=key_pem(private), certificate_chain="".join(chain[:-1]).encode()
    )


def grants(leaf: str) -> Grants:
    return of_certificate(x509.load_pem_x509_certificate(leaf.encode()))


def audit(directory: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (directory / "audit.jsonl").read_text().splitlines()]


def uri(leaf: str) -> str:
    names = x509.load_pem_x509_certificate(leaf.encode()).extensions
    found = names.get_extension_for_class(x509.SubjectAlternativeName)
    return str(found.value[0].value)


def test_a_newcomer_joins_and_then_renews(tmp_path: Path) -> None:
    allowed = Grants((("app", "reviews"), ("version", "*")))

    async def test(running: Running) -> None:
        token = running.tokens.new_join("default", "reviews", grants=allowed)
        private, following = key(), key()
        chain = await create(running.join_port, trusting(running), request(private), token)
        assert uri(chain[0]) == "spiffe://cluster.local/ns/default/sa/reviews"
        assert grants(chain[0]) == allowed
        own = holding(running, private, chain)
        again = await create(running.mutual_port, own, request(following))
        own = holding(running, following, again)
        last = await create(running.mutual_port, own, request(key()))
        # What it may be stays with it, however often it is renewed.
        assert (uri(last[0]), grants(last[0])) == (uri(chain[0]), allowed)
        told = audit(tmp_path)
        proofs = ["join token", *(f"certificate {one['serial']}" for one in told[:2])]
        assert [one["proof"] for one in told] == proofs
        assert {one["grants"] for one in told} == {str(allowed)}
        assert len({one["serial"] for one in told}) == 3
        text = (tmp_path / "audit.jsonl").read_text()
        assert "PRIVATE" not in text
        assert token not in text

    run(test, tmp_path)


def test_an_answer_that_was_lost_is_asked_for_again(tmp_path: Path) -> None:
    """But by nobody else: the token is used up for one key."""

    async def test(running: Running) -> None:
        token = running.tokens.new_join("default", "reviews")
        private = key()
        # A request that cannot be signed uses up nothing.
        code, _ = await refused(running.join_port, trusting(running), b"hello", token)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        for _ in range(2):
            await create(running.join_port, trusting(running), request(private), token)
        code, why = await refused(running.join_port, trusting(running), request(key()), token)
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "used before, for another key; make another with `mesh token create`" in why

    run(test, tmp_path)


# -- certificates that have ended --


def in_the_past(monkeypatch: pytest.MonkeyPatch, ago: timedelta, module: ModuleType) -> None:
    """What a module signs now was signed then."""

    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Then:
            real = datetime.now(tz) - ago
            return cls.combine(real.date(), real.timetz())

    monkeypatch.setattr(module, "datetime", Then)


@pytest.fixture
def old_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority is there for a month."""
    with monkeypatch.context() as patched:
        in_the_past(patched, timedelta(days=30), authority)
        load(tmp_path / "ca", "cluster.local")


@asynccontextmanager
async def ended(
    running: Running, monkeypatch: pytest.MonkeyPatch, ago: timedelta
) -> AsyncIterator[tuple[bytes, bytes]]:
    """A certificate of an hour's life that ended a while ago, and its key."""
    allowed = Grants((("app", "reviews"),))
    token = running.tokens.new_join("default", "reviews", grants=allowed)
    private = key()
    with monkeypatch.context() as patched:
        in_the_past(patched, ago + timedelta(hours=1), signing)
        chain = await create(running.join_port, trusting(running), request(private), token)
    yield "".join(chain[:-1]).encode(), key_pem(private)


@pytest.mark.usefixtures("old_root")
@pytest.mark.parametrize("ago", [timedelta(minutes=1), timedelta(days=6)])
def test_who_slept_too_long_comes_back_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ago: timedelta
) -> None:
    async def test(running: Running) -> None:
        async with ended(running, monkeypatch, ago) as (chain, private):
            own = trusting(running, private_key=private, certificate_chain=chain)
            code, _ = await refused(running.mutual_port, own, request(key()))
            assert code is grpc.StatusCode.UNAVAILABLE
            asked = request(key())
            shown = proof(chain, private, asked)
            found = await create(running.join_port, trusting(running), asked, shown)
        assert uri(found[0]) == "spiffe://cluster.local/ns/default/sa/reviews"
        assert grants(found[0]) == Grants((("app", "reviews"),))
        first, second = audit(tmp_path)
        assert second["proof"] == f"ended certificate {first['serial']}"

    run(test, tmp_path)


@pytest.mark.usefixtures("old_root")
def test_a_proof_of_an_old_key_is_worth_nothing_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(running: Running) -> None:
        async with ended(running, monkeypatch, timedelta(hours=1)) as (chain, private):
            asked = request(key())
            good = proof(chain, private, asked)
            head, claims, signature = good.removeprefix("fmrejoin_").split(".")
            plain = jwt.encode({"aud": "fastmesh-rejoin"}, None, algorithm="none")
            unsigned = f"fmrejoin_{plain}"
            stranger = proof(chain, key_pem(key()), asked)
            foreign = load(tmp_path / "foreign")
            signed = signing.sign(foreign, signing.Request(request(thief := key())), WHO, _DAY)
            for request_, token, why in (
                (request(key()), good, "was made for another request"),
                (asked, stranger, "Signature verification failed"),
                (asked, f"fmrejoin_{head}.{claims}.", "not valid"),
                (asked, f"fmrejoin_{head}.{signature}.{claims}", "not valid"),
                (asked, unsigned, "must show 1 to 6 certificates"),
                (asked, "fmrejoin_", "not valid"),
                (asked, proof(chain * 7, private, asked), "must show 1 to 6 certificates"),
                (
                    asked,
                    proof(signed.chain[0].encode(), key_pem(thief), asked),
                    "is not of this mesh",
                ),
            ):
                code, text = await refused(running.join_port, trusting(running), request_, token)
                assert code is grpc.StatusCode.UNAUTHENTICATED, text
                assert why in text
        assert len(audit(tmp_path)) == 1

    run(test, tmp_path)


@pytest.mark.usefixtures("old_root")
def test_who_slept_for_weeks_needs_a_new_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(running: Running) -> None:
        async with ended(running, monkeypatch, timedelta(days=7, minutes=1)) as (chain, private):
            asked = request(key())
            shown = proof(chain, private, asked)
            code, why = await refused(running.join_port, trusting(running), asked, shown)
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "more than 7 days, 0:00:00 ago: it needs a new join token" in why

    run(test, tmp_path)


@pytest.mark.parametrize(
    ("where", "token", "status", "message"),
    [
        ("join_port", "", grpc.StatusCode.UNAUTHENTICATED, "a client certificate or a token"),
        ("join_port", "wrong", grpc.StatusCode.UNAUTHENTICATED, "this is no token"),
        ("join_port", "fmjoin_x", grpc.StatusCode.UNAUTHENTICATED, "unknown"),
        ("plain_port", "good", grpc.StatusCode.UNAUTHENTICATED, "over TLS only"),
        ("mutual_port", "good", grpc.StatusCode.UNAVAILABLE, ""),
    ],
)
def test_who_gets_none(
    tmp_path: Path, where: str, token: str, status: grpc.StatusCode, message: str
) -> None:
    async def test(running: Running) -> None:
        given = running.tokens.new_join("default", "reviews") if token == "good" else token
        credentials = None if where == "plain_port" else trusting(running)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await create(getattr(running, where), credentials, request(key()), given)
        assert raised.value.code() == status
        assert message in (raised.value.details() or "")
        assert not (tmp_path / "audit.jsonl").exists()

    run(test, tmp_path)


def test_requests_that_cannot_be_signed(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        token = running.tokens.new_service("default", "reviews")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await create(running.join_port, trusting(running), b"hello", token)
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    run(test, tmp_path)


def test_an_identity_cannot_get_any_number(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        token = running.tokens.new_service("default", "reviews")
        codes, asked = [], request(key())
        for _ in range(70):
            try:
                await create(running.join_port, trusting(running), asked, token)
            except grpc.aio.AioRpcError as error:
                codes.append(error.code())
        assert codes
        assert set(codes) == {grpc.StatusCode.RESOURCE_EXHAUSTED}

    run(test, tmp_path)


def test_many_replicas_start_at_once_and_one_that_asks_all_the_time_uses_up_its_own_share(
    tmp_path: Path,
) -> None:
    async def test(running: Running) -> None:
        asked = request(key())
        greedy, private = running.tokens.new_join("default", "reviews"), key()
        chain = await create(running.join_port, trusting(running), request(private), greedy)
        codes = []
        # With each certificate that it gets, so that no two are by the same proof.
        for _ in range(70):
            try:
                own, following = holding(running, private, chain), key()
                chain = await create(running.mutual_port, own, request(following))
                private = following
            except grpc.aio.AioRpcError as error:
                codes.append(error.code())
        assert set(codes) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert len(codes) >= 5
        for _ in range(65):
            token = running.tokens.new_join("default", "reviews")
            assert await create(running.join_port, trusting(running), asked, token)

    run(test, tmp_path)


def test_a_root_rolls_and_nobody_is_locked_out(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        private = key()
        token = running.tokens.new_service("default", "reviews")
        chain = await create(running.join_port, trusting(running), request(private), token)
        for _ in range(2):
            roots = running.holder.current().roots_pem()
            roll(tmp_path / "ca")
            assert running.holder.refresh()
            # With the roots of before the step and the first certificate.
            own = grpc.ssl_channel_credentials(
                roots, key_pem(private), "".join(chain[:-1]).encode()
            )
            renewed = await create(running.mutual_port, own, request(key()))
            assert uri(renewed[0]) == uri(chain[0])
        assert (
            running.holder.current().certificate.issuer
            != x509.load_pem_x509_certificate(chain[0].encode()).issuer
            or len(running.holder.current().roots) == 2
        )

    run(test, tmp_path)


def test_without_an_audit_line_there_is_no_certificate(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        (tmp_path / "audit.jsonl").mkdir()
        token = running.tokens.new_service("default", "reviews")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await create(running.join_port, trusting(running), request(key()), token)
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "audit" in (raised.value.details() or "")

    run(test, tmp_path)


@pytest.mark.parametrize("kind", ["tokens", "audit log"])
def test_a_full_disk_is_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Agents give up when they are refused: this is to be tried again, with the same token."""

    async def test(running: Running) -> None:
        token = running.tokens.new_join("default", "reviews")
        asked = request(key())

        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            if kind == "tokens":
                patch.setattr(durable, "write", full)
            else:
                patch.setattr(durable, "append", full)
            found = await refused(running.join_port, trusting(running), asked, token)
        assert found[0] is grpc.StatusCode.UNAVAILABLE
        assert "No space left on device" in found[1]
        assert not (tmp_path / "audit.jsonl").exists()
        assert await create(running.join_port, trusting(running), asked, token)
        assert len(audit(tmp_path)) == 1

    run(test, tmp_path)
