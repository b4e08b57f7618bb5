"""Requests as the machinery wants them: parsed, bounded, the same for both protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from sys import intern
from typing import TYPE_CHECKING, Any

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Envoy's own names are bounded by its configuration; these bound what a stranger makes us keep.
MAX_NAMES = 50_000
#: Of type URLs and of names: the longest of ours has the names of two objects in it.
MAX_NAME = 1024
MAX_ERROR = 4096


class BadRequest(Exception):
    """The request breaks the protocol: the stream ends with INVALID_ARGUMENT and this text."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a stream. State of the world says everything in `subscribe`."""

    type_url: str
    nonce: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    #: What a client of the delta protocol still holds from an earlier stream.
    held: Mapping[str, str] = field(default_factory=dict)
    #: The version that a client of the state of the world acknowledges, or fell back to.
    version: str = ""
    #: Why the response was refused; None if it was not.
    error: str | None = None
    #: `envoy.config.core.v3.Node`; only the first request of a stream must have one.
    node: Any = None


def sotw(data: bytes) -> Request:
    """A `DiscoveryRequest`."""
    message = _parse(discovery_pb2.DiscoveryRequest, data)
    if message.resource_locators:
        raise BadRequest("resource_locators (xdstp) are not served; use resource_names")
    return Request(
        type_url=_type(message.type_url),
        nonce=message.response_nonce,
        subscribe=_names(message.resource_names),
        version=message.version_info,
        error=_error(message),
        node=message.node if message.HasField("node") else None,
    )


def delta(data: bytes) -> Request:
    """A `DeltaDiscoveryRequest`."""
    message = _parse(discovery_pb2.DeltaDiscoveryRequest, data)
    if message.resource_locators_subscribe or message.resource_locators_unsubscribe:
        raise BadRequest("resource_locators (xdstp) are not served; use resource_names_subscribe")
    held = message.initial_resource_versions
    if len(held) > MAX_NAMES:
        raise BadRequest(f"initial_resource_versions has {len(held)} names, more than {MAX_NAMES}")
    return Request(
        type_url=_type(message.type_url),
        nonce=message.response_nonce,
        subscribe=_names(message.resource_names_subscribe),
        unsubscribe=_names(message.resource_names_unsubscribe),
        held=dict(held.items()) if held else {},
        error=_error(message),
        node=message.node if message.HasField("node") else None,
    )


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise BadRequest(f"not a {kind.DESCRIPTOR.name}: {error}") from None


def _type(type_url: str) -> str:
    if not type_url or len(type_url) > MAX_NAME:
        raise BadRequest(f"a request must name its type in type_url, not {type_url[:80]!r}")
    return intern(type_url)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    """Interned: a thousand sidecars ask for the same two hundred names."""
    found = tuple(map(intern, names))
    if len(found) > MAX_NAMES:
        raise BadRequest(f"{len(found)} resource names, more than {MAX_NAMES}")
    for name in found:
        if len(name) > MAX_NAME:
            raise BadRequest(f"a resource name of {len(name)} characters, more than {MAX_NAME}")
    return found


def _error(message: Any) -> str | None:
    if not message.HasField("error_detail"):
        return None
    text: str = message.error_detail.message[:MAX_ERROR]
    return text or f"refused with code {message.error_detail.code} and no message"
