"""The border between the discovery server and the translation: which node answers a subscription.

The server asks for nodes of the graph and watches them; it never translates. A proxy that is not
to see something gets a node whose value is None, the same as for what does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from controlplane.world.graph import Node
    from controlplane.world.proxy import Proxy
    from controlplane.world.view import View


@dataclass(frozen=True, slots=True)
class Encoded:
    """A resource, packed once; all streams share the bytes. Equal if name and version are."""

    name: str
    #: A hash of the body.
    version: str
    #: The serialised message, without its `Any`.
    body: bytes = field(compare=False, repr=False)


def encoded(name: str, body: bytes) -> Encoded:
    """`body` with its version."""
    return Encoded(name, blake2b(body, digest_size=8).hexdigest(), body)


class Translator(Protocol):
    """What the discovery server asks of the translation."""

    def everything(self, view: View, type_url: str, proxy: Proxy) -> Node:
        """For LDS and CDS: the node whose value is all that the proxy has, as a tuple of
        `Encoded` in a stable order. Other types have nothing by wildcard: an empty tuple."""

    def named(self, view: View, type_url: str, proxy: Proxy, name: str) -> Node:
        """The node whose value is the resource (`Encoded`), or None."""
