"""Waiting until an object is everywhere: in the sources, then at every sidecar that it concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from controlplane.problem import Refused
from controlplane.resources.resource import Key
from controlplane.status.ledger import ABSENT, Ledger
from controlplane.xds.status import State, Verdict

#: How long what the sources refuse may be a file of before the one that is waited for.
_SETTLE = 2.0


class Outcome(StrEnum):
    """What became of it."""

    #: Every sidecar has it.
    SYNCED = "SYNCED"
    #: Some refuse it; others may be late as well.
    ERROR = "ERROR"
    #: Some do not have it yet.
    STALE = "STALE"
    #: The control plane refuses it.
    REFUSED = "REFUSED"
    #: The sources do not have it.
    ABSENT = "ABSENT"


@dataclass(frozen=True, slots=True)
class Arrival:
    """How far an object has come."""

    outcome: Outcome
    #: What there is to say besides the verdicts.
    text: str = ""
    #: The world's revision that brought it; 0 for none.
    revision: int = 0
    #: All that are connected.
    proxies: int = 0
    #: Those who were sent something since: whom it concerns.
    told: int = 0
    #: Those who do not have it.
    verdicts: tuple[Verdict, ...] = field(default=())


class Arrivals:
    """Of one event loop."""

    def __init__(
        self,
        ledger: Ledger,
        refused: Callable[[], Iterable[Refused]],
        wait: Callable[[int, float], Awaitable[Sequence[Verdict]]],
        told: Callable[[int], int],
        *,
        settle: float = _SETTLE,
    ) -> None:
        """`refused`: what the sources refuse now; `wait` and `told`: the discovery server's."""
        self._ledger = ledger
        self._refused = refused
        self._wait = wait
        self._told = told
        self._settle = settle

    @property
    def latest(self) -> int:
        """The revision of now: what is written from here on comes with a later one."""
        return self._ledger.latest

    async def of(self, key: Key, version: str, timeout: float, since: int = -1) -> Arrival:
        """Until the object is everywhere at this version (ABSENT: gone from everywhere), or it is
        clear that it will not be, at most `timeout` seconds. `since`: `latest`, before the object
        was written; that it had this version before then does not count."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        revision = await self._in_sources(key, version, since, loop.time(), deadline)
        if revision is None:
            return self._lacking(key, version)
        verdicts = await self._wait(revision, max(0.0, deadline - loop.time()))
        lacking = tuple(one for one in verdicts if one.state is not State.SYNCED)
        if any(one.state is State.ERROR for one in lacking):
            outcome = Outcome.ERROR
        else:
            outcome = Outcome.STALE if lacking else Outcome.SYNCED
        held = self._ledger.held(key).version
        text = "" if held == version else f"in the meantime it is {_called(held)}"
        told = self._told(revision)
        return Arrival(outcome, text, revision, len(verdicts), told, lacking)

    async def _in_sources(
        self, key: Key, version: str, since: int, began: float, deadline: float
    ) -> int | None:
        loop = asyncio.get_running_loop()
        while (revision := self._ledger.revision(key, version, since)) is None:
            left = deadline - loop.time()
            # What is refused may be what was there before, and will be read in a moment.
            if self._reasons(key):
                left = min(left, began + self._settle - loop.time())
            if left <= 0:
                return None
            try:
                await asyncio.wait_for(self._ledger.changed(), left)
            except TimeoutError:
                continue
        return revision

    def _lacking(self, key: Key, version: str) -> Arrival:
        reasons = self._reasons(key)
        if reasons:
            return Arrival(Outcome.REFUSED, "\n".join(str(one) for one in reasons))
        held = self._ledger.held(key).version
        if version == ABSENT:
            text = "is still in the sources"
        elif held == ABSENT:
            text = "is not in the sources"
        else:
            text = f"is of version {held} in the sources, not of {version}"
        return Arrival(Outcome.ABSENT, text)

    def _reasons(self, key: Key) -> list[Refused]:
        return [one for one in self._refused() if (one.kind, one.namespace, one.name) == tuple(key)]


def _called(version: str) -> str:
    return "not there" if version == ABSENT else f"of version {version}"
