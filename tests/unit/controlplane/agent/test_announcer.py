"""controlplane.agent.announcer: what a control plane hears of a program, and again after it was
away."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from controlplane.agent import announcer as module
from controlplane.agent.announcer import Announcer, Unwelcome


class Registrar:
    """Keeps what it is told; `fail` is raised once for each element."""

    control = "127.0.0.1:1"

    def __init__(self) -> None:
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.fail: list[grpc.StatusCode] = []

    async def _hear(self, what: str) -> None:
        if self.fail:
            meta = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(self.fail.pop(0), meta, meta, "away")
        await self.heard.put(what)

    async def ready(self) -> None:
        await self._hear("ready")

    async def unhealthy(self, reason: str) -> None:
        await self._hear(f"unhealthy: {reason}")

    async def leaving(self) -> None:
        await self._hear("leaving")


def played(play: Any) -> Any:
    def test(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
        monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.002)

        async def all_of_it() -> None:
            registrar = Registrar()
            made: Any = registrar
            announcer = Announcer(made, "a", "127.0.0.1", reached=True)
            await asyncio.wait_for(play(announcer, registrar), 20)

        asyncio.run(all_of_it())

    test.__name__ = play.__name__
    return test


@played
async def test_nothing_is_said_before_anything_is_known_and_then_again_and_again(
    announcer: Announcer, registrar: Registrar
) -> None:
    task = asyncio.create_task(announcer.follow())
    for _ in range(100):
        await asyncio.sleep(0)
    assert registrar.heard.empty()
    for sick, said in ((None, "ready"), ("no answer", "unhealthy: no answer"), (None, "ready")):
        announcer.say(sick)
        while await registrar.heard.get() != said:
            pass
        assert await registrar.heard.get() == said
    task.cancel()
    await announcer.leave()


@played
async def test_a_control_plane_that_was_away_hears_it_again(
    announcer: Announcer, registrar: Registrar
) -> None:
    registrar.fail = [grpc.StatusCode.UNAVAILABLE] * 3
    announcer.say(None)
    task = asyncio.create_task(announcer.follow())
    assert await registrar.heard.get() == "ready"
    # Once it is in, a refusal does not end it: its sidecar serves.
    registrar.fail = [grpc.StatusCode.PERMISSION_DENIED]
    assert await registrar.heard.get() == "ready"
    task.cancel()
    registrar.fail = [grpc.StatusCode.UNAVAILABLE]
    await announcer.leave()


@played
async def test_who_is_not_welcome_is_told(announcer: Announcer, registrar: Registrar) -> None:
    registrar.fail = [grpc.StatusCode.PERMISSION_DENIED]
    announcer.say(None)
    with pytest.raises(Unwelcome, match="away"):
        await announcer.follow()
