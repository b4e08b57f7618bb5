"""The command: flags, both parts, the end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from mesh.demo import ingress, pair
from mesh.demo.show import Failed, Show
from mesh.demo.stage import Stage

DESCRIPTION = "Services, sidecars and traffic, explained step by step."


def main(argv: list[str]) -> int:
    """Exit code 0 if every check was good."""
    parser = argparse.ArgumentParser(prog="mesh demo", description=DESCRIPTION)
    parser.add_argument("--once", action="store_true", help="end after the last check")
    parser.add_argument(
        "--examples", type=Path, default=Path("examples"), help="the folder (default: ./examples)"
    )
    parser.add_argument(
        "--proxy",
        help="the path of another proxy to show, e.g. the stock Envoy: same configuration",
    )
    options = parser.parse_args(argv)
    if not (options.examples / "envoy.yaml").is_file():
        print(
            f"mesh demo: there is no {options.examples}/envoy.yaml. Run it at the root of the "
            "repository, or say where that folder is: --examples DIRECTORY",
            file=sys.stderr,
        )
        return 1
    proxy = [sys.executable, "-m", "mesh.cli", "proxy"]
    if options.proxy:
        proxy = [os.path.abspath(options.proxy)]
    show = Show(sys.stdout)
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="mesh-demo-") as directory:
        stage = Stage(Path(directory), proxy, show)
        try:
            _run(stage, options.examples, options.once)
        except Failed as error:
            show.check(False, str(error))
        except KeyboardInterrupt:
            show.say("\nStopping.")
            show.failures += options.once
        finally:
            stage.clean_up()
    if show.failures:
        show.say(f"\nNot everything worked: {show.failures} FAILED or not reached.")
        return 1
    show.say("\nAll checks passed." if options.once else "Cleaned up.")
    return 0


def _run(stage: Stage, examples: Path, once: bool) -> None:
    """Raises Failed."""
    stage.set_up(examples)
    ingress.tour(stage)
    pair.tour(stage)
    if not once:
        _stay(stage)
    stage.show.step("SIGTERM: drain, then end")
    for sidecar in stage.sidecars:
        code = sidecar.stop()
        stage.show.check(code == 0, f"{sidecar.name}: exit code {code}")


def _stay(stage: Stage) -> None:
    port = stage.port
    base, admin = f"http://127.0.0.1:{port['ingress']}", f"http://127.0.0.1:{port['ingress admin']}"
    first = stage.sidecars[0]
    stage.show.say(
        f"\nIt stays up until Ctrl-C. Try:\n"
        f"   curl -i {base}/users/42\n"
        f"   curl -i {base}/hello\n"
        f"   curl {admin}/help\n"
        f"   curl {admin}/config_dump?resource=dynamic_route_configs\n"
        f"Change the routes, under load if you like (a move, not a write in place, as in Envoy):\n"
        f"   cd {stage.directory}/examples && cp routes-2.yaml next && mv next routes.yaml\n"
        f"Through the pair with mTLS, and what it knows of its certificates:\n"
        f"   curl -i http://127.0.0.1:{port['frontend HTTP']}/42\n"
        f"   curl http://127.0.0.1:{port['backend admin']}/certs\n"
        f"Log: {first.log('stderr')}, access log: {first.log('stdout')}"
    )
    while all(sidecar.is_running() for sidecar in stage.sidecars):
        time.sleep(0.2)
    ended = [sidecar for sidecar in stage.sidecars if not sidecar.is_running()]
    raise Failed(f"{ended[0].name} has ended; see {ended[0].log('stderr')}")


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
