"""The command: flags, the parts, the end."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from mesh.demo import ingress, pair, tour
from mesh.demo.show import Failed, Show
from mesh.demo.stage import Stage
from mesh.demo.town import Town, proxy_line

DESCRIPTION = (
    "A mesh of programs on this machine, then sidecars that read files; traffic through all of it,"
    " explained step by step."
)
#: Ports of the mesh, as they are printed; others are taken where these are.
_PORTS = {
    "secure": 15012,
    "join": 15011,
    "debug": 15014,
    "gateway": 8080,
    "intern proxy": 10081,
    "productpage proxy": 10082,
}


def main(argv: list[str]) -> int:
    """Exit code 0 if every check was good."""
    parser = argparse.ArgumentParser(prog="mesh demo", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--once", action="store_true", help="end after the last check")
    parser.add_argument(
        "--examples", type=Path, default=Path("examples"), help="the folder (default: ./examples)"
    )
    parser.add_argument(
        "--only", choices=("mesh", "proxy"), help="one part: the mesh, or the sidecars with files"
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
        ports = {name: stage.choose(name, port) for name, port in _PORTS.items()}
        town = Town(Path(directory), proxy_line(options.proxy), show, ports)
        try:
            if options.only != "proxy":
                town.set_up(options.examples)
                tour.tour(town)
            if options.only != "mesh":
                stage.set_up(options.examples)
                ingress.tour(stage)
                pair.tour(stage)
            if not options.once:
                _stay(stage, town)
            _end(stage, town)
        except Failed as error:
            show.check(False, str(error))
        except KeyboardInterrupt:
            show.say("\nStopping.")
            show.failures += options.once
        finally:
            town.clean_up()
            stage.clean_up()
    if show.failures:
        show.say(f"\nNot everything worked: {show.failures} FAILED or not reached.")
        return 1
    show.say("\nAll checks passed." if options.once else "Cleaned up.")
    return 0


def _end(stage: Stage, town: Town) -> None:
    """Everything is told to end, and must do so by itself."""
    stage.show.step("SIGTERM: drain, then end")
    for name, code in town.clean_up():
        if code:
            stage.show.check(False, f"{name}: exit code {code}")
    for sidecar in stage.sidecars:
        code = sidecar.stop()
        stage.show.check(code == 0, f"{sidecar.name}: exit code {code}")
    stage.show.check(True, "all programs of the mesh have ended")


def _stay(stage: Stage, town: Town) -> None:
    """Until Ctrl-C. Raises Failed if something ends by itself."""
    stage.show.say("\nIt stays up until Ctrl-C. Try:")
    if town.programs:
        port, folder = town.port, town.directory
        base = f"http://127.0.0.1:{port['gateway']}"
        for line in _shell(town):
            stage.show.say(f"   {line}")
        stage.show.say(
            f"   curl {base}/productpage\n"
            f"   curl {base}/api/v1/products/0/reviews -H 'end-user: jason'\n"
            "   mesh get all\n"
            "   mesh apply -f bookinfo/reviews-v1.yaml --wait\n"
            "   mesh status\n"
            "   mesh proxy-config routes productpage-v1 --fqdn reviews\n"
            "   mesh analyze\n"
            f"   curl -x http://127.0.0.1:{port['intern proxy']} http://ratings:9080/ratings/0\n"
            f"Logs of all programs and their sidecars: {folder}/*.log"
        )
    if stage.sidecars:
        base = f"http://127.0.0.1:{stage.port['ingress']}"
        admin = f"http://127.0.0.1:{stage.port['ingress admin']}"
        stage.show.say(
            f"   curl -i {base}/users/42\n"
            f"   curl {admin}/help\n"
            f"   curl {admin}/config_dump?resource=dynamic_route_configs\n"
            f"Change its routes, under load if you like (by a move, as with Envoy):\n"
            f"   cd {stage.directory}/examples && cp routes-2.yaml next && mv next routes.yaml\n"
            f"   curl http://127.0.0.1:{stage.port['backend admin']}/certs"
        )
    while True:
        for sidecar in stage.sidecars:
            if not sidecar.is_running():
                raise Failed(f"{sidecar.name} has ended; see {sidecar.log('stderr')}")
        for program in town.programs.values():
            if program.process.poll() is not None:
                raise Failed(f"{program.name} has ended; see {program.log}")
        time.sleep(0.2)


def _shell(town: Town) -> list[str]:
    """What another shell needs so that all commands work there as they are printed."""
    control = f"http://127.0.0.1:{town.port['debug']}"
    folders = f"MESH_CONFIG={town.config} MESH_STATE={town.state}"
    lines = [f"cd {town.directory}", f"export {folders} MESH_CONTROL={control}"]
    here = os.path.dirname(os.path.abspath(sys.executable))
    if shutil.which("mesh") is None and os.access(f"{here}/mesh", os.X_OK):
        lines.append(f"export PATH={here}:$PATH")
    return lines


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
