"""`fastmesh.v1.Registration` on gRPC: agents ask whether they may be what they are called and how
to start their sidecars, and say whether their applications take requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from controlplane.ca import grants
from controlplane.ca.authenticate import grants_of
from controlplane.claims import Claims
from controlplane.registry import proxies, workloads
from controlplane.resources.encode import encode
from controlplane.resources.proxy_config import select
from controlplane.sources.registered import Registered
from controlplane.world.world import World
from controlplane.xds.identity import Authenticator, Identity, Peer, Unauthenticated
from controlplane.xds.node import Impostor
from controlplane.xds.peer import peer
from mesh.api import registration


class RegistrationService:
    """The service. Of the event loop of `registered`."""

    def __init__(
        self, registered: Registered, authenticator: Authenticator, claims: Claims, world: World
    ) -> None:
        self._registered = registered
        self._authenticator = authenticator
        self._claims = claims
        self._world = world

    def handler(self) -> grpc.GenericRpcHandler:
        """For a server of grpc.aio."""
        methods = {
            registration.CONFIGURATION: self._configuration,
            registration.READY: self._ready,
            registration.UNHEALTHY: self._unhealthy,
            registration.LEAVING: self._leaving,
        }
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(
            registration.SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    self._method(said),
                    request_deserializer=registration.StringValue.FromString,
                    response_serializer=_bytes,
                )
                for name, said in methods.items()
            },
        )
        return handler

    def _configuration(self, identity: Identity, who: Peer, text: str) -> Any:
        name, _, rest = text.partition(" ")
        labels, _, group = rest.partition(" ")
        pairs = dict(grants.parse(labels).pairs)
        self._claims.check(identity, pairs, grants_of(who))
        subject = select.Subject(
            identity.namespace, identity.service_account, name, workloads.pairs(pairs), group
        )
        view = self._world.view()
        answer = registration.Struct()
        answer.update(
            {
                "services": [
                    {"host": one.host, "ports": [port.number for port in one.ports]}
                    for one in proxies.selecting(view, subject.namespace, subject.labels)
                ],
                "taken": self._registered.connected(identity, name),
                "effective": encode(select.effective(view, subject)),
                "own": select.own(view, subject),
            }
        )
        return answer

    def _ready(self, identity: Identity, _: Peer, name: str) -> Any:
        self._registered.ready(identity, name)
        return registration.Empty()

    def _unhealthy(self, identity: Identity, _: Peer, text: str) -> Any:
        name, _space, reason = text.partition(" ")
        self._registered.unhealthy(identity, name, reason)
        return registration.Empty()

    def _leaving(self, identity: Identity, _: Peer, name: str) -> Any:
        self._registered.leaving(identity, name)
        return registration.Empty()

    def _method(
        self, said: Callable[[Identity, Peer, str], Any]
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        async def method(request: Any, context: Any) -> Any:
            who = peer(context)
            try:
                return said(await self._authenticator.authenticate(who), who, request.value)
            except Unauthenticated as error:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
            except (PermissionError, Impostor) as error:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
            except ValueError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise AssertionError("abort raises")

        return method


def _bytes(answer: Any) -> bytes:
    data: bytes = answer.SerializeToString()
    return data
