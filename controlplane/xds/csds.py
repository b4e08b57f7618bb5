"""Envoy's client status service: what each proxy was sent and how it took it. For operators only:
a sidecar must not learn what others have."""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING, Any

import grpc
from envoy.service.status.v3 import csds_pb2
from google.protobuf.message import DecodeError

from controlplane.xds import type_urls, unary
from controlplane.xds.identity import Unauthenticated
from controlplane.xds.status import State, held, state_of
from controlplane.xds.unary import Refused

if TYPE_CHECKING:
    from controlplane.xds.options import Options
    from controlplane.xds.peer import Door
    from controlplane.xds.status import Board
    from controlplane.xds.stream import Stream

#: Of a request, in bytes: matchers of nodes.
_MOST = 64 * 1024
_CONFIG = {
    State.SYNCED: csds_pb2.SYNCED,
    State.STALE: csds_pb2.STALE,
    State.NOT_SENT: csds_pb2.NOT_SENT,
    State.ERROR: csds_pb2.ERROR,
}


class ClientStatusService:
    """`StreamClientStatus` and `FetchClientStatus`."""

    def __init__(self, board: Board, door: Door, options: Options) -> None:
        self._board = board
        self._door = door
        self._operators = options.operators
        self._limit = options.limits.status_bytes

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """For `grpc.aio.Server.add_generic_rpc_handlers`."""
        service = "envoy.service.status.v3.ClientStatusDiscoveryService"
        methods = {
            "StreamClientStatus": unary.method(self._admit, most=_MOST, many=True),
            "FetchClientStatus": unary.method(self._admit, most=_MOST),
        }
        return (grpc.method_handlers_generic_handler(service, methods),)

    async def _admit(self, context: unary.Context) -> unary.Answer:
        try:
            identity = await self._door.identity(context)
        except Unauthenticated as error:
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None
        if identity is not None and str(identity) not in self._operators:
            raise Refused(
                grpc.StatusCode.PERMISSION_DENIED,
                f"{identity} is no operator: the status of proxies is for operators only",
            )
        return self._answer

    async def _answer(self, data: bytes) -> bytes:
        try:
            wanted = csds_pb2.ClientStatusRequest.FromString(data)
        except DecodeError as error:
            text = f"not a ClientStatusRequest: {error}"
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, text) from None
        matches = [_matcher(one) for one in wanted.node_matchers]
        response = csds_pb2.ClientStatusResponse()
        size = 0
        for stream in self._board.by_name():
            name = node_id(stream)
            if matches and not any(match(name) for match in matches):
                continue
            config = response.config.add()
            _describe(stream, config, contents=not wanted.exclude_resource_contents)
            size += config.ByteSize()
            if size > self._limit:
                raise Refused(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"the status has more than {self._limit} bytes: ask for fewer proxies"
                    " (node_matchers) or set exclude_resource_contents",
                )
            # A mesh is large: the streams have their turn after each proxy.
            await asyncio.sleep(0)
        answer: bytes = response.SerializeToString()
        return answer


def node_id(stream: Stream) -> str:
    """The node ID as the proxy gave it."""
    proxy = stream.proxy
    address = proxy.addresses[0] if proxy.addresses else ""
    domain = f"{proxy.namespace}.svc.{proxy.dns_domain}"
    return f"{proxy.type}~{address}~{proxy.id}~{domain}"


def _matcher(matcher: Any) -> Any:
    """A test of node IDs. What is not implemented is refused by name."""
    if matcher.node_metadatas:
        raise Refused(
            grpc.StatusCode.INVALID_ARGUMENT, "node_matchers: node_metadatas is not implemented"
        )
    kind = matcher.node_id.WhichOneof("match_pattern")
    value = getattr(matcher.node_id, kind) if kind else ""
    if kind not in {"exact", "prefix", "suffix", "contains"}:
        raise Refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"node_matchers: node_id must be exact, prefix, suffix or contains, not {kind}",
        )
    fold = matcher.node_id.ignore_case

    def match(name: str) -> bool:
        given, sought = (name.lower(), value.lower()) if fold else (name, value)
        match kind:
            case "exact":
                return given == sought
            case "prefix":
                return given.startswith(sought)
            case "suffix":
                return given.endswith(sought)
        return sought in given

    return match


def _describe(stream: Stream, config: Any, *, contents: bool) -> None:
    config.node.id = node_id(stream)
    config.node.cluster = stream.proxy.cluster
    for key, value in stream.proxy.metadata:
        config.node.metadata.fields[key].string_value = value
    for one in stream.subscriptions.values():
        state, text = state_of(one)
        for resource in held(one):
            entry = config.generic_xds_configs.add(
                type_url=one.type_url,
                name=resource.name,
                version_info=resource.version,
                config_status=_CONFIG[state],
            )
            refused = one.refusal.resources if one.refusal is not None else {}
            if resource.name in refused:
                entry.config_status = csds_pb2.ERROR
                entry.error_state.details = text
                entry.error_state.version_info = refused[resource.name]
            elif state is State.ERROR:
                entry.config_status = csds_pb2.SYNCED
            if one.sent_at:
                entry.last_updated.FromSeconds(int(time() - (stream.now() - one.sent_at)))
            if contents and resource.body and one.type_url != type_urls.SECRET:
                entry.xds_config.type_url = one.type_url
                entry.xds_config.value = resource.body
