"""controlplane.agent.processes: programs that end well, badly, not at all, and those that fork."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.agent.processes import Child, first

#: In a process of its own: who forks is adopted by the agent, for good.
_AGENT = """
import asyncio, logging, sys
from controlplane.agent.processes import Child, Orphans
async def main():
    logging.basicConfig(format="%(message)s")
    orphans, hurry = Orphans(), asyncio.Event()
    program = await Child.start("it", [sys.executable, "-c", sys.argv[1]])
    print("code", await program.wait(), flush=True)
    # A command that runs meanwhile is nobody's orphan.
    other = await Child.start("other", ["sleep", "600"])
    await orphans.end(float(sys.argv[2]), hurry)
    print("other runs", other.running, flush=True)
    await other.end(5, hurry)
asyncio.run(main())
"""
_DAEMON = """
import os, signal, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
if {ignores}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
open({path!r}, "w").write(str(os.getpid()))
time.sleep(600)
"""


def test_it_is_asked_to_end_then_killed(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        hurry = asyncio.Event()
        child = await Child.start("it", ["sleep", "600"])
        await child.end(20, hurry)
        assert await child.wait() == 128 + 15
        assert not caplog.messages
        stubborn = "import signal; signal.signal(15, signal.SIG_IGN); print(1); input()"
        for seconds in (0.01, 600.0):
            process = await Child.start("stubborn", [sys.executable, "-c", stubborn])
            if seconds > 1:
                hurry.set()
            await process.end(seconds, hurry)
            assert await process.wait() in {128 + 9, 128 + 15}

    caplog.set_level(logging.WARNING)
    asyncio.run(test())


def test_what_cannot_be_started_is_named() -> None:
    async def test() -> None:
        with pytest.raises(OSError, match="cannot start /no/such: No such file"):
            await Child.start("it", ["/no/such"])
        with pytest.raises(OSError, match="cannot start"):
            await Child.start("it", ["a\0b"])

    asyncio.run(test())


@pytest.mark.parametrize("ignores", [False, True])
def test_a_program_that_puts_itself_into_the_background_ends_with_the_agent(
    tmp_path: Path, ignores: bool
) -> None:
    path = tmp_path / "pid"
    program = _DAEMON.format(path=str(path), ignores=ignores) + ""
    # The first parent waits until the last child is there.
    program = program.replace(
        "if os.fork():\n    os._exit(0)\nos.setsid()",
        f"if os.fork():\n    while not os.path.exists({str(path)!r}): time.sleep(0.01)\n"
        "    os._exit(0)\nos.setsid()",
    )
    seconds = "0.05" if ignores else "60"
    done = subprocess.run(
        [sys.executable, "-c", _AGENT, program, seconds],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["code 0", "other runs True"]
    assert "has left 1 processes behind" in done.stderr
    assert not Path(f"/proc/{path.read_text()}").exists()


def test_one_of_several() -> None:
    async def later() -> None:
        await asyncio.Event().wait()

    async def now() -> None:
        pass

    async def wrong() -> None:
        raise ValueError

    async def test() -> None:
        assert await first(now(), later())
        assert not await first(later(), now())
        assert not await first(later(), seconds=0.001)
        with pytest.raises(ValueError):
            await first(wrong(), later())

    asyncio.run(test())
