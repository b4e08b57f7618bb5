"""Starts pinned processes that do not outlive us, and stops them."""

import contextlib
import http.client
import itertools
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep

from bench.errors import BenchError
from bench.site import Probe

PROXY_CORE = 0
LOAD_CORE = 1


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """The command, bound to a core with all it will start, and ended when we end."""
    return ["setpriv", "--pdeathsig", "TERM", "taskset", "--cpu-list", str(core), *command]


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started meanwhile is bound to a core, with all it will start."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(core: int, command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned(core, command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its session; asks once, then insists."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=3)
            break


#: Above those that tests take (`tests/support/ports.py`).
_PORTS = range(31_000, 32_768)
_next_port = itertools.cycle(random.sample(_PORTS, len(_PORTS)))


def free_port() -> int:
    """Below the ephemeral range: none of the thousands of connections beside it can take it before
    its program listens. The others are all given before one is given again."""
    for port in itertools.islice(_next_port, len(_PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise BenchError("no port from 31000 to 32767 is free")


def wait_ready(
    process: subprocess.Popen[bytes], probe: Probe, log: Path, limit: float = 30.0
) -> None:
    """Returns once the probe is answered as it says."""
    deadline = monotonic() + limit
    while monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"ended with {process.returncode} before it was ready: {tail(log)}")
        if _answered(probe):
            return
        sleep(0.002)
    raise BenchError(f"not ready after {limit:.0f} s: {tail(log)}")


def _answered(probe: Probe) -> bool:
    if probe.path is not None:
        body = _body(probe.port, probe.path)
        return body is not None and probe.text in body
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", probe.port), 1):
        return True
    return False


def _body(port: int, path: str) -> str | None:
    """What `path` answers with 200; None for anything else. Not urllib: that asks for the
    connection to be closed, and not every peer keeps that from the origin server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        return body if answer.status == 200 else None
    except (http.client.HTTPException, OSError):
        return None
    finally:
        connection.close()


def tail(log: Path, lines: int = 5) -> str:
    return " | ".join(log.read_text(errors="replace").splitlines()[-lines:])
