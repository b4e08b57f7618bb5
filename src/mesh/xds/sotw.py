"""State of the world: a request names all that is wanted, a response brings all there is.

The protocol of one type on one stream, without any I/O. `due` says that a request is to be sent;
what happens between two of them is gathered in one.
"""

from __future__ import annotations

from mesh import engine
from mesh.xds.response import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Sotw:
    """One type of resources."""

    __slots__ = ("_error", "_nonce", "_subscribed", "due", "names", "type_url", "version", "whole")

    def __init__(self, type_url: str, whole: bool) -> None:
        self.type_url = type_url
        #: All resources of the type are wanted: no names are said.
        self.whole = whole
        self.names: set[str] = set()
        #: That was accepted last; it outlives the stream.
        self.version = ""
        self._nonce = ""
        self._error = ""
        #: Something was said of it on this stream.
        self._subscribed = False
        self.due = whole

    def want(self, names: Iterable[str]) -> None:
        """The complete set of names that are wanted now."""
        wanted = set(names)
        if wanted != self.names:
            self.names = wanted
            # Without names a first request would ask for all there is.
            self.due = bool(wanted) or self._subscribed

    def begin(self) -> None:
        """A new stream knows nothing of the one before."""
        self._nonce = ""
        self._error = ""
        self._subscribed = False
        self.due = self.whole or bool(self.names)

    def request(self, node: bytes) -> bytes:
        """The next request; `node`: who asks, nothing to leave that out."""
        error, self._error = self._error, ""
        self.due = False
        self._subscribed = True
        return engine.encode_request(
            node, self.type_url, self.version, self._nonce, sorted(self.names), error
        )

    def is_wanted(self, name: str) -> bool:
        return self.whole or name in self.names

    @staticmethod
    def decode(message: bytes, ignore_unknown: bool) -> Response:
        """Raises ValueError."""
        return Response(*engine.decode_response(message, ignore_unknown))

    def check(self, response: Response) -> str:
        """Why the response breaks the protocol; nothing if it does not."""
        return ""

    def ignored(self, response: Response) -> None:
        """Nobody wants it any more. What is said next answers it."""
        self._nonce = response.nonce

    def answer(self, response: Response, problems: str) -> None:
        """It was taken, or refused for these problems: the next request says so."""
        self._nonce = response.nonce
        self._error = problems
        if not problems:
            self.version = response.version
        self.due = True

    def forget(self, name: str) -> None:
        """A resource's time is up. Only the server's next response would bring it back."""

    def seed(self, versions: dict[str, str]) -> None:
        """Resources of an earlier life are there. The server is to send all that it has."""
