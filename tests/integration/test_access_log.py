"""Where access logs go."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.upstream import Upstream

_LOGGERS = "type.googleapis.com/envoy.extensions.access_loggers"


@pytest.mark.parametrize("where", ["stdout", "stderr", "file"])
def test_access_log_places(
    where: str, start: StartMesh, upstream: Upstream, tmp_path: Path
) -> None:
    """One line per request, in stdout, stderr or a file."""
    port, admin_port = free_port(), free_port()
    path = tmp_path / "access.log"
    kinds = {
        "stdout": {"@type": f"{_LOGGERS}.stream.v3.StdoutAccessLog"},
        "stderr": {"@type": f"{_LOGGERS}.stream.v3.StderrAccessLog"},
        "file": {"@type": f"{_LOGGERS}.file.v3.FileAccessLog", "path": str(path)},
    }
    form = {"text_format_source": {"inline_string": "line %REQ(:PATH)% %RESPONSE_CODE%\n"}}
    logger = {"name": "x", "typed_config": {**kinds[where], "log_format": form}}
    routes = config.route_config("local", config.route("/", "up"))
    manager = config.hcm(routes, access_log=[logger])
    text = config.bootstrap(
        admin_port, [config.listener("web", port, manager)], [config.cluster("up", upstream.port)]
    )
    proxy = start(text, admin_port)
    with Connection(port) as conn:
        for i in range(3):
            conn.request(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i)
    read: Callable[[], str] = path.read_text if where == "file" else proxy.log
    end = time.monotonic() + 20
    while read().count("line /") < 3 and time.monotonic() < end:
        time.sleep(0.05)
    proxy.admin("POST", "/quitquitquit")
    proxy.wait_exit()
    lines = [line for line in read().splitlines() if line.startswith("line ")]
    assert lines == ["line /0 200", "line /1 200", "line /2 200"]
