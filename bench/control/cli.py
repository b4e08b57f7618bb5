"""`mesh bench control`, and its scenarios `route-change` and `continuous-change`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench import certificates, environment
from bench.control import continuous_change, route_change
from bench.control.measure import MIB, Figures, Setup, measure
from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Rows = Sequence[tuple[str, str, str]]

READY_MADE = "bench.control.ready_made:ReadyMade"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="mesh bench control",
        description="Measures the control plane with simulated sidecars: real delta ADS streams"
        " from another process, on another core.",
        epilog="further scenarios, with sidecars of ours that carry traffic:"
        f" {', '.join(SCENARIOS)}; `mesh bench control SCENARIO --help` says more",
    )
    made.add_argument("--sidecars", type=int, default=1000, help="default: %(default)s")
    made.add_argument(
        "--connections", type=int, help="TCP connections they share; default: one each"
    )
    made.add_argument("--services", type=int, default=200, help="default: %(default)s")
    made.add_argument("--endpoints", type=int, default=5, help="a service; default: %(default)s")
    made.add_argument("--changes", type=int, default=20, help="default: %(default)s")
    made.add_argument("--debounce", type=float, default=0.1, help="seconds; default: %(default)s")
    made.add_argument(
        "--stage",
        default=READY_MADE,
        metavar="MODULE:CLASS",
        help="what translates: a class of (services, endpoints) with world, translator and"
        " change_endpoint(); default: %(default)s, which has its resources ready",
    )
    made.add_argument(
        "--plaintext", action="store_true", help="without TLS (default: certificates on both sides)"
    )
    made.add_argument("--json", action="store_true", help="figures as JSON")
    return made


def main(argv: Sequence[str]) -> int:
    """0: measured; 1: requests were lost; 2: could not. A bar that is missed is no error."""
    if argv and argv[0] in SCENARIOS:
        return SCENARIOS[argv[0]](argv[1:])
    options = parser().parse_args(argv)
    setup = Setup(
        stage=options.stage,
        services=options.services,
        endpoints=options.endpoints,
        sidecars=options.sidecars,
        connections=options.connections or options.sidecars,
        debounce=options.debounce,
        changes=options.changes,
        security="plaintext" if options.plaintext else "tls",
    )

    def work() -> int:
        certificates.make()
        figures = measure(setup)
        if options.json:
            print(json.dumps({"setup": asdict(setup), "figures": asdict(figures)}, indent=1))
        else:
            print(table(setup, figures))
        return 0

    return _tried(work)


def _route_change(argv: Sequence[str]) -> int:
    made = argparse.ArgumentParser(
        prog="mesh bench control route-change",
        description="A VirtualService is replaced again and again: how long until the traffic of"
        " our own sidecars follows, while simulated ones follow as well. Twice: with the debounce,"
        " and with none.",
    )
    made.add_argument("--sidecars", type=int, default=100, help="in all; default: %(default)s")
    made.add_argument(
        "--carrying",
        type=int,
        default=3,
        help="of these our own, with traffic, the others are simulated; default: %(default)s",
    )
    made.add_argument("--services", type=int, default=50, help="others; default: %(default)s")
    made.add_argument("--changes", type=int, default=200, help="default: %(default)s")
    made.add_argument("--debounce", type=float, default=0.1, help="seconds; default: %(default)s")
    made.add_argument("--json", action="store_true", help="figures as JSON")
    options = made.parse_args(argv)
    if not 0 < options.carrying < options.sidecars:
        made.error("--carrying must be at least 1, and less than --sidecars")

    def work() -> int:
        setups = [
            route_change.Setup(
                options.sidecars, options.carrying, options.services, options.changes, debounce
            )
            for debounce in dict.fromkeys((options.debounce, 0.0))
        ]
        found = [(one, route_change.measure(one)) for one in setups]
        if options.json:
            each = [{"setup": asdict(one), "figures": asdict(figures)} for one, figures in found]
            print(json.dumps(each, indent=1))
        else:
            print(_aligned([row for one, figures in found for row in _followed(one, figures)]))
        return int(any(figures.errors or figures.went_back for _, figures in found))

    return _tried(work)


def _continuous_change(argv: Sequence[str]) -> int:
    made = argparse.ArgumentParser(
        prog="mesh bench control continuous-change",
        description="Requests through two sidecars while routes, endpoints and certificates change"
        " all the time: what was not answered as it should be.",
    )
    made.add_argument("--requests", type=int, default=1_000_000, help="default: %(default)s")
    made.add_argument(
        "--seconds", type=float, default=900.0, help="the most it may take; default: %(default)s"
    )
    made.add_argument("--connections", type=int, default=32, help="default: %(default)s")
    made.add_argument(
        "--no-retries", action="store_true", help="without Istio's default policy for retries"
    )
    made.add_argument("--json", action="store_true", help="figures as JSON")
    options = made.parse_args(argv)
    setup = continuous_change.Setup(
        options.requests, options.seconds, options.connections, not options.no_retries
    )

    def work() -> int:
        figures = continuous_change.measure(setup)
        if options.json:
            print(json.dumps({"setup": asdict(setup), "figures": asdict(figures)}, indent=1))
        else:
            print(_aligned(_counted(figures)))
        return int(bool(figures.wrong))

    return _tried(work)


SCENARIOS: dict[str, Callable[[Sequence[str]], int]] = {
    "route-change": _route_change,
    "continuous-change": _continuous_change,
}


def _tried(work: Callable[[], int]) -> int:
    try:
        environment.require_two_cores()
        return work()
    except BenchError as error:
        print(f"mesh bench control: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mesh bench control: interrupted", file=sys.stderr)
        return 130


def table(setup: Setup, figures: Figures) -> str:
    """For people, with the bars."""
    count = setup.sidecars
    memory = figures.per_sidecar(count) / MIB
    ratio = figures.peak_rss / figures.steady_rss
    rows = (
        (f"one endpoint change, acknowledged by {count} streams, median",
         f"{figures.change_median * 1000:.0f} ms", "≤ 1000 ms"),
        ("  the slowest", f"{figures.change_worst * 1000:.0f} ms", ""),
        ("  of that, debounce", f"{setup.debounce * 1000:.0f} ms", ""),
        ("  CPU of the control plane", f"{figures.change_cpu * 1000:.0f} ms", ""),
        (f"{count} connect, full state of {setup.services} services",
         f"{figures.first_connect:.1f} s", ""),
        (f"{count} reconnect at once, full state of {setup.services} services",
         f"{figures.reconnect:.1f} s", "≤ 15 s"),
        ("  most memory meanwhile, against steady", f"{ratio:.2f} times", "≤ 2"),
        ("memory per connected sidecar", f"{memory:.3f} MiB", "≤ 0.15 MiB"),
        ("memory without sidecars", f"{figures.base_rss / MIB:.0f} MiB", ""),
    )  # fmt: skip
    return _aligned(rows)


def _followed(setup: route_change.Setup, figures: route_change.Figures) -> Rows:
    beyond = [f"{(one - setup.debounce) * 1000:.0f} ms" for one in (figures.p50, figures.p99)]
    mesh = f"{setup.sidecars} sidecars ({setup.carrying} with traffic)"
    return (
        (f"route change, {mesh}, debounce {setup.debounce * 1000:.0f} ms, p50",
         f"{figures.p50 * 1000:.0f} ms", ""),
        ("  p99", f"{figures.p99 * 1000:.0f} ms", ""),
        ("  the slowest", f"{figures.worst * 1000:.0f} ms", ""),
        ("  beyond the debounce, p50", beyond[0], ""),
        ("  beyond the debounce, p99", beyond[1], "≤ 60 ms"),
        (f"  of {figures.requests} requests failed", f"{figures.errors}", "0"),
        ("  answers of the old version behind the new", f"{figures.went_back}", "0"),
    )  # fmt: skip


def _counted(figures: continuous_change.Figures) -> Rows:
    wrong = sum(figures.wrong.values())
    return (
        ("requests answered as they should be", f"{figures.good}", ""),
        ("all others", f"{wrong}", "0"),
        *((f"  {kind}", f"{count}", "") for kind, count in figures.wrong.items()),
        ("attempts that were repeated", f"{figures.retries}", ""),
        *((f"requests to {version}", f"{n}", "") for version, n in figures.versions.items()),
        *((kind, f"{count}", "") for kind, count in figures.changes.items()),
    )  # fmt: skip


def _aligned(rows: Rows) -> str:
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{what:<{width}}  {value:>9}  {bar}".rstrip() for what, value, bar in rows)
