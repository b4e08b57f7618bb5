"""A client that asks every few milliseconds, over HTTP/1.1 and HTTP/2, and keeps what went wrong.

It runs as a process of its own (`python -m tests.support.probe PORT PATH h1,h2`), so that no other
thread delays it, and reports when its standard input is closed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from tests.support import h2raw
from tests.support.client import Connection
from tests.support.proxies import REPO, die_with_parent

_EVERY = 0.005
_PATIENCE = 10.0  # then an answer counts as missing
_MANY = 20  # wrong answers worth keeping


@dataclass(frozen=True)
class Report:
    """What the probe saw. Times are in milliseconds."""

    requests: int
    wrong: list[str]
    worst_ms: float
    median_ms: float

    def __str__(self) -> str:
        times = f"worst {self.worst_ms:.1f} ms, median {self.median_ms:.2f} ms"
        return f"probe: {self.requests} requests, {len(self.wrong)} wrong, {times}"


class Probe:
    """The process. Use as a context manager; `report` is there after leaving it."""

    def __init__(self, port: int, path: str = "/probe", protocols: str = "h1,h2") -> None:
        self._argv = [sys.executable, "-m", "tests.support.probe", str(port), path, protocols]
        self._report: Report | None = None
        self._asked = 0
        self._last = ""
        self._begun = threading.Event()

    @property
    def report(self) -> Report:
        """Its findings."""
        assert self._report is not None, "the probe is still running"
        return self._report

    @property
    def asked(self) -> int:
        """About how many requests it has made so far."""
        return self._asked

    def __enter__(self) -> Probe:
        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPO,
            preexec_fn=die_with_parent,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._begun.wait(60), "the probe gets no answer"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._reader.join(60)
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._report = Report(**json.loads(self._last))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._last = line
            if line.strip().isdigit():
                self._asked = int(line)
                self._begun.set()


class _Http1:
    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: probe.test\r\n\r\n".encode()
        self._conn: Connection | None = None

    def ask(self) -> str | None:
        """None if the answer was 200, else what went wrong."""
        try:
            if self._conn is None:
                self._conn = Connection(self._port)
            conn = self._conn
            conn.raw, conn.methods = b"", ["GET"]
            conn.send(self._request)
            conn.wait_for(1, _PATIENCE)
            finals = conn.exchange().finals
            if not finals or not finals[0].complete:
                self._drop()
                return f"h1: no answer in {_PATIENCE} s; {conn.closed}"
            if "close" in (finals[0].get("connection") or "") or conn.closed != "open":
                self._drop()
            return None if finals[0].status == 200 else f"h1: {finals[0].start}"
        except OSError as error:
            self._drop()
            return f"h1: {error!r}"

    def _drop(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None


class _Http2:
    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._block = h2raw.request("GET", path, "probe.test")
        self._peer: h2raw.Peer | None = None
        self._stream = 1

    def ask(self) -> str | None:
        """None if the answer was 200, else what went wrong."""
        try:
            if self._peer is None:
                self._peer, self._stream = h2raw.Peer(self._port), 1
                # No window ever runs out: what comes back is small and the connection is replaced.
                self._peer.handshake((h2raw.INITIAL_WINDOW, 1 << 20))
                self._peer.send(h2raw.window_update(0, (1 << 31) - 1 - 65535))
            peer, stream = self._peer, self._stream
            peer.send(h2raw.headers(stream, self._block))
            answered = peer.wait_for(
                lambda: stream in peer.ended or stream in peer.resets, _PATIENCE
            )
            self._stream += 2
            status, reset = peer.statuses.get(stream), peer.resets.get(stream)
            if peer.is_cut or not answered:
                self._drop()
            if status == "200" and reset is None and answered:
                return None
            return f"h2: status {status}, reset {reset}, {peer.closed}, GOAWAY {peer.goaway}"
        except OSError as error:
            self._drop()
            return f"h2: {error!r}"

    def _drop(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None


def main(port: int, path: str, protocols: str) -> None:
    """Ask until standard input is closed, then print the report."""
    gc.disable()
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    kinds = {"h1": _Http1, "h2": _Http2}
    clients = [kinds[name](port, path) for name in protocols.split(",")]
    wrong: list[str] = []
    times: list[float] = []
    while not stop.is_set():
        for client in clients:
            begun = time.perf_counter()
            trouble = client.ask()
            times.append(time.perf_counter() - begun)
            if trouble is not None and len(wrong) < _MANY:
                wrong.append(trouble)
        print(len(times), flush=True)
        stop.wait(_EVERY)
    ordered = sorted(times)
    report = Report(len(times), wrong, ordered[-1] * 1000, ordered[len(ordered) // 2] * 1000)
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(report.__dict__))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
