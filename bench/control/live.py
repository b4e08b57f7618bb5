"""A whole mesh for a scenario: `mesh control`, programs with sidecars of ours, and files of
configuration that are moved into place."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bench import processes
from bench.errors import BenchError
from bench.processes import LOAD_CORE, PROXY_CORE
from mesh.demo.client import Client
from mesh.demo.show import Failed, Show
from mesh.demo.town import Town

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

#: Mutual TLS everywhere, and a service whose versions are subsets.
_SERVICE = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: istio-system}}
spec: {{mtls: {{mode: STRICT}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  ports: [{{port: 9080, name: http}}]
  selector: {{app: {name}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}}}
spec:
  host: {name}
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
"""
_OTHER = """
apiVersion: v1
kind: Service
metadata: {{name: other-{number}}}
spec:
  clusterIP: 10.255.{high}.{low}
  ports: [{{port: 8080, name: http}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: other-{number}, labels: {{kubernetes.io/service-name: other-{number}}}}}
addressType: IPv4
ports: [{{port: 8080, name: http}}]
endpoints: [{{addresses: [10.254.{high}.{low}]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: other-{number}}}
spec:
  hosts: [other-{number}]
  http: [{{timeout: 10s, route: [{{destination: {{host: other-{number}}}}}]}}]
"""


class Live:
    """As a context; leaving it ends all. Its methods raise BenchError."""

    def __init__(self, service: str, others: int, *flags: str, pinned: bool) -> None:
        """A mesh with `service`, and so many others that nobody runs; `flags` of `mesh control`,
        which gets the proxies' core to itself if `pinned`."""
        self.service = service
        self._others = others
        self._flags = flags
        self._stack = ExitStack()
        # Of two that start programs at the same time one would set the other's core.
        self._starting = threading.Lock()
        self._pinned = pinned
        #: For sidecars that are not ours.
        self.plaintext = processes.free_port()
        self._town: Town

    def __enter__(self) -> Self:
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        ports = {name: processes.free_port() for name in ("secure", "join", "debug")}
        self._town = Town(directory, "", Show(io.StringIO()), ports)
        self._stack.callback(self._town.clean_up)
        others = (
            _OTHER.format(number=number, high=number // 250, low=number % 250 + 1)
            for number in range(self._others)
        )
        self.write("others.yaml", "---".join(others))
        self.write("service.yaml", _SERVICE.format(name=self.service))
        plaintext = ("--trust-plaintext", "--plaintext-address", f"127.0.0.1:{self.plaintext}")
        with self._on(PROXY_CORE):
            self._try(lambda: self._town.start_control(*plaintext, *self._flags))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def write(self, name: str, text: str) -> None:
        """Moves a file of configuration into place."""
        beside = self._town.directory / f"{name}.new"
        beside.write_text(text)
        os.replace(beside, self._town.config / name)

    def remove(self, name: str) -> None:
        """Takes a file of configuration away."""
        (self._town.config / name).unlink()

    def run(
        self,
        name: str,
        labels: Sequence[str],
        flags: Sequence[str],
        command: Sequence[str],
        *,
        account: str = "",
    ) -> None:
        """Starts a program with a sidecar; it is in the mesh when `wait` returns. `labels`: what it
        may call itself, as flags."""
        who = (name, account or name, list(labels))
        own = ["--name", name, *flags]
        with self._on(LOAD_CORE):
            self._try(lambda: self._town.run(*who, own, list(command)))

    def wait(self) -> None:
        """Until all programs are in the mesh."""
        self._try(self._town.wait)

    def stop(self, name: str) -> int:
        """Lets a program leave the mesh; its exit code once it has ended."""
        return self._town.programs.pop(name).stop()

    def signal(self, number: int) -> int:
        """Sends all agents of programs in the mesh a signal; how many there were. (One that begins
        does not know it yet, and would end.)"""
        there = [
            program
            for name, program in list(self._town.programs.items())
            if name != "control" and "is in the mesh" in program.said()
        ]
        for program in there:
            program.process.send_signal(number)
        return len(there)

    def address(self, name: str) -> str:
        """Where a program's sidecar listens."""
        return self._town.programs[name].said().rpartition(" is in the mesh at ")[2].split()[0]

    def said(self, name: str) -> str:
        """The log of a program and its sidecar."""
        return self._town.programs[name].said()

    @property
    def certificates(self) -> int:
        """How many were given out."""
        return len((self._town.state / "audit.jsonl").read_text().splitlines())

    def stats(self, admin: int, pattern: str) -> dict[str, int]:
        """Counters of a sidecar whose names hold `pattern`, by its admin port."""
        client = Client(admin)
        try:
            lines = client.get("/stats")[2].splitlines()
        finally:
            client.close()
        pairs = (line.rpartition(": ") for line in lines)
        return {
            name: int(value) for name, _, value in pairs if pattern in name and value.isdecimal()
        }

    @contextmanager
    def _on(self, core: int) -> Iterator[None]:
        with self._starting, processes.on_core(core) if self._pinned else nullcontext():
            yield

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Failed as error:
            raise BenchError(str(error)) from None


def split(service: str, first: int, second: int, more: str = "") -> str:
    """A VirtualService that gives v1 and v2 their weights; `more` of its route."""
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {service}}}
spec:
  hosts: [{service}]
  http:
  - route:
    - {{destination: {{host: {service}, subset: v1}}, weight: {first}}}
    - {{destination: {{host: {service}, subset: v2}}, weight: {second}}}
    {more}
"""
