"""The mesh of the demo: a control plane and programs with sidecars, all of this machine."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from mesh.demo.show import Failed, Show, wait_for

MESH = [sys.executable, "-m", "mesh.cli"]
_STOP_SECONDS = 20.0


class Program:
    """A process of the town, with its log."""

    def __init__(self, name: str, command: list[str], directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._told = False
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        """Tells it to end, once: twice would mean at once."""
        if self.process.poll() is None and not self._told:
            self._told = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Exit code; it may drain for a while."""
        self.end()
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Town:
    """Files in `directory`, ports in `port`."""

    def __init__(self, directory: Path, proxy: str, show: Show, ports: dict[str, int]) -> None:
        self.directory = directory
        self.show = show
        self.port = ports
        self.config = directory / "config"
        self.state = directory / "state"
        self.config.mkdir()
        self.programs: dict[str, Program] = {}
        self._proxy = proxy

    def set_up(self, examples: Path) -> None:
        """The control plane, ready, and the examples."""
        shutil.copytree(examples / "bookinfo", self.directory / "bookinfo")
        self.start_control()

    def start_control(self, *flags: str) -> None:
        """The control plane, ready."""
        addresses = [
            part
            for name in ("secure", "join", "debug")
            for part in (f"--{name}-address", f"127.0.0.1:{self.port[name]}")
        ]
        folders = ["--config", str(self.config), "--state", str(self.state)]
        self._start("control", ["control", *folders, *addresses, *flags])
        control = self.programs["control"]

        def ready() -> bool:
            if control.process.poll() is not None:
                raise Failed(f"mesh control has ended: {control.said().strip()[-2000:]}")
            return self.get_debug("/ready") is not None

        wait_for("the control plane", ready)

    def apply(self, name: str) -> None:
        """`mesh apply -f NAME`."""
        self.show.say(f"   $ mesh apply -f bookinfo/{name}")
        self.command("apply", "--config", str(self.config), "-f", str(self.file(name)))

    def file(self, name: str) -> Path:
        """One of the examples."""
        return self.directory / "bookinfo" / name

    def command(self, *arguments: str) -> str:
        """Runs `mesh`; its output. Raises Failed."""
        done = subprocess.run([*MESH, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"mesh {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def join(self, name: str, account: str, labels: list[str], namespace: str) -> Path:
        """A join file for one workload. `labels`: what it may call itself, as flags."""
        path = self.directory / f"{name}.join"
        # Of one that was here before; its token is used.
        path.unlink(missing_ok=True)
        self.command(
            "token", "create", "--state", str(self.state), "-n", namespace,
            "--service-account", account, *labels, "--control", f"127.0.0.1:{self.port['secure']}",
            "--join", f"127.0.0.1:{self.port['join']}", "-o", str(path),
        )  # fmt: skip
        return path

    def run(
        self,
        name: str,
        account: str,
        labels: list[str],
        flags: list[str],
        command: list[str],
        namespace: str = "default",
    ) -> None:
        """A program in the mesh; ready when `wait` says so."""
        join = self.join(name, account, labels, namespace)
        proxy = ["--proxy", self._proxy] if self._proxy else []
        tail = ["--", *command] if command else []
        self._start(name, ["run", "--join", str(join), *proxy, *labels, *flags, *tail])

    def wait(self) -> None:
        """Until all programs are in the mesh. Raises Failed."""
        for program in self.programs.values():
            if program.name == "control":
                continue

            def ready(program: Program = program) -> bool:
                if program.process.poll() is not None:
                    raise Failed(f"{program.name} has ended: {program.said().strip()[-2000:]}")
                return "is in the mesh" in program.said()

            wait_for(program.name, ready)

    def get_debug(self, path: str) -> object:
        """What the status port says; None if it says nothing."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port["debug"], timeout=5)
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            connection.close()
        except OSError:
            return None
        if response.status != 200:
            return None
        found: object = json.loads(body) if path.startswith("/debug") else body.decode()
        return found

    def clean_up(self) -> list[tuple[str, int]]:
        """Ends everything, the control plane last; name and exit code of each."""
        ordered = sorted(self.programs.values(), key=lambda one: one.name == "control")
        for program in ordered:
            if program.name != "control":
                program.end()
        codes = [(program.name, program.stop()) for program in ordered]
        self.programs.clear()
        return codes

    def _start(self, name: str, arguments: list[str]) -> None:
        self.programs[name] = Program(name, [*MESH, *arguments], self.directory)


def proxy_line(proxy: str | None) -> str:
    """What `mesh run --proxy` is to run; "" is our own sidecar."""
    if proxy is None:
        return ""
    # Envoys of one machine need base ids of their own; a demo need not drain for ten minutes.
    return f"{os.path.abspath(proxy)} --use-dynamic-base-id -l warning --drain-time-s 1"
