"""Several sources as one: by kind, namespace and name, the earlier source wins.

What a later source has of the same name is refused, naming both places; when the earlier one's
goes, the later one's takes its place in one change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from controlplane.sources.history import History
from controlplane.sources.layers import Layer, Layers
from controlplane.sources.source import Change, Gone, Listing, Source


class Merged:
    """The source. Of one event loop; it begins with the first `list` or `watch`, or as a context,
    and ends with `close`, which leaves the sources open."""

    def __init__(self, sources: Sequence[Source], *, history: History | None = None) -> None:
        self._sources = tuple(sources)
        self._history = history or History()
        self._layers: Layers[int] = Layers()
        self._begun: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def name(self) -> str:
        """The names of all."""
        return ", ".join(source.name for source in self._sources)

    async def list(self) -> Listing:
        """Everything, now."""
        await self._begin()
        layers = self._layers
        return Listing(
            layers.resources(), layers.refused(), self._history.version, layers.warnings()
        )

    async def watch(self, version: str) -> AsyncIterator[Change]:
        """What happens after `version`, for ever. Raises Gone, or what a source failed with."""
        await self._begin()
        async for change in self._history.after(version):
            yield change

    async def close(self) -> None:
        """Stops watching the sources."""
        for task in [self._begun, *self._tasks]:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _begin(self) -> None:
        if self._begun is None:
            self._begun = asyncio.create_task(self._start())
        await asyncio.shield(self._begun)

    async def _start(self) -> None:
        versions = [await self._relist(index) for index in range(len(self._sources))]
        self._layers.difference()
        self._tasks = [
            asyncio.create_task(self._follow(index, version), name=f"follow {source.name}")
            for index, (source, version) in enumerate(zip(self._sources, versions, strict=True))
        ]

    async def _relist(self, index: int) -> str:
        listing = await self._sources[index].list()
        resources = {one.key: one for one in listing.resources}
        name = self._sources[index].name
        self._layers.put(index, Layer(name, resources, listing.refused, listing.warnings))
        return listing.version

    async def _follow(self, index: int, version: str) -> None:
        try:
            while True:
                try:
                    async for change in self._sources[index].watch(version):
                        self._change(index, change)
                        version = change.version
                except Gone:
                    version = await self._relist(index)
                    self._tell()
        except Exception as error:
            # Whoever watches must not take silence for peace.
            self._history.fail(error)
            raise

    def _change(self, index: int, change: Change) -> None:
        self._layers.change(index, change.updated, change.removed, change.refused, change.warnings)
        self._tell()

    def _tell(self) -> None:
        difference = self._layers.difference()
        if difference is not None:
            layers = self._layers
            self._history.add(
                difference.updated, difference.removed, layers.refused(), layers.warnings()
            )
