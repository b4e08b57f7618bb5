"""The load generator and the origin servers: built on demand, run on their core."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.loads import AnyLoad
from bench.paths import CACHE, LOADGEN
from bench.processes import LOAD_CORE, pinned, stop

TARGET = CACHE / "loadgen-target"


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


def run(binary: Path, port: int, load: AnyLoad, *limits: str) -> LoadResult:
    """Runs a load; `limits` say when it ends, as `--duration 2` or `--requests 1000`."""
    command = [*_command(binary, port, load), *limits]
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


def _command(binary: Path, port: int, load: AnyLoad) -> list[str]:
    return [str(binary), load.command, "--target", f"127.0.0.1:{port}", *load.arguments()]


@contextlib.contextmanager
def idle_connections(binary: Path, port: int, load: AnyLoad) -> Iterator[IdleConnections]:
    process = subprocess.Popen(
        pinned(LOAD_CORE, [*_command(binary, port, load), "--idle"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield IdleConnections(process)
    finally:
        stop(process)


@dataclass(frozen=True)
class Origins:
    """The origin servers that run."""

    #: By what they speak: h1, h2, tcp, websocket.
    ports: Mapping[str, int]
    pids: tuple[int, ...]


@contextlib.contextmanager
def origins(binary: Path) -> Iterator[Origins]:
    """Runs the origin servers: HTTP/1.1 in one process, all others in a second."""
    with _origin(binary, "upstream") as (h1, h1_pid), _origin(binary, "origins") as (others, pid):
        yield Origins({"h1": h1["port"], **others}, (h1_pid, pid))


@contextlib.contextmanager
def _origin(binary: Path, command: str) -> Iterator[tuple[dict[str, int], int]]:
    process = subprocess.Popen(
        pinned(LOAD_CORE, [str(binary), command]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError("the origin server does not start")
        yield json.loads(line), process.pid
    finally:
        stop(process)
