"""What an admin endpoint is: a path, its help, a function from a query to an answer."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from mesh import engine
    from mesh.config.flags import Options
    from mesh.xds.store import Store

    class Process(Protocol):
        """What the endpoints see of the running sidecar."""

        core: engine.Engine
        store: Store
        options: Options
        bootstrap: engine.Bootstrap
        concurrency: int
        started: float
        #: The same moment on the wall clock, as /config_dump prints times.
        started_at: str

        def state(self) -> str:
            """LIVE, DRAINING, PRE_INITIALIZING or INITIALIZING."""

        def waiting(self) -> list[tuple[str, str]]:
            """(type_url, name) of what initialisation or warming still waits for."""

        def refresh_stats(self) -> None:
            """Brings the `server.` statistics up to now."""

        def fail_health_check(self, fail: bool) -> None: ...
        def reopen_logs(self) -> None: ...
        def quit(self) -> None: ...

    Handler = Callable[["Process", "Query"], "Answer"]

TEXT = "text/plain; charset=UTF-8"
JSON = "application/json"
HTML = "text/html; charset=UTF-8"


class BadRequest(Exception):
    """The query cannot be answered: 400 (or `status`), and `str()` says why."""

    def __init__(self, message: str, status: int = 400, content_type: str = TEXT) -> None:
        super().__init__(message)
        self.status = status
        self.content_type = content_type


class Answer:
    """A response: status, media type, body."""

    __slots__ = ("body", "content_type", "status")

    def __init__(self, body: str | bytes, content_type: str = TEXT, status: int = 200) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.content_type = content_type
        self.status = status


class Query:
    """The query string of a request. The first of several values counts, as in Envoy."""

    def __init__(self, text: str = "") -> None:
        self.pairs: list[tuple[str, str]] = []
        for item in filter(None, text.split("&")):
            name, _, value = item.partition("=")
            self.pairs.append((_unescaped(name), _unescaped(value)))

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.pairs)

    def get(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.pairs if key == name), default)

    def only(self, able: Sequence[str], refused: Sequence[str]) -> None:
        """Refuses by name the parameters that Envoy has and we have not; Envoy ignores others."""
        for name in refused:
            if name in self:
                raise BadRequest(f"{name} is not implemented; able: {', '.join(able)}\n")


class Endpoint:
    """One admin endpoint."""

    __slots__ = ("about", "handle", "mutates", "parameters", "path")

    def __init__(
        self,
        path: str,
        about: str,
        handle: Handler,
        *,
        mutates: bool = False,
        parameters: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.path = path
        self.about = about
        self.handle = handle
        #: Changes something: POST only.
        self.mutates = mutates
        #: (name, help)
        self.parameters = parameters


def _unescaped(text: str) -> str:
    """Percent-decoding. `+` stays: it is a quantifier in the filters that are asked for here."""
    if "%" not in text:
        return text
    head, *parts = text.split("%")
    out = bytearray(head.encode())
    for part in parts:
        try:
            out += bytes.fromhex(part[:2]) if len(part) >= 2 else b"%" + part.encode()
            out += part[2:].encode() if len(part) >= 2 else b""
        except ValueError:
            out += b"%" + part.encode()
    return out.decode(errors="replace")
