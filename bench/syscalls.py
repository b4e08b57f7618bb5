"""Counts system calls with strace, in a run of its own: tracing slows a proxy several times."""

import contextlib
import os
import shutil
import signal
import subprocess
from time import sleep

from bench import loadgen
from bench.loads import AnyLoad
from bench.measure import Proxy
from bench.procfs import family

REQUESTS = 4000


def parse_summary(text: str) -> int:
    """The calls in all of `strace -c`."""
    for line in text.splitlines():
        fields = line.split()
        if fields and fields[-1] == "total":
            # % time, seconds, usecs/call, calls, (errors,) total
            return int(fields[3])
    return 0


def per_request(proxy: Proxy, load: AnyLoad) -> float | None:
    """System calls of all the proxy's threads per request; None without a usable strace."""
    strace = shutil.which("strace")
    if strace is None or not proxy.pids:
        return None
    summary = proxy.site.folder / "strace"
    members = [member for pid in proxy.pids for member in family(pid)]
    pids = [word for member in members for word in ("-p", str(member))]
    command = [strace, "-c", "-f", "-qq", "-o", str(summary), *pids]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        sleep(0.5)
        if tracer.poll() is not None:
            return None
        limits = ("--requests", str(REQUESTS), "--duration", "60")
        result = loadgen.run(proxy.rig.generator, proxy.port, load, *limits)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(tracer.pid, signal.SIGINT)
        tracer.wait()
    return parse_summary(summary.read_text()) / result.ok if result.ok else None
