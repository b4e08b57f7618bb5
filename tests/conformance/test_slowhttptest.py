"""slowhttptest: heads, bodies, reads and ranges that take forever, hundreds at a time.

A probe of our own asks meanwhile and must get nothing but 200.
"""

from __future__ import annotations

import re
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.conftest import Say, StartProxy
from tests.support import config
from tests.support.nginx import Nginx
from tests.support.ports import free_port
from tests.support.probe import Probe

_CONNECTIONS = 800
_MODES = {
    "slow heads (slowloris)": ("/", ["-H", "-i", "1", "-x", "24"]),
    "slow bodies (R.U.D.Y.)": ("/upload", ["-B", "-i", "1", "-s", "8192", "-x", "10"]),
    "slow reads": ("/big", ["-X", "-w", "1", "-y", "8", "-n", "1", "-z", "8", "-k", "3"]),
    "ranges (Apache killer)": ("/big", ["-R", "-a", "1", "-b", "1000"]),
}


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many open files as this process and its children may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("mode", _MODES)
def test_slow(start: StartProxy, nginx: Nginx, mode: str, tmp_path: Path, say: Say) -> None:
    """Eight seconds of it, over HTTP/1.1, which is what the tool speaks."""
    port, admin = free_port(), free_port()
    routes = config.route_config("local", config.route("/probe", "calm"), config.route("/", "up"))
    manager = config.hcm(routes, request_headers_timeout="3s", stream_idle_timeout="3s")
    clusters = [config.cluster("up", nginx.port), config.cluster("calm", nginx.port)]
    text = config.bootstrap(admin, [config.listener("web", port, manager)], clusters)
    proxy = start(text, admin)
    path, flags = _MODES[mode]
    argv = ["slowhttptest", *flags, "-c", str(_CONNECTIONS), "-r", "400", "-l", "8"]
    argv += ["-p", "3", "-u", f"http://127.0.0.1:{port}{path}"]
    with Probe(port) as probe:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
        )
    plain = " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout).split())
    say(f"{mode}: {probe.report}")
    assert done.returncode == 0, (plain + done.stderr)[-2000:]
    assert proxy.process.poll() is None, proxy.log()[-2000:]
    assert "service available: YES" in plain
    assert not probe.report.wrong, probe.report
