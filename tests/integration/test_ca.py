"""The certificate service over gRPC, with real TLS: joining by token, renewing by certificate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509

from controlplane.ca.audit import Audit
from controlplane.ca.authenticate import WorkloadAuthenticator
from controlplane.ca.authority import roll
from controlplane.ca.holder import Holder
from controlplane.ca.limits import Limits
from controlplane.ca.service import CertificateService
from controlplane.ca.serving import ServingCertificate
from controlplane.ca.tokens import Tokens
from mesh.api import certificates
from tests.support.requests import key, key_pem, request

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
    service = CertificateService(
        holder.current,
        WorkloadAuthenticator(frozenset({"cluster.local"}), tokens),
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


def uri(leaf: str) -> str:
    names = x509.load_pem_x509_certificate(leaf.encode()).extensions
    found = names.get_extension_for_class(x509.SubjectAlternativeName)
    return str(found.value[0].value)


def test_a_newcomer_joins_and_then_renews(tmp_path: Path) -> None:
    async def test(running: Running) -> None:
        token = running.tokens.new_join("default", "reviews")
        private = key()
        chain = await create(running.join_port, trusting(running), request(private), token)
        assert uri(chain[0]) == "spiffe://cluster.local/ns/default/sa/reviews"
        own = trusting(
            running,
            private_key=key_pem(private),
            certificate_chain="".join(chain[:-1]).encode(),
        )
        again = await create(running.mutual_port, own, request(key()))
        assert uri(again[0]) == uri(chain[0])
        lines = (tmp_path / "audit.jsonl").read_text().splitlines()
        told = [json.loads(line) for line in lines]
        assert [one["proof"] for one in told] == ["token", "certificate"]
        assert len({one["serial"] for one in told}) == 2
        assert "PRIVATE" not in "".join(lines)
        assert token not in "".join(lines)

    run(test, tmp_path)


@pytest.mark.parametrize(
    ("where", "token", "status", "message"),
    [
        ("join_port", "", grpc.StatusCode.UNAUTHENTICATED, "a client certificate or a token"),
        ("join_port", "wrong", grpc.StatusCode.UNAUTHENTICATED, "not valid"),
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
        codes = []
        for _ in range(62):
            try:
                await create(running.join_port, trusting(running), b"hello", token)
            except grpc.aio.AioRpcError as error:
                codes.append(error.code())
        assert codes[0] == grpc.StatusCode.INVALID_ARGUMENT
        assert codes[-1] == grpc.StatusCode.RESOURCE_EXHAUSTED

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
