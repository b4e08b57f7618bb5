"""`mesh bench [scenario...]`, `mesh bench control`"""

import argparse
import json
import resource
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench import certificates, environment, loadgen, peer, runner, scenario, table
from bench.errors import BenchError
from bench.measure import Rig
from bench.paths import RESULTS
from bench.report import data, page
from bench.summary import ScenarioSummary

PEERS = "ours,envoy,nginx,haproxy,direct"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="mesh bench",
        description="Measures the same work through us, Envoy, nginx and HAProxy, in turns.",
        epilog="scenarios: "
        + ", ".join(scenario.discover())
        + ". `mesh bench control` measures the control plane.",
    )
    made.add_argument("scenarios", nargs="*", metavar="scenario", help="default: all")
    made.add_argument("--peers", default=PEERS, help="default: %(default)s")
    made.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    made.add_argument("--duration", type=float, default=3.0, help="seconds of each load")
    made.add_argument("--patience", type=int, default=2, help="reruns of a disturbed round")
    made.add_argument("--quick", action="store_true", help="1 round of 1 s: does it work at all?")
    made.add_argument("--out", type=Path, default=RESULTS, help="default: %(default)s")
    return made


def main(argv: Sequence[str]) -> int:
    """0: all peers did the work; 1: one did not; 2: could not run. A missed bar is no error."""
    if argv and argv[0] == "control":
        from bench.control.cli import main as control

        raise_file_limit()
        return control(argv[1:])
    options = parser().parse_args(argv)
    if options.quick:
        options.rounds, options.duration, options.patience = 1, 1.0, 0
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        summaries = bench(options)
    except BenchError as error:
        print(f"mesh bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mesh bench: interrupted", file=sys.stderr)
        return 130
    failed = any(found.failure for one in summaries for found in one.peers.values())
    return 1 if failed else 0


def bench(options: argparse.Namespace) -> list[ScenarioSummary]:
    environment.require_two_cores()
    scenarios = scenario.choose(options.scenarios)
    peers = peer.choose(options.peers.split(","))
    raise_file_limit()
    tell("building the load generator, installing peers (only the first time)")
    generator = loadgen.build()
    for one in peers:
        one.prepare()
    facts = environment.describe(peers)
    summaries = []
    certificates.make()
    with loadgen.origins(generator) as origins:
        rig = Rig(generator, origins, options.duration)
        for chosen in scenarios:
            summary = runner.run(chosen, peers, rig, options.rounds, options.patience, tell)
            summaries.append(summary)
            print(table.render(summary), end="\n\n", flush=True)
    settings = {"rounds": options.rounds, "duration": options.duration}
    write(options.out, facts, settings, summaries)
    return summaries


def write(
    folder: Path,
    facts: dict[str, str],
    settings: dict[str, float],
    summaries: list[ScenarioSummary],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    document = data.document(facts, dict(settings), summaries)
    stem.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    stem.with_suffix(".html").write_text(page.render(facts, summaries))
    print(f"{stem}.json\n{stem}.html")


def raise_file_limit() -> None:
    """Ten thousand connections need as many files, here and in what we start."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Lets every `with` on the stack stop what it started."""
    raise KeyboardInterrupt
