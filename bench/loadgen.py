"""The load generator and the origin server: built on demand, run on their core."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.paths import CACHE, LOADGEN
from bench.processes import LOAD_CORE, pinned, stop

TARGET = CACHE / "loadgen-target"


@dataclass(frozen=True)
class Load:
    """What a run of the generator sends."""

    connections: int
    path: str = "/small"
    path_count: int = 1
    expect_body: int | None = None
    body_size: int = 0
    rate: int | None = None
    new_connections: bool = False

    def arguments(self) -> list[str]:
        words = ["--connections", str(self.connections), "--path", self.path]
        words += ["--path-count", str(self.path_count)]
        if self.expect_body is not None:
            words += ["--expect-body", str(self.expect_body)]
        if self.body_size:
            words += ["--body-size", str(self.body_size)]
        if self.rate is not None:
            words += ["--rate", str(self.rate)]
        if self.new_connections:
            words.append("--new-connection-per-request")
        return words


@dataclass(frozen=True)
class LoadResult:
    """What the generator saw."""

    ok: int
    rps: float
    statuses: dict[str, int]
    errors: dict[str, int]
    mismatches: int
    unfinished: int
    latency_us: dict[str, float]
    lag_us: dict[str, float]
    own_cpu_us: float

    @classmethod
    def parse(cls, text: str) -> "LoadResult":
        raw: dict[str, Any] = json.loads(text)
        return cls(
            ok=raw["ok"],
            rps=raw["rps"],
            statuses=raw["statuses"],
            errors=raw["errors"],
            mismatches=raw["mismatches"],
            unfinished=raw["unfinished"],
            latency_us=raw["latency_us"],
            lag_us=raw["lag_us"],
            own_cpu_us=raw["own_cpu_seconds"] * 1e6,
        )


def build() -> Path:
    """Builds the generator, which takes some seconds the first time; returns its path."""
    if not LOADGEN.exists():
        raise BenchError(f"{LOADGEN} is missing: run `python -m bench` in a checkout")
    command = ["cargo", "build", "--release", "--locked", "--quiet"]
    command += ["--manifest-path", str(LOADGEN / "Cargo.toml"), "--target-dir", str(TARGET)]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        raise BenchError("cargo is needed to build the load generator: https://rustup.rs") from None
    except subprocess.CalledProcessError:
        raise BenchError("the load generator does not build (see above)") from None
    return TARGET / "release" / "loadgen"


def run(binary: Path, port: int, load: Load, *limits: str) -> LoadResult:
    """Runs a load; `limits` say when it ends, as `--duration 2` or `--requests 1000`."""
    command = [str(binary), "load", "--target", f"127.0.0.1:{port}", *load.arguments(), *limits]
    done = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(done.stderr.strip())
    return LoadResult.parse(done.stdout)


class IdleConnections:
    """Connections that have each carried one request, and are held."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.opened = self._report()

    def close(self) -> LoadResult:
        """Ends them; what was lost while they were held is among the errors."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._report()

    def _report(self) -> LoadResult:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError("the generator could not open that many connections")
        return LoadResult.parse(line.decode())


@contextlib.contextmanager
def idle_connections(binary: Path, port: int, count: int) -> Iterator[IdleConnections]:
    command = [str(binary), "load", "--target", f"127.0.0.1:{port}", "--idle"]
    command += ["--connections", str(count), "--path", "/small", "--expect-body", "12"]
    process = subprocess.Popen(
        pinned(LOAD_CORE, command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield IdleConnections(process)
    finally:
        stop(process)


@contextlib.contextmanager
def origin(binary: Path) -> Iterator[tuple[int, int]]:
    """Runs the origin server; gives its port and its process id."""
    process = subprocess.Popen(
        pinned(LOAD_CORE, [str(binary), "upstream"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError("the origin server does not start")
        yield json.loads(line)["port"], process.pid
    finally:
        stop(process)
