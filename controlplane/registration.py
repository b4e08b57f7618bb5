"""`fastmesh.v1.Registration` on gRPC: agents ask whether they may be what they are called and how
to start their sidecars, and say whether their applications take requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from controlplane.ca import grants
from controlplane.ca.authenticate import grants_of
from controlplane.claims import Claims
from controlplane.registry import proxies, workloads
from controlplane.resources.encode import encode
from controlplane.resources.proxy_config import select
from controlplane.sources.registered import Registered
from controlplane.world.world import World
from controlplane.xds import unary
from controlplane.xds.identity import Authenticator, Identity, Peer, Unauthenticated
from controlplane.xds.node import Impostor
from controlplane.xds.peer import peer
from controlplane.xds.unary import Refused
from mesh.api import registration

#: Of a request, in bytes: a name, or the labels of a workload (`ca.grants` bounds them further).
_MOST = 16 * 1024


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
            {name: unary.method(self._admit(said), most=_MOST) for name, said in methods.items()},
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

    def _admit(self, said: Callable[[Identity, Peer, str], Any]) -> unary.Admit:
        async def admit(context: unary.Context) -> unary.Answer:
            who = peer(context)
            try:
                identity = await self._authenticator.authenticate(who)
            except Unauthenticated as error:
                raise Refused(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None

            async def answer(data: bytes) -> bytes:
                try:
                    asked = registration.StringValue.FromString(data).value
                    found: bytes = said(identity, who, asked).SerializeToString()
                except Unauthenticated as error:
                    raise Refused(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None
                except Impostor as error:
                    raise Refused(grpc.StatusCode.PERMISSION_DENIED, str(error)) from None
                except DecodeError as error:
                    text = f"not a StringValue: {error}"
                    raise Refused(grpc.StatusCode.INVALID_ARGUMENT, text) from None
                except ValueError as error:
                    raise Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
                return found

            return answer

        return admit
