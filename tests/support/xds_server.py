"""A discovery server on a thread of its own, for clients that are other processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from controlplane.resources.resource import Key, Resource
from controlplane.world.world import World
from controlplane.xds.identity import CertificateAuthenticator
from controlplane.xds.options import Debounce, Options
from controlplane.xds.server import DiscoveryServer
from controlplane.xds.status import ProxyStatus, TypeStatus, Verdict
from tests.support.xds_world import FakeTranslator

T = TypeVar("T")

AUTHENTICATOR = CertificateAuthenticator(frozenset({"cluster.local"}))
OPEN = Options(
    plaintext="127.0.0.1:0", trust_plaintext=True, debug="127.0.0.1:0",
    debounce=Debounce(quiet=0.01, cap=1.0),
)  # fmt: skip


def server(world: World, **more: Any) -> DiscoveryServer:
    """On free ports; without TLS unless `more` says so."""
    return DiscoveryServer(world, FakeTranslator(), AUTHENTICATOR, replace(OPEN, **more))


class XdsServer:
    """Use as a context manager; leaving it ends the streams and the thread."""

    def __init__(self, *resources: Resource[Any], **options: Any) -> None:
        self.world = World()
        self.world.change(resources)
        self._server = server(self.world, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="xds", daemon=True)

    def __enter__(self) -> XdsServer:
        self._thread.start()
        self._do(self._server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._server.stop(1.0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def port(self) -> int:
        return self._server.plaintext_port

    @property
    def debug_port(self) -> int:
        return self._server.debug_port

    def change(self, *updated: Resource[Any], removed: Sequence[Key] = ()) -> int:
        """One change of the world; returns its revision."""

        async def change() -> int:
            self.world.change(updated, removed)
            await self._server.changed()
            return self.world.revision

        return self._do(change())

    def apply(
        self, *updated: Resource[Any], removed: Sequence[Key] = (), timeout: float = 20.0
    ) -> Sequence[Verdict]:
        """A change, and what became of it."""
        revision = self.change(*updated, removed=removed)
        return self._do(self._server.wait(revision, timeout))

    def wait(self, timeout: float = 20.0) -> Sequence[Verdict]:
        """Until the newest revision is everywhere."""
        return self._do(self._server.wait(self.world.revision, timeout))

    def status(self) -> list[ProxyStatus]:
        async def status() -> list[ProxyStatus]:
            return self._server.status()

        return self._do(status())

    def type_status(self, type_url: str) -> TypeStatus:
        """Of the one proxy that is connected."""
        (proxy,) = self.status()
        (found,) = [one for one in proxy.types if one.type_url == type_url]
        return found

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
