"""The discovery services on gRPC: bytes in, bytes out; one coroutine reads a stream, and another
writes while there is something to write."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import grpc.aio

from controlplane.xds import node, request, type_urls
from controlplane.xds.admission import Full
from controlplane.xds.identity import Unauthenticated
from controlplane.xds.node import Impostor
from controlplane.xds.pace import Pace
from controlplane.xds.peer import peer
from controlplane.xds.request import BadRequest
from controlplane.xds.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from controlplane.xds.admission import Admission, Place
    from controlplane.xds.identity import Identity
    from controlplane.xds.node import Claims
    from controlplane.xds.options import Limits
    from controlplane.xds.peer import Door
    from controlplane.xds.push import Publisher
    from controlplane.xds.request import Request
    from controlplane.xds.status import Board

    Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]
    Handler: TypeAlias = Callable[[Any, Any], Awaitable[None]]

LOG = logging.getLogger(__name__)

#: Service, its state-of-the-world method, its delta method, the one type it serves.
SERVICES = (
    ("discovery.v3.AggregatedDiscoveryService", "StreamAggregatedResources",
     "DeltaAggregatedResources", ""),
    ("cluster.v3.ClusterDiscoveryService", "StreamClusters", "DeltaClusters", type_urls.CLUSTER),
    ("endpoint.v3.EndpointDiscoveryService", "StreamEndpoints", "DeltaEndpoints",
     type_urls.ENDPOINT),
    ("listener.v3.ListenerDiscoveryService", "StreamListeners", "DeltaListeners",
     type_urls.LISTENER),
    ("route.v3.RouteDiscoveryService", "StreamRoutes", "DeltaRoutes", type_urls.ROUTE),
    ("secret.v3.SecretDiscoveryService", "StreamSecrets", "DeltaSecrets", type_urls.SECRET),
    ("extension.v3.ExtensionConfigDiscoveryService", "StreamExtensionConfigs",
     "DeltaExtensionConfigs", type_urls.EXTENSION),
)  # fmt: skip


class DiscoveryService:
    """All streams of a server."""

    def __init__(
        self,
        publisher: Publisher,
        board: Board,
        admission: Admission,
        door: Door,
        limits: Limits,
        claims: Claims | None,
    ) -> None:
        self._claims = claims
        self._publisher = publisher
        self._board = board
        self._admission = admission
        self._door = door
        self._limits = limits
        self._connections: set[Connection] = set()
        self._pace = Pace()
        board.metrics.waiting.set_function(lambda: admission.waiting)

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """For `grpc.aio.Server.add_generic_rpc_handlers`."""
        return tuple(
            grpc.method_handlers_generic_handler(
                f"envoy.service.{service}",
                {
                    sotw: grpc.stream_stream_rpc_method_handler(self._method(only, delta=False)),
                    delta: grpc.stream_stream_rpc_method_handler(self._method(only, delta=True)),
                },
            )
            for service, sotw, delta, only in SERVICES
        )

    def end(self, reason: str) -> None:
        """Ends all streams with UNAVAILABLE: clients go to another control plane, or come back."""
        for connection in self._connections:
            connection.end(reason)

    def recheck(self) -> None:
        """Ends the streams of proxies that may no longer be what they claim; when they come again
        they are told so."""
        for connection in self._connections:
            if why := connection.claim():
                LOG.warning("%s: %r", connection.stream.proxy.id, why)
                connection.end(why)
                # Who reads slowly must not stay in the mesh until it has read to the end.
                self._board.gone(connection.stream)

    def _method(self, only: str, *, delta: bool) -> Handler:
        async def serve(_: object, context: Context) -> None:
            await self._serve(context, only, delta=delta)

        return serve

    async def _serve(self, context: Context, only: str, *, delta: bool) -> None:
        try:
            self._admission.enter()
        except Full as full:
            await self._refuse(context, full)
        try:
            identity = await self._door.identity(context)
            if identity is not None:
                self._admission.identify(identity)
            try:
                await self._connection(context, identity, only, delta=delta)
            finally:
                if identity is not None:
                    self._admission.forget(identity)
        except Full as full:
            await self._refuse(context, full)
        except Unauthenticated as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        except Impostor as error:
            LOG.warning("%s: %r", context.peer(), str(error))
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except BadRequest as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except grpc.aio.AbortError:
            raise
        except Exception:
            LOG.exception("%s: the stream ends by a mistake of ours", context.peer())
            text = "a mistake of the control plane: its log says more"
            await context.abort(grpc.StatusCode.INTERNAL, text)
        finally:
            self._admission.leave()

    async def _connection(
        self, context: Context, identity: Identity | None, only: str, *, delta: bool
    ) -> None:
        parse = request.delta if delta else request.sotw
        try:
            data = await asyncio.wait_for(context.read(), self._limits.first_request_seconds)
        except TimeoutError:
            seconds = self._limits.first_request_seconds
            raise BadRequest(f"no request within {seconds:g} s") from None
        if data is grpc.aio.EOF:
            return
        first = parse(data)
        if first.node is None:
            raise BadRequest("the first request of a stream must have a node")
        proxy = node.proxy(first.node, identity, self._limits.node_bytes)
        claim = _nothing
        if identity is not None and self._claims is not None:
            claim = self._claims.admit(proxy, peer(context))
        place = await self._admission.place()
        if why := claim():
            # The sources have changed while it waited; from here on `recheck` knows it.
            place.release()
            raise Impostor(why)
        connection = Connection(context, place, claim, self._pace)
        stream = connection.stream = Stream(
            proxy, identity, self._publisher, self._board, self._limits, connection.wake,
            delta=delta, only=only,
        )  # fmt: skip
        self._connections.add(connection)
        self._board.connected(stream)
        try:
            await connection.receive(first)
            # Not held for as long as the stream lives: a node is large.
            del first, data
            await connection.serve(parse)
            await connection.settle()
        except BadRequest:
            await connection.settle()
            raise
        finally:
            self._connections.discard(connection)
            self._board.gone(stream)
            connection.close()

    async def _refuse(self, context: Context, full: Full) -> None:
        self._board.metrics.refused(full.reason)
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(full))


class Connection:
    """A stream and the gRPC call that carries it."""

    __slots__ = ("_context", "_ended", "_pace", "_place", "_task", "_writer", "claim", "stream")

    stream: Stream

    def __init__(
        self, context: Context, place: Place, claim: Callable[[], str], pace: Pace
    ) -> None:
        self._pace = pace
        #: Why the proxy may no longer be what it claims; "" if it may.
        self.claim = claim
        self._context = context
        self._place: Place | None = place
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._writer: asyncio.Task[None] | None = None
        self._ended = ""

    async def serve(self, parse: Callable[[bytes], Request]) -> None:
        """Reads until the client ends the stream."""
        context, stream = self._context, self.stream
        try:
            while (data := await context.read()) is not grpc.aio.EOF:
                await self.receive(parse(data))
                if self._place is not None and _settled(stream):
                    self._release()
        except asyncio.CancelledError:
            if not self._ended:
                raise
            await self.settle()
            try:
                await context.abort(grpc.StatusCode.UNAVAILABLE, self._ended)
            except grpc.aio.AbortError:
                raise
            except Exception as error:  # noqa: BLE001  # as in `_write`
                LOG.debug("%s: has gone by itself: %s", context.peer(), error)

    async def settle(self) -> None:
        """Before the call is ended: nothing more is sent, and what is being written is written to
        its end. gRPC cannot end a call in the middle of a message; it would keep both for ever,
        and nobody would count it."""
        self.stream.close()
        if self._writer is not None:
            await asyncio.wait({self._writer})

    async def receive(self, request: Request) -> None:
        """A request, when it is its turn. Raises BadRequest."""
        pace, who = self._pace, self.stream.identity
        await pace.turn(who)
        since = pace.now()
        try:
            self.stream.receive(request)
        finally:
            pace.spent(who, since)

    def wake(self) -> None:
        """Writes what there is to write, unless that is being done."""
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    def end(self, reason: str) -> None:
        """Ends the stream with UNAVAILABLE; without a reason if the client has gone."""
        if self._task is not None:
            self._ended = reason
            self._task.cancel()

    def close(self) -> None:
        """Gives back all that the stream holds."""
        self._task = None
        self._release()
        if self._writer is not None:
            self._writer.cancel()
        self.stream.close()

    async def _write(self) -> None:
        try:
            while (response := self.stream.next()) is not None:
                await self._context.write(response)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # gRPC has no one name for a client that is gone
            LOG.debug("%s: cannot write: %s", self._context.peer(), error)
            # There is nobody to be told why.
            self.end("")
        finally:
            self._writer = None
        if self._place is not None and _settled(self.stream):
            self._release()

    def _release(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.release()


def _nothing() -> str:
    return ""


def _settled(stream: Stream) -> bool:
    """Has the newcomer its first full state? Listeners are what Envoy asks for last."""
    return stream.clean and (
        type_urls.LISTENER in stream.subscriptions or type_urls.CLUSTER not in stream.subscriptions
    )
