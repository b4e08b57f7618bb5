"""The discovery server: puts its parts together, begins and ends them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from controlplane.xds.admission import Admission
from controlplane.xds.csds import ClientStatusService
from controlplane.xds.debug import DebugServer
from controlplane.xds.metrics import Metrics
from controlplane.xds.options import Options
from controlplane.xds.peer import Door
from controlplane.xds.push import Publisher
from controlplane.xds.service import DiscoveryService
from controlplane.xds.status import Board

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from controlplane.world.world import World
    from controlplane.xds.debug import Route
    from controlplane.xds.identity import Authenticator
    from controlplane.xds.node import Claims
    from controlplane.xds.status import Presence, ProxyStatus, Verdict
    from controlplane.xds.translator import Encoded, Translator

VERSION = "1.0"


class DiscoveryServer:
    """Serves a world. Everything runs on the loop that calls `start`; the world must be changed on
    that loop, each time followed by `changed`."""

    def __init__(
        self,
        world: World,
        translator: Translator,
        authenticator: Authenticator,
        options: Options,
        *,
        version: str = VERSION,
        presence: Presence | None = None,
        claims: Claims | None = None,
    ) -> None:
        """`presence` is told which proxies are connected; `claims` says what they may be besides
        their identity, None lets them be what they say (an agent's own server)."""
        self._options = options
        self._board = Board(Metrics(version), monotonic, presence)
        epoch = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._publisher = Publisher(world, translator, options, self._board, epoch)
        self._door = Door(authenticator, trust_plaintext=options.trust_plaintext)
        self._services = DiscoveryService(
            self._publisher,
            self._board,
            Admission(options.limits),
            self._door,
            options.limits,
            claims,
        )
        self._debug = DebugServer(self._board, lambda: self._serving)
        #: One for each port, because what strangers may cost is not the same everywhere.
        self._servers: list[grpc.aio.Server] = []
        self._pushes: asyncio.Task[None] | None = None
        self._serving = False
        #: Bound ports, 0 where there is none (a unix socket has none).
        self.secure_port = 0
        self.join_port = 0
        self.plaintext_port = 0
        self.debug_port = 0

    def add_routes(self, routes: Mapping[str, Route]) -> None:
        """Further paths of the debug port."""
        self._debug.add(routes)

    async def start(self, *others: grpc.GenericRpcHandler) -> None:
        """Binds and serves; `others` are further services on the same ports (the CA's). Raises
        RuntimeError or OSError if a port cannot be bound."""
        try:
            await self._start(others)
        except BaseException:
            await self.stop(0)
            raise

    async def _start(self, others: Sequence[grpc.GenericRpcHandler]) -> None:
        options = self._options
        status = ClientStatusService(self._board, self._door, options)
        handlers = (*self._services.handlers(), *status.handlers(), *others)

        def port(address: str, credentials: grpc.ServerCredentials | None, **more: int) -> int:
            if not address:
                return 0
            server = grpc.aio.server(options=_channel_options(options, more))
            server.add_generic_rpc_handlers(handlers)
            self._servers.append(server)
            with _bound(address):
                if credentials is None:
                    bound: int = server.add_insecure_port(address)
                else:
                    bound = server.add_secure_port(address, credentials)
            return bound

        self.plaintext_port = port(options.plaintext, None)
        self.secure_port = port(options.secure, options.credentials)
        self.join_port = port(options.join, options.join_credentials, **_newcomers(options))
        self._pushes = asyncio.get_running_loop().create_task(self._publisher.run())
        for server in self._servers:
            await server.start()
        if options.debug:
            self.debug_port = await self._debug.start(options.debug)
        self._serving = True

    async def stop(self, grace: float) -> None:
        """Ends all streams with UNAVAILABLE; calls that do not end within `grace` are cut."""
        self._serving = False
        self._services.end("this control plane is stopping")
        await asyncio.gather(*(server.stop(grace) for server in self._servers))
        if self._pushes is not None:
            self._pushes.cancel()
        await self._debug.stop()

    async def changed(self) -> None:
        """To be called after `world.change(...)`."""
        self._publisher.changed()

    def recheck(self) -> None:
        """To be called when `claims` may say something else than before."""
        self._services.recheck()

    @property
    def revision(self) -> int:
        """The world's revision that proxies are told."""
        return self._publisher.revision

    def status(self) -> list[ProxyStatus]:
        """Every connected proxy and what it has."""
        return self._board.report()

    def each_status(self) -> Iterator[ProxyStatus]:
        """As `status`, one after the other."""
        return self._board.each()

    def told(self, revision: int) -> int:
        """How many proxies were sent something of this revision or a newer one."""
        return self._board.told(revision)

    def resources(self, name: str, identity: str = "") -> dict[str, list[Encoded]]:
        """What a proxy was sent, by type; of that identity, if one is given."""
        return self._board.resources(name, identity)

    async def wait(self, revision: int, timeout: float) -> Sequence[Verdict]:
        """Until all proxies have acknowledged `revision` or refused it: see `Board.wait`."""
        return await self._board.wait(revision, timeout)


@contextmanager
def _bound(address: str) -> Iterator[None]:
    """gRPC says neither why nor what to do."""
    try:
        yield
    except RuntimeError:
        raise RuntimeError(
            f"cannot listen on {address}: is another control plane running? Choose another address"
            " (`mesh control --help`)"
        ) from None


def _newcomers(options: Options) -> dict[str, int]:
    """What is another way on the port where anybody may come."""
    limits = options.limits
    return {
        "grpc.max_allowed_incoming_connections": limits.join_connections,
        "grpc.max_connection_idle_ms": int(limits.join_idle_seconds * 1000),
        "grpc.max_concurrent_streams": limits.join_streams_per_connection,
        "grpc.max_receive_message_length": limits.join_request_bytes,
        # What a stream may send unread, which does not grow with what its client sends.
        "grpc.http2.lookahead_bytes": limits.join_window_bytes,
        "grpc.http2.bdp_probe": 0,
    }


def _channel_options(options: Options, more: Mapping[str, int]) -> list[tuple[str, int]]:
    keepalive, limits = options.keepalive, options.limits
    found = {
        "grpc.keepalive_time_ms": int(keepalive.interval * 1000),
        "grpc.keepalive_timeout_ms": int(keepalive.timeout * 1000),
        "grpc.keepalive_permit_without_calls": 1,
        # Clients ping as well; more often than this is abuse.
        "grpc.http2.min_ping_interval_without_data_ms": 5_000,
        "grpc.max_connection_age_ms": int(keepalive.connection_age * 1000),
        "grpc.max_connection_age_grace_ms": int(keepalive.connection_grace * 1000),
        "grpc.max_allowed_incoming_connections": limits.connections,
        "grpc.server_handshake_timeout_ms": int(limits.handshake_seconds * 1000),
        "grpc.max_receive_message_length": limits.request_bytes,
        # Ours are as large as the mesh makes them.
        "grpc.max_send_message_length": -1,
        "grpc.max_metadata_size": limits.header_bytes,
        "grpc.absolute_max_metadata_size": limits.header_bytes,
        "grpc.max_concurrent_streams": limits.streams_per_connection,
        # What nobody can ask for (there is no channelz service) is not kept of each connection.
        "grpc.enable_channelz": 0,
        "grpc.max_channel_trace_event_memory_per_node": 0,
        # A connection with TLS holds a buffer of this size for as long as it lives.
        "grpc.tsi.max_frame_size": 4096,
        # One server must not share the port with another in silence.
        "grpc.so_reuseport": 0,
    }
    return [*{**found, **more}.items()]
