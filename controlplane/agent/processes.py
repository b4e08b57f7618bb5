"""The two processes beside an agent: the sidecar, and the program that it is for."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Mapping

_PR_SET_PDEATHSIG = 1


class Child:
    """One process; it does not outlive the agent."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(
        cls, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> Child:
        """Raises OSError, naming the command."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, **(environment or {})},
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise OSError(f"cannot start {command[0]}: {error.strerror}") from error
        return cls(name, process)

    async def wait(self) -> int:
        """Its exit code; of one that a signal ended, 128 and the signal, as shells say."""
        code = await self._process.wait()
        return 128 - code if code < 0 else code

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def end(self, grace: float) -> None:
        """SIGTERM, and SIGKILL when it has not ended after `grace` seconds."""
        if not self.running:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), grace)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def accepts(address: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True
