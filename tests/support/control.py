"""The whole control plane on this event loop, and members of the mesh with real certificates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2

from controlplane.ca.grants import NOTHING, Grants
from controlplane.control import Control, Settings
from mesh.api import certificates, registration
from tests.support.requests import AnyKey, key, key_pem, request

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
CREATE = f"/{certificates.SERVICE}/CreateCertificate"


@dataclass(frozen=True)
class Member:
    """Somebody with a certificate."""

    namespace: str
    account: str
    private: bytes
    chain: bytes

    @property
    def identity(self) -> str:
        return f"spiffe://cluster.local/ns/{self.namespace}/sa/{self.account}"

    def node(self, name: str, labels: Mapping[str, str], **metadata: str) -> Any:
        """What its sidecar says of itself."""
        made = discovery_pb2.DeltaDiscoveryRequest().node
        made.id = f"sidecar~127.64.0.1~{name}.{self.namespace}~{self.namespace}.svc.cluster.local"
        made.metadata.update({"LABELS": dict(labels), **metadata})
        return made


class Running:
    """A control plane that serves."""

    def __init__(self, control: Control) -> None:
        self.control = control

    @property
    def roots(self) -> bytes:
        return self.control.authority.current().roots_pem()

    def channel(
        self, member: Member | None = None, *, roots: bytes = b"", port: int = 0
    ) -> grpc.aio.Channel:
        """To the port for those with certificates; without a member to the one for newcomers."""
        server = self.control.server
        if member is None:
            credentials = grpc.ssl_channel_credentials(roots or self.roots)
            return grpc.aio.secure_channel(f"localhost:{port or server.join_port}", credentials)
        credentials = grpc.ssl_channel_credentials(
            roots or self.roots, member.private, member.chain
        )
        return grpc.aio.secure_channel(f"localhost:{port or server.secure_port}", credentials)

    async def join(self, namespace: str, account: str, grants: Grants = NOTHING) -> Member:
        """A new member, by a join token."""
        token = self.control.tokens.new_join(namespace, account, grants=grants)
        private = key()
        async with self.channel() as channel:
            chain = await create(channel, request(private), token)
        return _member(namespace, account, private, chain)

    async def renewed(self, member: Member, asked: bytes = b"", private: Any = None) -> Member:
        """The same, with its next certificate."""
        private = private or key()
        async with self.channel(member) as channel:
            chain = await create(channel, asked or request(private))
        return _member(member.namespace, member.account, private, chain)


@asynccontextmanager
async def controlled(directory: Path, **settings: Any) -> AsyncIterator[Running]:
    """Configuration is in `directory/config`."""
    made = Settings(config=directory / "config", state=directory / "state", **settings)
    async with Control(made) as control:
        yield Running(control)


async def create(channel: grpc.aio.Channel, csr: bytes, token: str = "") -> list[str]:
    """CreateCertificate."""
    call: Any = channel.unary_unary(
        CREATE,
        request_serializer=certificates.Request.SerializeToString,
        response_deserializer=certificates.Response.FromString,
    )
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    response = await call(certificates.Request(csr=csr.decode()), metadata=metadata, timeout=20)
    return list(response.cert_chain)


async def register(channel: grpc.aio.Channel, method: str, text: str) -> Any:
    """A call of `fastmesh.v1.Registration`; its answer."""
    configuration = method == registration.CONFIGURATION
    answer: Any = registration.Struct if configuration else registration.Empty
    call: Any = channel.unary_unary(
        f"/{registration.SERVICE}/{method}",
        request_serializer=registration.StringValue.SerializeToString,
        response_deserializer=answer.FromString,
    )
    return await call(registration.StringValue(value=text), timeout=20)


class Sidecar:
    """A stream of delta ADS."""

    def __init__(self, channel: grpc.aio.Channel, node: Any) -> None:
        self.call: Any = channel.stream_stream(
            ADS,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )()
        self._node = node

    async def ask(self, type_url: str, *names: str) -> Any:
        """The first answer."""
        await self.call.write(
            discovery_pb2.DeltaDiscoveryRequest(
                node=self._node, type_url=type_url, resource_names_subscribe=names
            )
        )
        return await self.get()

    async def get(self) -> Any:
        answer = await self.call.read()
        assert answer is not grpc.aio.EOF, (await self.call.code(), await self.call.details())
        return answer

    async def refusal(self, type_url: str) -> tuple[grpc.StatusCode, str]:
        """How it is ended, when it asks or later."""
        try:
            await self.ask(type_url)
            while await self.call.read() is not grpc.aio.EOF:
                pass
        except (grpc.aio.AioRpcError, AssertionError):
            # Which is how a read says that the end was no good one.
            pass
        return await self.call.code(), str(await self.call.details())


def _member(namespace: str, account: str, private: AnyKey, chain: list[str]) -> Member:
    return Member(namespace, account, key_pem(private), "".join(chain[:-1]).encode())
