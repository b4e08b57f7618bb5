"""The processes beside an agent: the sidecar, the program that it is for, commands of probes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

_LOG = logging.getLogger(__name__)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LOOK_SECONDS = 0.02


class _Own:
    """The processes that asyncio waits for: those that are being started, whose ids are not known
    yet, and those that run."""

    def __init__(self) -> None:
        self.starting = 0
        self.pids: set[int] = set()


_OWN = _Own()


class Child:
    """One process; it does not outlive the agent."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, *, group: bool) -> None:
        self.name = name
        self._process = process
        self._group = group

    @classmethod
    async def start(
        cls,
        name: str,
        command: list[str],
        environment: Mapping[str, str] | None = None,
        *,
        group: bool = False,
        quiet: bool = False,
    ) -> Child:
        """`group`: it has a process group of its own, so no key of a terminal ends it; `quiet`: it
        reads and says nothing. Raises OSError, naming the command."""
        nowhere = asyncio.subprocess.DEVNULL if quiet else None
        _OWN.starting += 1
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, **(environment or {})},
                stdin=nowhere,
                stdout=nowhere,
                stderr=nowhere,
                process_group=0 if group else None,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise OSError(f"cannot start {command[0]}: {error.strerror}") from error
        except ValueError as error:
            raise OSError(f"cannot start {command[0]!r}: {error}") from error
        else:
            _OWN.pids.add(process.pid)
        finally:
            _OWN.starting -= 1
        return cls(name, process, group=group)

    async def wait(self) -> int:
        """Its exit code; of one that a signal ended, 128 and the signal, as shells say."""
        code = await self._process.wait()
        _OWN.pids.discard(self._process.pid)
        return 128 - code if code < 0 else code

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def end(self, grace: float, hurry: asyncio.Event) -> None:
        """SIGTERM, and SIGKILL when it has not ended after `grace` seconds, or when somebody is in
        a hurry."""
        if self.running:
            self._send(signal.SIGTERM)
            if not await first(self._process.wait(), hurry.wait(), seconds=grace):
                why = f"within {grace:g} s" if not hurry.is_set() else "at once"
                _LOG.warning("%s has not ended %s after SIGTERM; it is killed", self.name, why)
                self._send(signal.SIGKILL)
        await self.wait()

    def kill(self) -> None:
        """SIGKILL, to all of its group if it has one."""
        if self._group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        # Not by the process's own method, which would look whether it has ended, and take its exit
        # code from who waits for it.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


class Orphans:
    """What a program leaves behind: it forks, and goes. They become ours, and end with it: who
    serves on would do so beside the mesh, and hold the ports of the next run."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    async def end(self, grace: float, hurry: asyncio.Event) -> None:
        """SIGTERM, and SIGKILL to those that have not ended after `grace` seconds."""
        if not self._left():
            return
        _LOG.warning(
            "the program has left %d processes behind; they are ended, too: one that puts itself"
            " into the background is to be started in the foreground", len(self._left()),
        )  # fmt: skip
        deadline = asyncio.get_running_loop().time() + grace
        number = signal.SIGTERM
        while left := self._left():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            # Those that are killed leave their own children to us.
            while self._left() == left and number == signal.SIGTERM:
                if hurry.is_set() or asyncio.get_running_loop().time() > deadline:
                    number = signal.SIGKILL
                await asyncio.sleep(_LOOK_SECONDS)
            if number == signal.SIGKILL:
                await asyncio.sleep(_LOOK_SECONDS)

    def _left(self) -> set[int]:
        self._reap()
        return _children() - _OWN.pids

    def _reap(self) -> None:
        """Waits for those that have ended and nobody else waits for."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while not _OWN.starting:
            try:
                ended = os.waitid(os.P_ALL, 0, flags)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid in _OWN.pids:
                # Those behind it have their turn at the next signal.
                return
            with contextlib.suppress(ChildProcessError):
                os.waitpid(ended.si_pid, os.WNOHANG)


def _children() -> set[int]:
    """Not every kernel lists them, so it is asked for each process whose child it is."""
    own, found = os.getpid(), set()
    for one in os.listdir("/proc"):
        if one.isdecimal():
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{one}/stat").read_text(errors="replace")
                # The name before it may hold anything, parentheses and spaces as well.
                state, parent = stat.rpartition(")")[2].split()[:2]
                if int(parent) == own and state != "Z":
                    found.add(int(one))
    return found


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def first(
    work: Coroutine[Any, Any, object], *others: Coroutine[Any, Any, object], seconds: float = 0.0
) -> bool:
    """Waits for one of them, `seconds` at most (0: for as long as it takes). Whether `work` is
    done; raises what it raises."""
    loop = asyncio.get_running_loop()
    working, *rest = [loop.create_task(one) for one in (work, *others)]
    try:
        await asyncio.wait(
            {working, *rest}, timeout=seconds or None, return_when=asyncio.FIRST_COMPLETED
        )
        if not working.done():
            return False
        working.result()
        return True
    finally:
        for task in (working, *rest):
            task.cancel()


async def accepts(address: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True
