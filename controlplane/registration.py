"""`fastmesh.v1.Registration` on gRPC: agents say whether their applications take requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from controlplane.sources.registered import Registered
from controlplane.xds.identity import Authenticator, Identity, Unauthenticated
from controlplane.xds.peer import peer
from mesh.api import registration


class RegistrationService:
    """The service. Of the event loop of `registered`."""

    def __init__(self, registered: Registered, authenticator: Authenticator) -> None:
        self._registered = registered
        self._authenticator = authenticator

    def handler(self) -> grpc.GenericRpcHandler:
        """For a server of grpc.aio."""
        methods = {
            registration.READY: self._registered.ready,
            registration.LEAVING: self._registered.leaving,
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

    def _method(
        self, said: Callable[[Identity, str], None]
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        async def method(request: Any, context: Any) -> Any:
            try:
                said(await self._authenticator.authenticate(peer(context)), request.value)
            except Unauthenticated as error:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
            except PermissionError as error:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
            return registration.Empty()

        return method
