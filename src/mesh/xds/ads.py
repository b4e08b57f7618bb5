"""All that comes from xDS servers: the aggregated stream of the bootstrap, and a stream for every
type that comes from a server of its own.
"""

from __future__ import annotations

from mesh import engine
from mesh.xds.server import Server
from mesh.xds.stream import Stream
from mesh.xds.tally import SCOPES, Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.loop import Loop
    from mesh.xds.intake import Intake
    from mesh.xds.server import Spoken
    from mesh.xds.subscriptions import Key


class Remote:
    """Lives on the main thread."""

    def __init__(
        self,
        intake: Intake,
        calls: engine.Calls,
        loop: Loop,
        node: bytes,
        ads: Spoken,
        *,
        ignore_unknown: bool = False,
    ) -> None:
        self._intake = intake
        self._calls = calls
        self._loop = loop
        self._node = node
        self._ignore_unknown = ignore_unknown
        self._tally = Tally(intake.core)
        #: Called when a stream has ended.
        self.on_failure: Callable[[], None] = lambda: None
        #: By (server, type); the aggregated stream has no type.
        self._streams: dict[tuple[str, str], Stream] = {}
        self._ads: Stream | None = None
        if ads is not None:
            self._ads = self._new_stream(Server(*ads), "", "")
        #: What is followed, and its revision.
        self._revision = -1
        self._asked: list[tuple[str, str, float, str, Spoken]] = []

    def subscribe(self, type_url: str, timeout: float, server: Spoken) -> None:
        """Follows all resources of a type (`dynamic_resources`)."""
        scope = SCOPES[type_url]
        stream = self._stream(type_url, server, scope)
        if stream is not None:
            stream.subscribe(type_url, timeout, scope)
            stream.open()

    def follow(self, applied: engine.Applied) -> None:
        """Follows exactly what the configuration refers to now, besides those."""
        if applied.revision == self._revision:
            return
        self._revision = applied.revision
        asked = applied.remote
        if asked == self._asked:
            return
        self._asked = asked
        by_stream: dict[int, dict[Key, float]] = {}
        for type_url, name, timeout, scope, server in asked:
            stream = self._stream(type_url, server, scope)
            if stream is not None:
                by_stream.setdefault(id(stream), {})[type_url, name, scope] = timeout
        for stream in self._all():
            stream.want(by_stream.get(id(stream), {}))
            stream.flush()
            stream.open()
        for key in [key for key, stream in self._streams.items() if stream.is_unused()]:
            self._streams.pop(key).close()

    def readable(self) -> None:
        """Something came of calls."""
        for call, what, message, status, text in self._calls.read():
            for stream in self._all():
                if stream.call() == call:
                    stream.happened(what, message, status, text)
                    break

    def waiting(self) -> list[tuple[str, str]]:
        """(type_url, what) of the first fetches that have not ended."""
        return [one for stream in self._all() for one in stream.waiting()]

    def holds(self, type_url: str, name: str) -> bool:
        """Whether a resource comes from a server."""
        return any(stream.holds(type_url, name) for stream in self._all())

    def seed(self, type_url: str, versions: dict[str, str]) -> None:
        """Resources of an earlier life are in use until a server says otherwise."""
        for stream in self._all():
            stream.seed(type_url, versions)

    def ending(self) -> None:
        """The sidecar drains: streams go on until the workers that carry them end, which is then
        nothing to warn of."""
        for stream in self._all():
            stream.ending = True

    def close(self) -> None:
        for stream in self._all():
            stream.close()

    def _all(self) -> list[Stream]:
        streams = list(self._streams.values())
        return streams if self._ads is None else [self._ads, *streams]

    def _stream(self, type_url: str, server: Spoken, scope: str) -> Stream | None:
        if server is None:
            # The core refuses what is to come by ADS when there is none.
            return self._ads
        key = (repr(server), type_url)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = self._new_stream(Server(*server), type_url, scope)
        return stream

    def _failed(self) -> None:
        self.on_failure()

    def _new_stream(self, server: Server, type_url: str, scope: str) -> Stream:
        return Stream(
            server,
            type_url,
            scope,
            self._node,
            self._calls,
            self._intake,
            self._tally,
            self._loop,
            self._failed,
            self._ignore_unknown,
        )
