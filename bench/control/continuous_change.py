"""Errors while everything changes: requests on kept connections through two sidecars of ours, and
meanwhile, without a pause,

* routes: the VirtualService moves all, or a part, of the requests from version to version;
* endpoints: one is listed and not listed in turn, and programs leave the mesh and come back;
* certificates: every sidecar gets a new one.

Each answer's status and body are looked at. Nothing else than the full number of right answers will
do, so what is not right is counted by its kind.
"""

from __future__ import annotations

import itertools
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench import loadgen
from bench.control.live import Live, split
from bench.errors import BenchError
from bench.loads import Load
from bench.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVICE = "echo"
_BACKENDS = (("echo-a", "v1"), ("echo-b", "v1"), ("echo-c", "v2"), ("echo-d", "v2"))
_SPLITS = ((100, 0), (50, 50), (0, 100), (10, 90))
#: Between two changes of a kind. Each is pushed by itself: the debounce is a tenth of a second.
_ROUTE_SECONDS = 0.15
_LIST_SECONDS = 0.25
#: One identity gets 30 certificates a minute, and as many beside as its programs begin.
_CERTIFICATE_SECONDS = 3.0
#: A service whose program is listed by hand among the endpoints of the other, and how.
_SPARE = """
apiVersion: v1
kind: Service
metadata: {name: spare}
spec:
  ports: [{port: 9080, name: http}]
  selector: {app: spare}
"""
_LISTED = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: listed}}
spec:
  address: {address}
  serviceAccount: spare
  labels: {{app: echo, version: v1, security.istio.io/tlsMode: istio}}
"""


@dataclass(frozen=True)
class Setup:
    """What is done."""

    requests: int
    #: The most that it may take.
    seconds: float
    connections: int
    #: Istio's default policy, or none: then each attempt that fails is seen.
    retries: bool = True


@dataclass
class Figures:
    """What came of it."""

    #: Right answers, and all else by kind; a request that was never answered is `unfinished`.
    good: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    #: Attempts that the client's sidecar repeated by Istio's default policy.
    retries: int = 0
    #: Requests that each version got.
    versions: dict[str, int] = field(default_factory=dict)
    #: What changed, and how often.
    changes: dict[str, int] = field(default_factory=dict)


class _Changes:
    """Threads that each do one kind of change, again and again, until the end."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failed: list[BaseException] = []

    def begin(self, kind: str, pause: float, change: Callable[[int], None]) -> None:
        """`change` is given the number of the turn."""
        self.counts[kind] = 0

        def work() -> None:
            try:
                for turn in itertools.count():
                    if self._ended.wait(pause):
                        return
                    change(turn)
                    self.counts[kind] += 1
            except Exception as error:  # noqa: BLE001  # raised in `end`, by the main thread
                self._failed.append(error)

        self._threads.append(threading.Thread(target=work, name=kind))
        self._threads[-1].start()

    def end(self) -> None:
        """Raises what a change has raised."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        if self._failed:
            raise self._failed[0]


def measure(setup: Setup) -> Figures:
    """Raises BenchError if it cannot be tried; what goes wrong in the trial is counted."""
    generator = loadgen.build()
    program = [str(generator), "upstream", "--listen", "127.0.0.1:{port}"]
    admin, port = free_port(), free_port()
    more = "" if setup.retries else "retries: {attempts: 0}"
    with Live(_SERVICE, 0, pinned=False) as live:

        def move(turn: int) -> None:
            live.write("route.yaml", split(_SERVICE, *_SPLITS[turn % len(_SPLITS)], more))

        def start(name: str, version: str, service: str = _SERVICE) -> None:
            labels = ["--service", service, "--version", version]
            live.run(name, labels, ["--port", "9080:auto"], program)

        live.write("spare.yaml", _SPARE)
        move(-1)
        for name, version in _BACKENDS:
            start(name, version)
        start("spare", "v1", "spare")
        own = ["--http-proxy-port", str(port), "--admin-port", str(admin)]
        live.run("client", ["--service", "client"], own, ["sleep", "86400"])
        live.wait()
        listed = _LISTED.format(address=live.address("spare"))
        changes = _Changes()

        def listing(turn: int) -> None:
            if turn % 2:
                live.remove("listed.yaml")
            else:
                live.write("listed.yaml", listed)

        def leave(turn: int) -> None:
            name, version = _BACKENDS[turn % len(_BACKENDS)]
            said = live.said(name)
            if code := live.stop(name):
                raise BenchError(f"{name} ended with {code}: {said[-500:]}")
            start(name, version)
            live.wait()

        before = live.certificates
        load = Load(connections=setup.connections, path=f"http://{_SERVICE}:9080/small",
                    expect_body=12)  # fmt: skip
        limits = ("--requests", str(setup.requests), "--duration", str(setup.seconds))
        try:
            changes.begin("routes", _ROUTE_SECONDS, move)
            changes.begin("endpoints listed or not", _LIST_SECONDS, listing)
            changes.begin("programs restarted", 0.0, leave)
            changes.begin("rounds of new certificates", _CERTIFICATE_SECONDS,
                          lambda _: _renew(live))  # fmt: skip
            found = loadgen.run(generator, port, load, *limits)
        finally:
            changes.end()
        wrong = {f"status {code}": count for code, count in found.statuses.items() if code != "200"}
        # A page that says why counts as another body as well: once is enough.
        bodies = max(0, found.mismatches - sum(wrong.values()))
        wrong |= {**found.errors, "another body": bodies, "unfinished": found.unfinished}
        counts = {**changes.counts, "certificates": live.certificates - before}
        cluster = f"{_SERVICE}.default.svc.cluster.local.upstream_rq"
        stats = live.stats(admin, cluster)
    return Figures(
        good=found.ok,
        wrong={kind: count for kind, count in wrong.items() if count},
        retries=sum(value for name, value in stats.items() if name.endswith("_rq_retry")),
        versions={
            version: stats.get(f"cluster.outbound|9080|{version}|{cluster}_total", 0)
            for version in ("v1", "v2")
        },
        changes=counts,
    )


def _renew(live: Live) -> None:
    live.signal(signal.SIGUSR2)
