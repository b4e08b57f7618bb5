"""`mesh bench control`"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench import certificates, environment
from bench.control.measure import MIB, Figures, Setup, measure
from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

READY_MADE = "bench.control.ready_made:ReadyMade"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="mesh bench control",
        description="Measures the control plane with simulated sidecars: real delta ADS streams"
        " from another process, on another core.",
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
    """0: measured; 2: could not. A missed bar is no error."""
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
    try:
        environment.require_two_cores()
        certificates.make()
        figures = measure(setup)
    except BenchError as error:
        print(f"mesh bench control: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mesh bench control: interrupted", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps({"setup": asdict(setup), "figures": asdict(figures)}, indent=1))
    else:
        print(table(setup, figures))
    return 0


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
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{what:<{width}}  {value:>9}  {bar}".rstrip() for what, value, bar in rows)
