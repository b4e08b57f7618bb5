"""A proxy process: ours, or any that takes Envoy's configuration and flags."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mesh.demo.client import Client
from mesh.demo.show import Failed, wait_for


class Sidecar:
    """Started in `directory` on `examples/NAME.yaml`; its output is NAME.stdout and NAME.stderr.

    Raises Failed if it cannot be started.
    """

    def __init__(self, name: str, command: list[str], directory: Path, admin: int) -> None:
        self.name = name
        self.admin = admin
        self.command = [*command, "-c", f"examples/{name}.yaml", "--drain-time-s", "10"]
        self._directory = directory
        with self.log("stdout").open("wb") as out, self.log("stderr").open("wb") as err:
            # A session of its own: Ctrl-C is for the demo, which then ends the proxy.
            try:
                self._process = subprocess.Popen(
                    self.command, cwd=directory, stdout=out, stderr=err, start_new_session=True
                )
            except OSError as error:
                raise Failed(f"cannot start {name}: {error.filename}: {error.strerror}") from None

    def wait_ready(self) -> None:
        """Raises Failed, with what it said, if it ends."""
        wait_for(f"{self.name} to be ready; see {self.log('stderr')}", self._ready)

    def _ready(self) -> bool:
        code = self._process.poll()
        if code is not None:
            said = self.log("stderr").read_text(errors="replace")[-2000:]
            raise Failed(f"{self.name} ended with exit code {code}:\n{said}")
        try:
            return self.ask_admin("/ready").startswith("LIVE")
        except OSError:
            return False

    def ask_admin(self, path: str) -> str:
        client = Client(self.admin)
        try:
            return client.get(path)[2]
        finally:
            client.close()

    def stat(self, name: str) -> str:
        for line in self.ask_admin(f"/stats?filter=^{name}$").splitlines():
            if line.startswith(f"{name}: "):
                return line.partition(": ")[2].strip('"')
        return ""

    def log(self, stream: str) -> Path:
        return self._directory / f"{self.name}.{stream}"

    def log_lines(self, stream: str, containing: str) -> list[str]:
        lines = self.log(stream).read_text(errors="replace").splitlines()
        return [line for line in lines if containing in line]

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> int:
        """SIGTERM, and SIGKILL if it takes too long. Returns the exit code."""
        if self.is_running():
            self._process.terminate()
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
