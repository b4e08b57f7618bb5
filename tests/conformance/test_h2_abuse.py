"""HTTP/2 abuse: every attack runs beside a probe that must not notice.

For each kind: the proxy stays up, the probe (its own connections, HTTP/1.1 and HTTP/2) gets nothing
but 200, memory at its highest grows by less than 5 MB, and what must be cut is cut.

Memory is judged over the whole attack. A faster machine gets through more connections before the
probe has asked enough; what is bounded levels off, however many there are. The figure after the
first few is printed beside it: the two far apart mean that something ratchets up or leaks.

FASTMESH_CONFORMANCE_TIMED=1: attacks go on for longer, and the probe's worst latency must also stay
below 100 ms; the machine must have nothing else to do then.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.attacks import ATTACKS, Attack
from tests.conformance.conftest import KIND, Say, StartProxy
from tests.support import config, h2raw
from tests.support.nginx import Nginx
from tests.support.ports import free_port
from tests.support.probe import Probe
from tests.support.proxies import ENVOY, Proxy

TIMED = os.environ.get("FASTMESH_CONFORMANCE_TIMED") == "1"
_FRAMES = 30_000  # for each connection
_CONNECTIONS = 5  # at least, one after the other: being cut once must not be the end of it
_MOST_CONNECTIONS = 20_000 if TIMED else 5_000
# An attack goes on until the probe has asked so often: before that, "nothing wrong" means nothing.
_ASKED = 400 if TIMED else 100
_MOST_SECONDS = 60.0
_GROWTH_KIB = 5 * 1024
_WORST_MS = 100.0


@dataclass(frozen=True)
class Outcome:
    """How one connection of the attacker went."""

    sent: int
    size: int
    verdict: str
    cut: bool

    def __str__(self) -> str:
        return f"{self.verdict} ({self.sent} of {self.size} bytes sent)"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(start: StartProxy, nginx: Nginx, attack: Attack, say: Say) -> None:
    """One kind, over and over."""
    port = free_port()
    proxy = _serve(start, nginx, port)
    blob = attack.build(_FRAMES)
    with Probe(port):  # what the first requests allocate is no growth
        _warm_up(port)
    before = proxy.rss_kib()
    _forget_peak(proxy)
    with Probe(port) as probe:
        outcomes = [_run(port, attack, blob) for _ in range(_CONNECTIONS)]
        early = _peak_kib(proxy) - before
        outcomes += _until_asked(port, attack, blob, probe)
        growth = _peak_kib(proxy) - before
    say(
        f"{attack.name}: {len(outcomes)} x {outcomes[0]}; {early} KiB more after "
        f"{_CONNECTIONS}, {growth} after all; {probe.report}"
    )
    assert proxy.process.poll() is None, proxy.log()[-2000:]
    with Probe(port) as after:
        pass
    assert not after.report.wrong, after.report
    assert not probe.report.wrong, probe.report
    assert probe.report.requests >= _ASKED, f"too few to tell: {probe.report}"
    if KIND == ENVOY:
        return  # its memory and what it lets pass are its own business
    assert growth < _GROWTH_KIB, f"grew by {growth} KiB"
    if attack.cut:
        assert all(outcome.cut for outcome in outcomes), "\n".join(map(str, outcomes))
    if TIMED:
        assert probe.report.worst_ms < _WORST_MS, probe.report


def _serve(start: StartProxy, nginx: Nginx, port: int) -> Proxy:
    # The attacker has a cluster of its own: circuit breakers are for the upstream's sake.
    routes = config.route_config("local", config.route("/probe", "calm"), config.route("/", "up"))
    admin = free_port()
    clusters = [config.cluster("up", nginx.port), config.cluster("calm", nginx.port)]
    text = config.bootstrap(admin, [config.listener("web", port, config.hcm(routes))], clusters)
    return start(text, admin)


def _warm_up(port: int) -> None:
    with h2raw.Peer(port) as peer:
        peer.handshake()
        for stream in range(1, 100, 2):
            peer.send(h2raw.headers(stream, h2raw.request("GET", "/attack")))
            peer.wait_for(lambda stream=stream: stream in peer.ended)


def _until_asked(port: int, attack: Attack, blob: bytes, probe: Probe) -> list[Outcome]:
    end = time.monotonic() + _MOST_SECONDS
    outcomes: list[Outcome] = []
    while probe.asked < _ASKED and len(outcomes) < _MOST_CONNECTIONS and time.monotonic() < end:
        outcomes.append(_run(port, attack, blob))
    return outcomes


def _run(port: int, attack: Attack, blob: bytes) -> Outcome:
    # Who does not read shall not have the kernel take it all in for him.
    with h2raw.Peer(port, rcvbuf=None if attack.reads else 4096) as peer:
        peer.handshake(*attack.settings)
        peer.send(h2raw.window_update(0, 1 << 24))
        sent = peer.send(blob, 10.0, read=attack.reads)
        verdict = "carried on"
        if sent < len(blob) and not peer.is_cut:
            verdict = "stopped reading"
        elif not peer.is_cut and not peer.wait_pong(b"the end!", 5.0) and not peer.is_cut:
            verdict = "went silent"
        peer.wait_for(lambda: peer.is_cut, 0.2)
        if peer.is_cut:
            verdict = f"cut, GOAWAY {peer.goaway}, {peer.closed}"
        return Outcome(sent, len(blob), verdict, peer.is_cut)


def _forget_peak(proxy: Proxy) -> None:
    Path(f"/proc/{proxy.pid}/clear_refs").write_text("5")


def _peak_kib(proxy: Proxy) -> int:
    for line in Path(f"/proc/{proxy.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("no VmHWM")
