"""`fastmesh.v1.Registration` on gRPC: agents ask whether they may be what they are called, and say
whether their applications take requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from controlplane.ca import grants
from controlplane.ca.authenticate import grants_of
from controlplane.claims import Claims
from controlplane.sources.registered import Registered
from controlplane.xds.identity import Authenticator, Identity, Peer, Unauthenticated
from controlplane.xds.node import Impostor
from controlplane.xds.peer import peer
from mesh.api import registration


class RegistrationService:
    """The service. Of the event loop of `registered`."""

    def __init__(
        self, registered: Registered, authenticator: Authenticator, claims: Claims
    ) -> None:
        self._registered = registered
        self._authenticator = authenticator
        self._claims = claims

    def handler(self) -> grpc.GenericRpcHandler:
        """For a server of grpc.aio."""
        methods = {
            registration.READY: self._ready,
            registration.LEAVING: self._leaving,
            registration.CLAIM: self._claim,
        }
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(
            registration.SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    self._method(said),
                    request_deserializer=registration.StringValue.FromString,
                    response_serializer=registration.Empty.SerializeToString,
                )
                for name, said in methods.items()
            },
        )
        return handler

    def _ready(self, identity: Identity, _: Peer, name: str) -> None:
        self._registered.ready(identity, name)

    def _leaving(self, identity: Identity, _: Peer, name: str) -> None:
        self._registered.leaving(identity, name)

    def _claim(self, identity: Identity, who: Peer, text: str) -> None:
        self._claims.check(identity, dict(grants.parse(text).pairs), grants_of(who))

    def _method(
        self, said: Callable[[Identity, Peer, str], None]
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        async def method(request: Any, context: Any) -> Any:
            who = peer(context)
            try:
                said(await self._authenticator.authenticate(who), who, request.value)
            except Unauthenticated as error:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
            except (PermissionError, Impostor) as error:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
            except ValueError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            return registration.Empty()

        return method
