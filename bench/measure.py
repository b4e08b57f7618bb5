"""One proxy under one load: what it cost and what it gave."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from bench import gates, loadgen, procfs
from bench.errors import BenchError
from bench.gates import Cores
from bench.loadgen import LoadResult, Origins
from bench.loads import AnyLoad
from bench.peer import Peer
from bench.processes import LOAD_CORE, PROXY_CORE, free_port, running, wait_ready
from bench.site import Setup, Site


class GateError(Exception):
    """A peer did not do the work: no figures of it may be reported."""


@dataclass(frozen=True)
class Rig:
    """What every measurement uses: the generator, the origin servers and how long to run."""

    generator: Path
    origins: Origins
    duration: float

    @property
    def warmup(self) -> float:
        return min(1.0, self.duration / 2)


@dataclass(frozen=True)
class Proxy:
    """A peer that runs."""

    rig: Rig
    site: Site
    #: None for `direct`, two for a pair.
    pids: tuple[int, ...]
    #: From exec until its probe answered.
    ready_seconds: float

    @property
    def port(self) -> int:
        return self.site.listen if self.pids else self.site.upstream

    def cpu(self) -> procfs.Cpu:
        return procfs.cpu_of(self.pids)

    def rss(self) -> int:
        return sum(procfs.rss(pid) for pid in self.pids)


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
def started(rig: Rig, peer: Peer, setup: Setup, upstream: int | None = None) -> Iterator[Proxy]:
    """Starts a peer afresh on its core, and stops it. It forwards to `upstream`, by default the
    origin server for what it speaks."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{peer.name}-") as name:
        folder = Path(name)
        upstream = rig.origins.ports[setup.origin] if upstream is None else upstream
        site = Site(setup, free_port(), free_port(), upstream, folder)
        command = peer.command(site)
        if not command:
            yield Proxy(rig, site, (), 0.0)
            return
        probe, log = peer.probe(site), folder / "output"
        begin = monotonic()
        with running(PROXY_CORE, command, log) as process:
            try:
                wait_ready(process, probe, log)
            except BenchError as error:
                raise GateError(str(error)) from None
            yield Proxy(rig, site, (process.pid,), monotonic() - begin)


@contextlib.contextmanager
def started_pair(rig: Rig, peer: Peer, front: Setup, behind: Setup) -> Iterator[tuple[Proxy, Site]]:
    """Starts a peer twice, both on the one core: `front` takes the load and forwards to `behind`.
    Gives the pair as one proxy, and the site of the one behind."""
    with (
        started(rig, peer, behind) as second,
        started(rig, peer, front, upstream=second.port) as first,
    ):
        yield replace(first, pids=(*first.pids, *second.pids)), second.site


def warm_up(proxy: Proxy, load: AnyLoad) -> None:
    limits = ("--duration", str(proxy.rig.warmup))
    result = loadgen.run(proxy.rig.generator, proxy.port, load, *limits)
    if reason := gates.failure(result):
        raise GateError(reason)


def sample(proxy: Proxy, load: AnyLoad) -> Sample:
    """Runs the load on a proxy that is warm. All that the generator asked for lies between the two
    readings of the proxy's clock, so that the division is exact."""
    rig = proxy.rig
    cpu, origins = proxy.cpu(), procfs.cpu_of(rig.origins.pids)
    cores, begin = procfs.cores(), monotonic()
    limits = ("--duration", str(rig.duration))
    result = loadgen.run(rig.generator, proxy.port, load, *limits)
    cpu, origins = proxy.cpu() - cpu, procfs.cpu_of(rig.origins.pids) - origins
    now, wall_us = procfs.cores(), (monotonic() - begin) * 1e6
    if reason := gates.failure(result):
        raise GateError(reason)
    proxy_busy = now[PROXY_CORE].share_since(cores[PROXY_CORE])
    load_busy = now[LOAD_CORE].share_since(cores[LOAD_CORE])
    strangers = max(
        proxy_busy - cpu.total / wall_us,
        load_busy - (origins.total + result.own_cpu_us) / wall_us,
    )
    ticks = cpu.user + cpu.system
    return Sample(
        result=result,
        cpu_us=cpu.total / result.ok,
        user_us=cpu.total * (cpu.user / ticks if ticks else 0.0) / result.ok,
        cores=Cores(proxy_busy, load_busy, max(0.0, strangers)),
        proxied=bool(proxy.pids),
    )
