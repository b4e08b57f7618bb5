"""How long a route's change takes until traffic follows it.

A file with the VirtualService of a service is replaced again and again, v1 and v2 in turn, while
some sidecars of ours each carry the requests of a client. The others are simulated (`sidecars`):
they follow the same configuration, acknowledge it and carry nothing. From before the replacement
until each client has had its first answer of the other version; what the slowest of them took is
the figure.
"""

from __future__ import annotations

import http.client
import sys
import threading
from dataclasses import dataclass
from time import monotonic

from bench.control.live import Live, split
from bench.control.process import Process
from bench.errors import BenchError
from bench.processes import LOAD_CORE, free_port
from mesh.demo.client import Client

_SERVICE = "details"
#: Requests a second of all clients together, so that more of them are no more load. A client's
#: pause is how exactly its answer is known.
_RATE = 2000.0
_PATIENCE = 15.0


@dataclass(frozen=True)
class Setup:
    """The mesh that is measured."""

    #: In all, and those that are our own and carry traffic.
    sidecars: int
    carrying: int
    #: Services beside the one that is routed, each with a VirtualService.
    services: int
    changes: int
    #: Seconds of quiet before a push.
    debounce: float


@dataclass(frozen=True)
class Figures:
    """Seconds, with the debounce in them."""

    p50: float
    p99: float
    worst: float
    requests: int
    #: Requests that failed, and those answered by the old version after the new had answered.
    errors: int
    went_back: int


class Follower(threading.Thread):
    """A client that asks all the time. `told` is notified when the version changes."""

    def __init__(self, port: int, pause: float, told: threading.Condition) -> None:
        super().__init__()
        self.told = told
        self.version = ""
        #: When the first answer of that version came.
        self.since = 0.0
        self.turns = 0
        self.requests = 0
        self.errors = 0
        self._port = port
        self._pause = pause
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        client = Client(self._port)
        while not self._ended.wait(self._pause):
            self.requests += 1
            try:
                status, headers, _ = client.get(f"http://{_SERVICE}:9080/{_SERVICE}/0")
            except (OSError, http.client.HTTPException):
                self.errors += 1
                client.close()
                continue
            if status != 200:
                self.errors += 1
            elif (version := headers["x-served-by"]) != self.version:
                with self.told:
                    self.version, self.since = version, monotonic()
                    self.turns += 1
                    self.told.notify_all()
        client.close()

    def end(self) -> None:
        self._ended.set()
        self.join()


def measure(setup: Setup) -> Figures:
    """Raises BenchError if traffic does not follow."""
    flags = ("--debounce-after", f"{setup.debounce}s")
    with Live(_SERVICE, setup.services, *flags, pinned=True) as live:
        live.write("route.yaml", split(_SERVICE, 100, 0))
        program = [sys.executable, "-m", "mesh.demo.bookinfo", _SERVICE]
        for version in ("v1", "v2"):
            live.run(
                f"{_SERVICE}-{version}",
                ["--service", _SERVICE, "--version", version],
                ["--port", "9080:auto"],
                [*program, version],
                account=_SERVICE,
            )
        ports = [free_port() for _ in range(setup.carrying)]
        for port in ports:
            name, own = f"client-{port}", ["--http-proxy-port", str(port)]
            live.run(name, ["--service", name], own, ["sleep", "86400"])
        live.wait()
        simulated = setup.sidecars - setup.carrying
        arguments = (live.plaintext, simulated, simulated, "plaintext")
        with Process(LOAD_CORE, "bench.control.sidecars", *arguments) as sidecars:
            sidecars.read()
            told = threading.Condition()
            pause = setup.carrying / _RATE
            followers = [Follower(port, pause, told) for port in ports]
            try:
                return _change(setup, live, followers, told)
            finally:
                for one in followers:
                    one.end()


def _change(
    setup: Setup, live: Live, followers: list[Follower], told: threading.Condition
) -> Figures:
    def follow(version: str) -> float:
        """When the last of them did."""
        with told:
            if not told.wait_for(
                lambda: all(one.version == version for one in followers), _PATIENCE
            ):
                seen = sorted({one.version for one in followers})
                raise BenchError(f"after {_PATIENCE:g} s not all traffic is at {version}: {seen}")
            return max(one.since for one in followers)

    follow(f"{_SERVICE}-v1")
    for one in followers:
        one.turns = one.errors = one.requests = 0
    seconds = []
    for number in range(setup.changes):
        to_second = number % 2 == 0
        began = monotonic()
        live.write("route.yaml", split(_SERVICE, *((0, 100) if to_second else (100, 0))))
        seconds.append(follow(f"{_SERVICE}-{'v2' if to_second else 'v1'}") - began)
    seconds.sort()
    return Figures(
        p50=seconds[len(seconds) // 2],
        p99=seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)],
        worst=seconds[-1],
        requests=sum(one.requests for one in followers),
        errors=sum(one.errors for one in followers),
        went_back=sum(one.turns - setup.changes for one in followers),
    )
