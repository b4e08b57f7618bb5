"""curl, wrk and h2load, as subprocesses with their answers parsed."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass


@dataclass
class Curl:
    """What curl got."""

    code: int
    body: bytes
    headers: str


def curl(*args: str, timeout: float = 120) -> Curl:
    """Run curl; raises if it fails."""
    argv = ["curl", "-sS", "-D", "/dev/stderr", "-w", "%{stderr}\n@@%{http_code}", *args]
    done = subprocess.run(argv, capture_output=True, timeout=timeout, check=True)
    head = done.stderr.decode("latin-1")
    code = int(head.rsplit("@@", 1)[1])
    return Curl(code, done.stdout, head.rsplit("\n@@", 1)[0])


@dataclass
class Wrk:
    """What wrk reports."""

    requests: int
    bad_status: int
    socket_errors: int


def wrk(url: str, connections: int = 16, seconds: int = 1) -> Wrk:
    """Saturate for a moment."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url]
    text = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True).stdout
    requests = re.search(r"(\d+) requests in", text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    return Wrk(
        int(requests[1]) if requests else 0,
        int(bad[1]) if bad else 0,
        sum(map(int, errors.groups())) if errors else 0,
    )


def h2load(url: str, requests: int, connections: int = 16, *args: str) -> dict[str, int]:
    """h2load over HTTP/1.1: how many requests succeeded, failed, errored, by status class."""
    argv = ["h2load", "--h1", "-n", str(requests), "-c", str(connections), *args, url]
    text = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=True).stdout
    counts = {name: int(n) for n, name in re.findall(r"(\d+) (succeeded|failed|errored)", text)}
    return counts | {name: int(n) for n, name in re.findall(r"(\d+) (2xx|3xx|4xx|5xx)", text)}
