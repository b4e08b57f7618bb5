"""Identities that have just left a service are accepted for a while longer.

A cluster names the identities that its hosts may have, and clusters are sent before endpoints. When
the last host of an identity goes, proxies would for some milliseconds have the new cluster, which
does not know the identity, with the old endpoints, of which one has it: connections to that would
fail. So the endpoint goes at once, and the identity when everybody has done without the endpoint.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeAlias

from controlplane.registry import services
from controlplane.translation.clusters import identities
from controlplane.world.view import View, query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from controlplane.world.world import World

_LOG = logging.getLogger(__name__)
#: Longer than a push may wait for quiet.
SECONDS = 15.0

#: Host name and namespace.
_Service: TypeAlias = tuple[str, str]


class Departures:
    """Follows a world; `changed` is told when it has changed it later."""

    def __init__(
        self, world: World, changed: Callable[[], Awaitable[None]], seconds: float = SECONDS
    ) -> None:
        self._world = world
        self._changed = changed
        self._seconds = seconds
        self._present: dict[_Service, tuple[str, ...]] = {}
        #: Until when an identity is accepted, by the loop's clock.
        self._until: dict[_Service, dict[str, float]] = {}
        self._some = asyncio.Event()

    def look(self) -> None:
        """After each change of the world, before anybody is told of it."""
        before = self._present
        try:
            self._present = _present(self._world.view())
        except Exception:  # noqa: BLE001  # whatever a query raises is logged
            # A mistake of ours must not keep the change from the proxies: only this is left out.
            _LOG.exception("who has left a service cannot be worked out")
        if before is self._present:
            return
        until = asyncio.get_running_loop().time() + self._seconds
        touched = set()
        for key, had in before.items():
            gone = set(had).difference(self._present.get(key, had))
            if gone:
                self._until.setdefault(key, {}).update(dict.fromkeys(gone, until))
                touched.add(key)
        if touched:
            self._tell(touched)
            self._some.set()

    async def follow(self) -> None:
        """Ends what is over, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._until:
                self._some.clear()
                await self._some.wait()
            await asyncio.sleep(
                min(min(one.values()) for one in self._until.values()) - loop.time()
            )
            touched = set()
            for key, known in list(self._until.items()):
                left = {one: until for one, until in known.items() if until > loop.time()}
                if len(left) < len(known):
                    touched.add(key)
                    self._until[key] = left
                if not left:
                    del self._until[key]
            if touched:
                self._tell(touched)
                await self._changed()

    def _tell(self, touched: set[_Service]) -> None:
        self._world.change(
            facts={
                identities.departed(*one): tuple(sorted(self._until.get(one, ()))) or None
                for one in touched
            }
        )


@query
def _present(view: View) -> dict[_Service, tuple[str, ...]]:
    return {
        (one.host, one.namespace): identities.present(view, one)
        for several in services.all_services(view).values()
        for one in several
        if not one.external
    }
