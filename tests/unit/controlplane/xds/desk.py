"""The discovery server without a network: a world, its pushes, and clients that are played."""

from __future__ import annotations

from time import monotonic
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from controlplane.resources.resource import Resource
from controlplane.world.proxy import Proxy
from controlplane.world.world import World
from controlplane.xds import request
from controlplane.xds.identity import Identity
from controlplane.xds.metrics import Metrics
from controlplane.xds.options import Limits, Options
from controlplane.xds.push import Publisher
from controlplane.xds.status import Board
from controlplane.xds.stream import Stream
from tests.support.xds_world import FakeTranslator, remove, resource

EPOCH = "epoch"


def sidecar(name: str = "app.default", namespace: str = "default") -> Proxy:
    return Proxy("sidecar", name, namespace, "default", ("10.0.0.1",))


class Desk:
    """A world and those who follow it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.world = World()
        self.options = Options(limits=limits or Limits())
        self.board = Board(Metrics("test"), monotonic)
        self.publisher = Publisher(self.world, FakeTranslator(), self.options, self.board, EPOCH)

    async def put(self, type_url: str, *names: str, body: bytes | Exception = b"") -> None:
        """Resources of these names; pushes."""
        self.world.change([resource(type_url, name, body) for name in names])
        await self.publisher.round()

    async def put_all(self, *resources: Resource[Any]) -> None:
        self.world.change(resources)
        await self.publisher.round()

    async def drop(self, type_url: str, *names: str) -> None:
        remove(self.world, type_url, *names)
        await self.publisher.round()

    def client(
        self,
        *,
        delta: bool = True,
        proxy: Proxy | None = None,
        only: str = "",
        identity: Identity | None = None,
    ) -> Client:
        return Client(self, delta=delta, proxy=proxy or sidecar(), only=only, identity=identity)


class Client:
    """Plays one client. `get` gives what the server would send now."""

    def __init__(
        self, desk: Desk, *, delta: bool, proxy: Proxy, only: str, identity: Identity | None
    ) -> None:
        self.desk = desk
        self.delta = delta
        self.woken = 0
        self.stream = Stream(
            proxy, identity, desk.publisher, desk.board, desk.options.limits, self._wake,
            delta=delta, only=only,
        )  # fmt: skip
        desk.board.connected(self.stream)

    def _wake(self) -> None:
        self.woken += 1

    async def say(self, type_url: str, **fields: Any) -> None:
        """A request; for delta `subscribe`, `unsubscribe`, `held`, for both `nonce`, `error`."""
        error = fields.pop("error", None)
        if self.delta:
            message = discovery_pb2.DeltaDiscoveryRequest(
                type_url=type_url,
                resource_names_subscribe=fields.pop("subscribe", ()),
                resource_names_unsubscribe=fields.pop("unsubscribe", ()),
                initial_resource_versions=fields.pop("held", {}),
                response_nonce=fields.pop("nonce", ""),
            )
        else:
            message = discovery_pb2.DiscoveryRequest(
                type_url=type_url,
                resource_names=fields.pop("names", ()),
                response_nonce=fields.pop("nonce", ""),
                version_info=fields.pop("version", ""),
            )
        assert not fields
        if error is not None:
            message.error_detail.message = error
        parse = request.delta if self.delta else request.sotw
        self.stream.receive(parse(message.SerializeToString()))
        # What nobody had asked for before is worked out.
        await self.desk.publisher.round()

    def get(self) -> Any:
        """The next response, parsed; None if nothing may leave."""
        data = self.stream.next()
        if data is None:
            return None
        kind = (
            discovery_pb2.DeltaDiscoveryResponse if self.delta else discovery_pb2.DiscoveryResponse
        )
        return kind.FromString(data)

    async def ack(self, response: Any, **more: Any) -> None:
        await self.say(response.type_url, nonce=response.nonce, **more)

    async def nack(self, response: Any, text: str, **more: Any) -> None:
        await self.say(response.type_url, nonce=response.nonce, error=text, **more)

    async def take(self, type_url: str, **more: Any) -> Any:
        """The next response, which must be of this type, acknowledged."""
        response = self.get()
        assert response is not None, f"nothing was sent, {type_url} was due"
        assert response.type_url == type_url
        await self.ack(response, **more)
        return response


def names(response: Any) -> list[str]:
    """Of the resources of a delta response."""
    return [one.name for one in response.resources]


def bodies(response: Any) -> list[bytes]:
    """Of a state-of-the-world response."""
    return [one.value for one in response.resources]
