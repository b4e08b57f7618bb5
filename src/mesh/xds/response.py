"""A response of an xDS stream, of either kind."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    Item = tuple[str, str, bytes | None, float]


class Response:
    """As `engine.decode_response` and `engine.decode_delta_response` give it."""

    __slots__ = ("control_plane", "items", "nonce", "problem", "removed", "type_url", "version")

    def __init__(
        self,
        type_url: str,
        version: str,
        nonce: str,
        control_plane: str,
        items: list[Item],
        removed: list[str],
        problem: str,
    ) -> None:
        self.type_url = type_url
        self.version = version
        self.nonce = nonce
        self.control_plane = control_plane
        #: (name, version, body; None: as it was, TTL in seconds; 0: none)
        self.items = items
        self.removed = removed
        #: Why it cannot be taken at all.
        self.problem = problem

    def bodies(self) -> list[tuple[str, bytes]]:
        return [(name, body) for name, _, body, _ in self.items if body is not None]

    def heartbeats(self) -> list[str]:
        """Names of resources that are as they were, and live on."""
        return [name for name, _, body, _ in self.items if body is None]
