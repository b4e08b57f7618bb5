"""Resources with a TTL: they go when it is over, unless they are heard of before."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.loop import Loop, Timer
    from mesh.xds.response import Response


class Lifetimes:
    """Of one stream. `expired(type_url, name)` is called when a time is over."""

    def __init__(self, loop: Loop, expired: Callable[[str, str], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._timers: dict[tuple[str, str], Timer] = {}

    def heard(self, response: Response) -> None:
        """Times of what is in a response begin anew; heartbeats are in it, too."""
        for name, _, _, ttl in response.items:
            self._forget(response.type_url, name)
            if ttl > 0:
                self._begin(response.type_url, name, ttl)
        for name in response.removed:
            self._forget(response.type_url, name)

    def clear(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _begin(self, type_url: str, name: str, ttl: float) -> None:
        def over() -> None:
            del self._timers[type_url, name]
            self._expired(type_url, name)

        self._timers[type_url, name] = self._loop.after(ttl, over)

    def _forget(self, type_url: str, name: str) -> None:
        timer = self._timers.pop((type_url, name), None)
        if timer is not None:
            timer.cancel()
