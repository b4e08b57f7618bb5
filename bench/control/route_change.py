"""How long a route's change takes until traffic follows it.

A file with the VirtualService of a service is replaced again and again, v1 and v2 in turn, while
some sidecars of ours each carry the requests of a client. The others are simulated (`sidecars`):
they follow the same configuration, acknowledge it and carry nothing. From before the replacement
until each client has had its first answer of the other version; what the slowest of them took is
the figure.
"""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from bench import loadgen
from bench.control.live import Live, split
from bench.control.process import Process
from bench.errors import BenchError
from bench.processes import LOAD_CORE, free_port, pinned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SERVICE = "details"
#: The response header that says which version has answered.
_VERSION = "x-served-by"
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


class Followers:
    """Clients that ask all the time (`loadgen follow`), and what each was answered last."""

    def __init__(self, generator: Path, ports: Sequence[int], pause: float) -> None:
        targets = ",".join(f"127.0.0.1:{port}" for port in ports)
        path = f"http://{_SERVICE}:9080/small"
        command = [str(generator), "follow", "--targets", targets, "--path", path]
        command += ["--watch", _VERSION, "--pause", str(pause)]
        self._process = subprocess.Popen(
            pinned(LOAD_CORE, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._told = threading.Condition()
        self._versions = [""] * len(ports)
        #: When the first answer of that version came, by the monotonic clock.
        self._since = [0.0] * len(ports)
        self.turns = 0
        #: Known at the end.
        self.requests = 0
        self.errors = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = json.loads(line)
            if "requests" in found:
                self.requests, self.errors = found["requests"], found["errors"]
                return
            with self._told:
                self._versions[found["client"]] = found["value"]
                self._since[found["client"]] = found["at"]
                self.turns += 1
                self._told.notify_all()

    def follow(self, version: str) -> float:
        """When the last of them did."""
        with self._told:
            if not self._told.wait_for(lambda: set(self._versions) == {version}, _PATIENCE):
                seen = sorted(set(self._versions))
                raise BenchError(f"after {_PATIENCE:g} s not all traffic is at {version}: {seen}")
            return max(self._since)

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()


def measure(setup: Setup) -> Figures:
    """Raises BenchError if traffic does not follow."""
    generator = loadgen.build()
    flags = ("--debounce-after", f"{setup.debounce}s")
    with Live(_SERVICE, setup.services, *flags, pinned=True) as live:
        live.write("route.yaml", split(_SERVICE, 100, 0))
        program = [str(generator), "upstream", "--listen", "127.0.0.1:{port}", "--header"]
        for version in ("v1", "v2"):
            live.run(
                f"{_SERVICE}-{version}",
                ["--service", _SERVICE, "--version", version],
                ["--port", "9080:auto"],
                [*program, f"{_VERSION}: {version}"],
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
            followers = Followers(generator, ports, setup.carrying / _RATE)
            try:
                seconds = _change(setup, live, followers)
            finally:
                followers.end()
    return Figures(
        p50=seconds[len(seconds) // 2],
        p99=seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)],
        worst=seconds[-1],
        requests=followers.requests,
        errors=followers.errors,
        # Each client's first answer is a turn as well.
        went_back=followers.turns - setup.carrying * (setup.changes + 1),
    )


def _change(setup: Setup, live: Live, followers: Followers) -> list[float]:
    """Seconds, in order, with the debounce in them."""
    followers.follow("v1")
    seconds = []
    for number in range(setup.changes):
        to_second = number % 2 == 0
        began = monotonic()
        live.write("route.yaml", split(_SERVICE, *((0, 100) if to_second else (100, 0))))
        seconds.append(followers.follow("v2" if to_second else "v1") - began)
    return sorted(seconds)
