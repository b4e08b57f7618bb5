"""Incremental xDS: both sides say only what changes.

The protocol of one type on one stream, without any I/O. `due` says that a request is to be sent;
what happens between two of them is gathered in one.
"""

from __future__ import annotations

from mesh import engine
from mesh.xds.response import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Delta:
    """One type of resources."""

    __slots__ = (
        "_begun",
        "_error",
        "_known",
        "_less",
        "_more",
        "_nonce",
        "due",
        "names",
        "type_url",
        "whole",
    )

    def __init__(self, type_url: str, whole: bool) -> None:
        self.type_url = type_url
        #: All resources of the type are wanted: the first request names none.
        self.whole = whole
        self.names: set[str] = set()
        #: Name to version of what was accepted; it outlives the stream.
        self._known: dict[str, str] = {}
        self._begun = False
        #: Names to subscribe to and to leave, in the order in which they came up.
        self._more: dict[str, None] = {}
        self._less: dict[str, None] = {}
        #: Of the response that is to be answered.
        self._nonce = ""
        self._error = ""
        self.due = whole

    def want(self, names: Iterable[str]) -> None:
        """The complete set of names that are wanted now."""
        wanted = set(names)
        for name in sorted(self.names - wanted):
            self._known.pop(name, None)
            if name in self._more and self._begun:
                del self._more[name]
            else:
                self._less[name] = None
        for name in sorted(wanted - self.names):
            # Left and wanted again: it is subscribed to again, so that the server sends it again.
            self._less.pop(name, None)
            self._more[name] = None
        self.names = wanted
        if self._begun:
            self.due = self.due or bool(self._more or self._less)
        else:
            self.due = self.whole or bool(wanted)

    def begin(self) -> None:
        """A new stream is told of all that is wanted, and what is there already."""
        self._begun = False
        self._more.clear()
        self._less.clear()
        self._nonce = ""
        self._error = ""
        self.due = self.whole or bool(self.names)

    def request(self, node: bytes) -> bytes:
        """The next request; `node`: who asks, nothing to leave that out."""
        if self._begun:
            more, less = list(self._more), list(self._less)
            versions: list[tuple[str, str]] = []
        else:
            more, less = sorted(self.names), []
            if self.whole and more:
                more.insert(0, "*")
            versions = sorted(self._known.items())
        nonce, self._nonce = self._nonce, ""
        error, self._error = self._error, ""
        self._more.clear()
        self._less.clear()
        self._begun = True
        self.due = False
        return engine.encode_delta_request(node, self.type_url, nonce, more, less, versions, error)

    def is_wanted(self, name: str) -> bool:
        return self.whole or name in self.names

    @staticmethod
    def decode(message: bytes, ignore_unknown: bool) -> Response:
        """Raises ValueError."""
        return Response(*engine.decode_delta_response(message, ignore_unknown))

    def check(self, response: Response) -> str:
        """Why the response breaks the protocol, in Envoy's words; nothing if it does not."""
        seen: set[str] = set()
        for name, version, body, _ in response.items:
            if name in seen:
                return f"duplicate name {name} found among added/updated resources"
            if body is None and self._known.get(name) != version:
                # No heartbeat of what is there, so it should have had a resource.
                return (
                    "type URL  embedded in an individual Any does not match the message-wide type"
                    f" URL {self.type_url}: {name} of version '{version}' has no resource, and"
                    " that version is not in use"
                )
            seen.add(name)
        for name in response.removed:
            if name in seen:
                return f"duplicate name {name} found in the union of added+removed resources"
            seen.add(name)
        return ""

    def ignored(self, response: Response) -> None:
        """Nobody wants it any more, but it has to be answered."""
        self.answer(response, "")

    def answer(self, response: Response, problems: str) -> None:
        """It was taken, or refused for these problems: the next request says so."""
        self._nonce = response.nonce
        self._error = problems
        self.due = True
        if problems:
            return
        for name, version, body, _ in response.items:
            if body is not None and self.is_wanted(name):
                self._known[name] = version
        for name in response.removed:
            self._known.pop(name, None)

    def forget(self, name: str) -> None:
        """A resource's time is up."""
        self._known.pop(name, None)

    def seed(self, versions: dict[str, str]) -> None:
        """Resources of an earlier life are there: the server says what has changed since."""
        self._known.update(versions)
