"""One proxy under one load: what it cost and what it gave."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from bench import gates, loadgen, procfs
from bench.errors import BenchError
from bench.gates import Cores
from bench.loadgen import Load, LoadResult
from bench.peer import Peer
from bench.processes import LOAD_CORE, PROXY_CORE, free_port, running, wait_ready
from bench.site import Setup, Site


class GateError(Exception):
    """A peer did not do the work: no figures of it may be reported."""


@dataclass(frozen=True)
class Rig:
    """What every measurement uses: the generator, the origin server and how long to run."""

    generator: Path
    upstream: int
    upstream_pid: int
    duration: float

    @property
    def warmup(self) -> float:
        return min(1.0, self.duration / 2)


@dataclass(frozen=True)
class Proxy:
    """A peer that runs; `pid` is None for `direct`."""

    rig: Rig
    site: Site
    pid: int | None
    #: From exec until its probe answered.
    ready_seconds: float

    @property
    def port(self) -> int:
        return self.site.listen if self.pid else self.rig.upstream

    def cpu(self) -> procfs.Cpu:
        return procfs.cpu(self.pid) if self.pid else procfs.NO_CPU

    def rss(self) -> int:
        return procfs.rss(self.pid) if self.pid else 0


@dataclass(frozen=True)
class Sample:
    """A load that passed the gates."""

    result: LoadResult
    #: CPU µs of the proxy per good answer.
    cpu_us: float
    user_us: float
    cores: Cores
    proxied: bool

    @property
    def rps(self) -> float | None:
        """None when it was the generator that could not do more than the proxy."""
        bound = self.proxied and gates.generator_bound(self.cores)
        return None if bound else self.result.rps


@contextlib.contextmanager
def started(rig: Rig, peer: Peer, setup: Setup) -> Iterator[Proxy]:
    """Starts a peer afresh on its core, and stops it."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{peer.name}-") as name:
        folder = Path(name)
        site = Site(setup, free_port(), free_port(), rig.upstream, folder)
        command = peer.command(site)
        if not command:
            yield Proxy(rig, site, None, 0.0)
            return
        probe, log = peer.probe(site), folder / "output"
        begin = monotonic()
        with running(PROXY_CORE, command, log) as process:
            try:
                wait_ready(process, probe, log)
            except BenchError as error:
                raise GateError(str(error)) from None
            yield Proxy(rig, site, process.pid, monotonic() - begin)


def warm_up(proxy: Proxy, load: Load) -> None:
    limits = ("--duration", str(proxy.rig.warmup))
    result = loadgen.run(proxy.rig.generator, proxy.port, load, *limits)
    if reason := gates.failure(result):
        raise GateError(reason)


def sample(proxy: Proxy, load: Load) -> Sample:
    """Runs the load on a proxy that is warm. All that the generator asked for lies between the two
    readings of the proxy's clock, so that the division is exact."""
    rig = proxy.rig
    cpu, upstream, cores, begin = (
        proxy.cpu(),
        procfs.cpu(rig.upstream_pid),
        procfs.cores(),
        monotonic(),
    )
    limits = ("--duration", str(rig.duration))
    result = loadgen.run(rig.generator, proxy.port, load, *limits)
    cpu, upstream = proxy.cpu() - cpu, procfs.cpu(rig.upstream_pid) - upstream
    now, wall_us = procfs.cores(), (monotonic() - begin) * 1e6
    if reason := gates.failure(result):
        raise GateError(reason)
    proxy_busy = now[PROXY_CORE].share_since(cores[PROXY_CORE])
    load_busy = now[LOAD_CORE].share_since(cores[LOAD_CORE])
    strangers = max(
        proxy_busy - cpu.total / wall_us,
        load_busy - (upstream.total + result.own_cpu_us) / wall_us,
    )
    ticks = cpu.user + cpu.system
    return Sample(
        result=result,
        cpu_us=cpu.total / result.ok,
        user_us=cpu.total * (cpu.user / ticks if ticks else 0.0) / result.ok,
        cores=Cores(proxy_busy, load_busy, max(0.0, strangers)),
        proxied=proxy.pid is not None,
    )
