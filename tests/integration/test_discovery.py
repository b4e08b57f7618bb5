"""The discovery server over real gRPC: who may come in and see what, and that nobody is harmed by
others."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2

from controlplane.translation.translator import IstioTranslator
from controlplane.world.graph import Node
from controlplane.world.proxy import Proxy
from controlplane.world.view import View
from controlplane.world.world import World
from controlplane.xds.identity import Identity, Peer, Unauthenticated
from controlplane.xds.options import Limits
from controlplane.xds.server import DiscoveryServer
from controlplane.xds.service import SERVICES
from controlplane.xds.type_urls import CLUSTER as C
from controlplane.xds.type_urls import ENDPOINT as E
from controlplane.xds.type_urls import EXTENSION as X
from controlplane.xds.type_urls import LISTENER as L
from controlplane.xds.type_urls import ROUTE as R
from controlplane.xds.type_urls import SECRET as S
from mesh.api import name_table
from tests.support import meshes
from tests.support.certs import Authority, Credential
from tests.support.playing import played
from tests.support.xds_server import AUTHENTICATOR, OPEN, server
from tests.support.xds_world import FakeTranslator, resource

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
CSDS = "/envoy.service.status.v3.ClientStatusDiscoveryService/"
TYPES = (C, E, L, R, S, X)
Sotw, Delta = discovery_pb2.DiscoveryRequest, discovery_pb2.DeltaDiscoveryRequest
OPERATOR = "spiffe://cluster.local/ns/mesh-system/sa/operator"


def node_id(name: str, namespace: str) -> str:
    return f"sidecar~10.0.0.1~{name}.{namespace}~{namespace}.svc.cluster.local"


async def ended(call: Any) -> tuple[grpc.StatusCode, str]:
    """How the server has ended a call."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError:
        # Which is how a read says that the end was no good one.
        pass
    return await call.code(), await call.details()


class Stream:
    """A client's stream, delta unless `method` says otherwise."""

    def __init__(
        self, channel: grpc.aio.Channel, name: str = "app", namespace: str = "default",
        *, method: str = ADS + "DeltaAggregatedResources",
    ) -> None:  # fmt: skip
        self.delta = method.rpartition("/")[2].startswith("Delta")
        kind = "Delta" if self.delta else ""
        self.call = channel.stream_stream(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=getattr(discovery_pb2, f"{kind}DiscoveryResponse").FromString,
        )()
        self._node: str | None = node_id(name, namespace)

    async def say(self, type_url: str, *names: str, nonce: str = "") -> None:
        if self.delta:
            message = Delta(type_url=type_url, resource_names_subscribe=names, response_nonce=nonce)
        else:
            message = Sotw(type_url=type_url, resource_names=names, response_nonce=nonce)
        if self._node is not None:
            message.node.id, self._node = self._node, None
        await self.call.write(message)

    async def get(self) -> Any:
        response = await self.call.read()
        assert response is not grpc.aio.EOF, (await self.call.code(), await self.call.details())
        return response

    async def take(self) -> Any:
        """The next response, acknowledged."""
        response = await self.get()
        await self.say(response.type_url, nonce=response.nonce)
        return response

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """How the server has ended it."""
        return await ended(self.call)

    async def refusal(self, type_url: str = C) -> tuple[grpc.StatusCode, str]:
        """How it is refused at its first request."""
        try:
            await self.say(type_url)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # It was refused before it was asked.
            pass
        return await self.ended()


@asynccontextmanager
async def running(made: DiscoveryServer):  # type: ignore[no-untyped-def]
    """Starts it, and stops it whatever happens."""
    await made.start()
    try:
        yield made
    finally:
        await made.stop(0)


@asynccontextmanager
async def serving(world: World, **options: Any):  # type: ignore[no-untyped-def]
    """A server and a channel to its plaintext port."""
    async with (
        running(server(world, **options)) as made,
        grpc.aio.insecure_channel(f"127.0.0.1:{made.plaintext_port}") as channel,
    ):
        yield made, channel


# -- who may come in --


@dataclass(frozen=True)
class Mesh:
    """A server with TLS, and a channel for each of three identities and for nobody."""

    server: DiscoveryServer
    shop: grpc.aio.Channel
    bank: grpc.aio.Channel
    operator: grpc.aio.Channel


@asynccontextmanager
async def secured(tmp_path: Path, world: World, **options: Any):  # type: ignore[no-untyped-def]
    authority = Authority(tmp_path)
    mine = authority.server("istiod")
    root = authority.cert.read_bytes()
    pair = [(mine.key.read_bytes(), mine.cert.read_bytes())]
    credentials = grpc.ssl_server_credentials(pair, root, require_client_auth=True)
    made = server(
        world, secure="127.0.0.1:0", credentials=credentials, plaintext="",
        trust_plaintext=False, operators=frozenset({OPERATOR}), **options,
    )  # fmt: skip

    def channel(one: Credential) -> grpc.aio.Channel:
        shown = grpc.ssl_channel_credentials(root, one.key.read_bytes(), one.cert.read_bytes())
        return grpc.aio.secure_channel(f"localhost:{made.secure_port}", shown)

    async with (
        running(made),
        channel(authority.workload("reviews", "shop")) as shop,
        channel(authority.workload("teller", "bank")) as bank,
        channel(authority.workload("operator", "mesh-system")) as operator,
    ):
        yield Mesh(made, shop, bank, operator)


def two_namespaces() -> World:
    world = World()
    world.change(
        resource(url, f"{namespace}-thing", namespace.encode(), namespace=namespace)
        for namespace in ("shop", "bank")
        for url in TYPES
    )
    return world


@played
async def test_a_node_is_what_it_has_proved(tmp_path: Path) -> None:
    async with secured(tmp_path, two_namespaces()) as mesh:
        stream = Stream(mesh.shop, "reviews", "shop")
        await stream.say(C)
        response = await stream.take()
        assert [one.name for one in response.resources] == ["shop-thing"]
        (status,) = mesh.server.status()
        assert status.identity == "spiffe://cluster.local/ns/shop/sa/reviews"
        assert status.proxy.service_account == "reviews"
        code, text = await Stream(mesh.shop, "reviews", "bank").refusal()
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "'bank'" in text
        assert "spiffe://cluster.local/ns/shop/sa/reviews" in text


@played
async def test_three_identities_see_what_is_theirs(tmp_path: Path) -> None:
    """Over every method of every service, by wildcard and by name."""
    async with secured(tmp_path, two_namespaces()) as mesh:
        callers = {"shop": mesh.shop, "bank": mesh.bank}
        for service, sotw, delta, only in SERVICES:
            for method in (sotw, delta):
                for url in [only] if only else TYPES:
                    for mine, channel in callers.items():
                        stream = Stream(
                            channel, "app", mine, method=f"/envoy.service.{service}/{method}"
                        )
                        await stream.say(url, "shop-thing", "bank-thing")
                        response = await stream.take()
                        text = response.SerializeToString()
                        other = ({"shop", "bank"} - {mine}).pop()
                        assert f"{mine}".encode() in text, (method, url)
                        # Its name comes back, as one that is not there; its body does not.
                        assert not any(
                            other.encode() in one.SerializeToString() for one in response.resources
                        ), (method, url)
                        stream.call.cancel()
        await _status_is_for_operators(mesh)


async def _status_is_for_operators(mesh: Mesh) -> None:
    request = csds_pb2.ClientStatusRequest().SerializeToString()
    for channel in (mesh.shop, mesh.bank):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(CSDS + "FetchClientStatus")(request)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "is no operator" in str(caught.value.details())
        call = channel.stream_stream(CSDS + "StreamClientStatus")()
        assert (await ended(call))[0] is grpc.StatusCode.PERMISSION_DENIED
    answer = await mesh.operator.unary_unary(CSDS + "FetchClientStatus")(request)
    assert csds_pb2.ClientStatusResponse.FromString(answer)


@played
async def test_a_token_is_a_proof(tmp_path: Path) -> None:
    """On a port with TLS that asks for no certificate."""

    class Tokens:
        async def authenticate(self, peer: Peer) -> Identity:
            if peer.token != "joined":
                raise Unauthenticated("the token is unknown")
            assert peer.secure
            return Identity("cluster.local", "shop", "reviews")

    authority = Authority(tmp_path)
    mine = authority.server("istiod")
    credentials = grpc.ssl_server_credentials([(mine.key.read_bytes(), mine.cert.read_bytes())])
    options = replace(OPEN, plaintext="", join="127.0.0.1:0", join_credentials=credentials)
    made = DiscoveryServer(two_namespaces(), FakeTranslator(), Tokens(), options)
    root = grpc.ssl_channel_credentials(authority.cert.read_bytes())
    request = Delta(type_url=C)
    request.node.id = node_id("reviews", "shop")
    async with (
        running(made),
        grpc.aio.secure_channel(f"localhost:{made.join_port}", root) as channel,
    ):
        method = channel.stream_stream(ADS + "DeltaAggregatedResources")
        call = method(metadata=(("authorization", "Bearer joined"),))
        await call.write(request.SerializeToString())
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
        assert [one.name for one in response.resources] == ["shop-thing"]
        bad = method(metadata=(("authorization", "Bearer guessed"),))
        code, details = await ended(bad)
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "the token is unknown" in details
        assert "guessed" not in details


@played
async def test_plaintext_is_open_only_if_the_operator_says_so() -> None:
    async with serving(World(), trust_plaintext=False) as (_, channel):
        code, text = await Stream(channel).refusal()
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "a client certificate with a SPIFFE ID is needed" in text
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(CSDS + "FetchClientStatus")(b"")
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@played
async def test_a_unix_socket(tmp_path: Path) -> None:
    made = server(two_namespaces(), plaintext=f"unix:{tmp_path}/xds")
    async with running(made), grpc.aio.insecure_channel(f"unix:{tmp_path}/xds") as channel:
        stream = Stream(channel, namespace="shop")
        await stream.say(C)
        assert len((await stream.take()).resources) == 1


# -- bounds --


@played
async def test_streams_beyond_the_limit_are_told_so() -> None:
    async with serving(World(), limits=replace(Limits(), streams=1)) as (made, channel):
        first = Stream(channel)
        await first.say(C)
        await first.take()
        code, text = await Stream(channel).refusal()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "serves 1 streams and has as many" in text
        first.call.cancel()
        while made.status():
            await asyncio.sleep(0)
        again = Stream(channel)
        await again.say(C)
        await again.take()


@played
async def test_streams_of_one_identity_are_limited(tmp_path: Path) -> None:
    limits = replace(Limits(), streams_per_identity=1)
    async with secured(tmp_path, World(), limits=limits) as mesh:
        for channel in (mesh.shop, mesh.bank):
            stream = Stream(channel, "app", "shop" if channel is mesh.shop else "bank")
            await stream.say(C)
            await stream.take()
        code, text = await Stream(mesh.shop, "app", "shop").refusal()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "spiffe://cluster.local/ns/shop/sa/reviews has 1 streams" in text


@played
async def test_bad_requests_are_refused_with_the_reason() -> None:
    limits = replace(Limits(), request_bytes=10_000, node_bytes=1000)
    async with serving(World(), limits=limits) as (_, channel):
        method = channel.stream_stream(ADS + "DeltaAggregatedResources")
        large = Delta(type_url=C)
        large.node.id = node_id("a", "b")
        large.node.metadata.update({"X": "y" * 2000})
        huge = Delta(type_url=C, resource_names_subscribe=["x" * 100] * 200)
        for data, code, reason in (
            (b"\xff\xff", "INVALID_ARGUMENT", "not a DeltaDiscoveryRequest"),
            (Delta(type_url=C).SerializeToString(), "INVALID_ARGUMENT", "must have a node"),
            (large.SerializeToString(), "INVALID_ARGUMENT", "more than 1000"),
            (huge.SerializeToString(), "RESOURCE_EXHAUSTED", "larger than max"),
        ):
            call = method()
            await call.write(data)
            found, text = await ended(call)
            assert (found.name, reason in text) == (code, True), text


@played
async def test_a_translator_that_raises_costs_the_stream_that_asked() -> None:
    class Fragile(FakeTranslator):
        def named(self, view: View, type_url: str, proxy: Proxy, name: str) -> Node:
            if name == "bomb":
                raise RuntimeError("a mistake")
            return super().named(view, type_url, proxy, name)

    made = DiscoveryServer(two_namespaces(), Fragile(), AUTHENTICATOR, OPEN)
    async with (
        running(made),
        grpc.aio.insecure_channel(f"127.0.0.1:{made.plaintext_port}") as channel,
    ):
        good, bad = Stream(channel, namespace="shop"), Stream(channel, namespace="shop")
        await good.say(E, "shop-thing")
        await good.take()
        await bad.say(E, "bomb")
        assert await bad.ended() == (
            grpc.StatusCode.INTERNAL,
            "a mistake of the control plane: its log says more",
        )
        await good.say(E, "shop-thing")
        assert len((await good.take()).resources) == 1


@played
async def test_a_stream_that_says_nothing_is_ended() -> None:
    limits = replace(Limits(), first_request_seconds=0.01)
    async with serving(World(), limits=limits) as (_, channel):
        call = channel.stream_stream(ADS + "StreamAggregatedResources")()
        code, text = await ended(call)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "no request within" in text


@played
async def test_a_slow_client_costs_itself_only() -> None:
    world = World()
    world.change([resource(E, "a", b"\x0a" + bytes(1 << 20))])
    async with serving(world) as (made, channel):
        slow, quick = Stream(channel, "slow"), Stream(channel, "quick")
        await slow.say(E, "a")
        await quick.say(E, "a")
        await quick.take()
        for number in range(1, 21):
            world.change([resource(E, "a", bytes([number]) * (1 << 20))])
            await made.changed()
            response = await quick.take()
            assert response.resources[0].resource.value[0] == number
        # One response is under way to the slow one, and then there is only the newest.
        first = await slow.take()
        second = await slow.take()
        assert first.resources[0].resource.value[0] in {0x0A, 1}
        assert second.resources[0].resource.value[0] == 20
        assert [str(one.state) for one in await made.wait(world.revision, 20)] == ["SYNCED"] * 2


@pytest.mark.parametrize("how", ["says that it is done", "asks for too much", "is told to go"])
@played
async def test_a_stream_that_ends_in_the_middle_of_a_message_ends(how: str) -> None:
    """It is read to its end, then comes the end of the stream. gRPC would wait for ever if the call
    was ended meanwhile, and the stream would be counted by nobody."""
    world = World()
    world.change([resource(E, "a", bytes(3 << 20))])
    limits = replace(Limits(), names=1, streams=1)
    async with serving(world, limits=limits) as (made, channel):
        stream = Stream(channel)
        await stream.say(E, "a")
        while not any(one.sent for proxy in made.status() for one in proxy.types):
            await asyncio.sleep(0.001)
        if how == "says that it is done":
            await stream.call.done_writing()
        elif how == "asks for too much":
            await stream.say(E, "b", "c")
        else:
            made._services.end("this control plane is stopping")
        assert len((await stream.get()).resources) == 1
        code, text = await stream.ended()
        found = {
            "says that it is done": (grpc.StatusCode.OK, ""),
            "asks for too much": (
                grpc.StatusCode.INVALID_ARGUMENT, "3 names on one stream, more than 1"
            ),
            "is told to go": (grpc.StatusCode.UNAVAILABLE, "this control plane is stopping"),
        }  # fmt: skip
        assert (code, text) == found[how]
        # Its place is free again.
        while made.status():
            await asyncio.sleep(0)
        again = Stream(channel)
        await again.say(E, "a")
        await again.take()


@played
async def test_a_herd_is_served_in_turn_and_wholly() -> None:
    world = World()
    names = [str(number) for number in range(50)]
    world.change(resource(url, name, b"x" * 500) for name in names for url in (C, E, L, R))
    limits = replace(Limits(), building=5)
    async with serving(world, limits=limits) as (made, channel):

        async def sidecar(number: int) -> Stream:
            stream = Stream(channel, f"pod-{number}")
            for url, wanted in ((C, ()), (E, names), (L, ()), (R, names)):
                await stream.say(url, *wanted)
                response = await stream.take()
                assert response.type_url == url
                assert len(response.resources) == len(names)
            return stream

        for _ in range(2):
            streams = await asyncio.gather(*(sidecar(number) for number in range(200)))
            verdicts = await made.wait(world.revision, 20)
            assert [str(one.state) for one in verdicts] == ["SYNCED"] * 200
            for stream in streams:
                stream.call.cancel()
            while made.status():
                await asyncio.sleep(0)


@played
async def test_an_end_is_told() -> None:
    world = World()
    made = server(world)
    async with (
        running(made),
        grpc.aio.insecure_channel(f"127.0.0.1:{made.plaintext_port}") as channel,
    ):
        stream = Stream(channel)
        await stream.say(C)
        await stream.take()
        await made.stop(5.0)
        code, text = await stream.ended()
    assert code is grpc.StatusCode.UNAVAILABLE
    assert text == "this control plane is stopping"


# -- status --


@pytest.mark.parametrize("kind", ["Delta", "Stream"])
@played
async def test_names_for_a_dns_server(kind: str) -> None:
    """NDS is one resource without a name, and follows services like all others."""

    def world_with(*names: str) -> str:
        return "---".join(
            f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{clusterIP: 10.0.0.{index}, ports: [{{port: 80}}]}}
"""
            for index, name in enumerate(names, 1)
        )

    world = meshes.world(world_with("a"))
    made = DiscoveryServer(world, IstioTranslator(), AUTHENTICATOR, OPEN)
    async with (
        running(made),
        grpc.aio.insecure_channel(f"127.0.0.1:{made.plaintext_port}") as channel,
    ):
        stream = Stream(channel, method=f"{ADS}{kind}AggregatedResources")
        await stream.say(name_table.TYPE_URL)
        assert _names(await stream.take()) == {"a"}
        world.change(meshes.resources(world_with("a", "b")))
        await made.changed()
        assert _names(await stream.take()) == {"a", "b"}


def _names(response: Any) -> set[str]:
    (one,) = response.resources
    body = getattr(one, "resource", one)
    table: Any = name_table.NameTable.FromString(body.value)
    return {host.partition(".")[0] for host in table.table}


@played
async def test_client_status() -> None:
    world = World()
    world.change([resource(C, "a", b"\x0a\x01a"), resource(S, "key", b"\x0a\x03key")])
    async with serving(world) as (_, channel):
        for name in ("one", "two"):
            stream = Stream(channel, name)
            await stream.say(C)
            await stream.take()
            await stream.say(S, "key")
            await stream.get()
        request = csds_pb2.ClientStatusRequest()
        request.node_matchers.add().node_id.prefix = "sidecar~10.0.0.1~one."
        call = channel.stream_stream(CSDS + "StreamClientStatus")()
        await call.write(request.SerializeToString())
        (config,) = csds_pb2.ClientStatusResponse.FromString(await call.read()).config
        assert config.node.id == node_id("one", "default")
        found = {one.type_url: one for one in config.generic_xds_configs}
        assert found[C].name == "a"
        assert found[C].config_status == csds_pb2.SYNCED
        assert found[C].xds_config.value == b"\x0a\x01a"
        assert found[S].config_status == csds_pb2.STALE
        # Secrets are named and not shown.
        assert found[S].name == "key"
        assert not found[S].HasField("xds_config")
        request.exclude_resource_contents = True
        await call.write(request.SerializeToString())
        (config,) = csds_pb2.ClientStatusResponse.FromString(await call.read()).config
        assert not any(one.HasField("xds_config") for one in config.generic_xds_configs)
        for change, reason in (
            (lambda one: one.node_metadatas.add(), "node_metadatas is not implemented"),
            (lambda one: one.node_id.safe_regex.SetInParent(), "not safe_regex"),
        ):
            bad = csds_pb2.ClientStatusRequest()
            change(bad.node_matchers.add())
            with pytest.raises(grpc.aio.AioRpcError, match=reason) as caught:
                await channel.unary_unary(CSDS + "FetchClientStatus")(bad.SerializeToString())
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def http(port: int, head: str) -> tuple[str, str]:
    """First line and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.replace("\n", "\r\n").encode())
    answer = (await reader.read()).decode()
    writer.close()
    start, _, body = answer.partition("\r\n\r\n")
    return start.split("\r\n")[0], body


@played
async def test_the_debug_port() -> None:
    world = World()
    world.change([resource(C, "a", b"")])
    async with serving(world) as (made, channel):
        stream = Stream(channel)
        await stream.say(C)
        await stream.take()
        await made.wait(world.revision, 20)
        port = made.debug_port
        host = "host: localhost\n\n"
        assert (await http(port, f"GET /ready HTTP/1.1\n{host}"))[1] == "ready\n"
        start, body = await http(port, f"GET /debug/syncz HTTP/1.1\n{host}")
        assert start == "HTTP/1.1 200 OK"
        (proxy,) = json.loads(body)
        assert proxy["proxy"] == "app.default"
        assert proxy["cluster_sent"] == proxy["cluster_acked"] == str(world.revision)
        assert proxy["types"]["cds"]["state"] == "SYNCED"
        assert proxy["types"]["lds"]["state"] == "NOT SENT"
        _, body = await http(port, f"GET /metrics HTTP/1.1\n{host}")
        assert 'pilot_xds_pushes{type="cds"} 1.0' in body
        for head, first in (
            (f"GET /else HTTP/1.1\n{host}", "HTTP/1.1 404 Not Found"),
            (f"POST /ready HTTP/1.1\n{host}", "HTTP/1.1 405 Method Not Allowed"),
            ("GET /ready HTTP/1.1\nhost: evil.example:15014\n\n", "HTTP/1.1 403 Forbidden"),
            ("GET /ready HTTP/1.1\nhost: 127.0.0.1:15014\n\n", "HTTP/1.1 200 OK"),
            ("GET /ready HTTP/1.1\nhost: [::1]:15014\n\n", "HTTP/1.1 200 OK"),
            ("nonsense\n\n", "HTTP/1.1 400 Bad Request"),
            ("GET /" + "x" * 20_000 + " HTTP/1.1\n\n", ""),
        ):
            assert (await http(port, head))[0] == first, head[:80]
