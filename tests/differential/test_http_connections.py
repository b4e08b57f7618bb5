"""What is counted and logged of whole HTTP connections: ours against the stock Envoy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import config, h2raw
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import wait_for
from tests.support.tls_config import direct_response
from tests.support.upstream import Upstream

_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_FORMAT = "%PROTOCOL% %BYTES_RECEIVED% %BYTES_SENT% %RESPONSE_CODE% %DOWNSTREAM_WIRE_BYTES_SENT%\n"
_LATE = "http.web.downstream_cx_delayed_close_timeout"
_GET = b"GET /direct HTTP/1.1\r\nHost: a\r\n\r\n"
_UPGRADE = b"GET /direct HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
_EARLY = b"POST /direct HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"
_HTTP2 = h2raw.PREFACE + h2raw.settings()


@dataclass(frozen=True)
class Case:
    """`sends`, then the client closes (once it has so many responses) or holds the connection."""

    name: str
    sends: bytes
    responses: int = 1
    holds: bool = False
    is_http2: bool = False


CASES = [
    Case("direct", _GET),
    Case("upstream", _GET.replace(b"/direct", b"/up")),
    Case("two", _GET * 2, 2),
    Case("body", b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
    Case("half_a_head", b"GET / HTT", 0),
    Case("nothing", b"", 0),
    Case("refused_upgrade_held", _UPGRADE, holds=True),
    Case("early_answer_held", _EARLY, holds=True),
    Case(
        "http2_fault_held", _HTTP2 + h2raw.frame(h2raw.WINDOW_UPDATE, 0, 0, bytes(4)), 0, True, True
    ),
]


@dataclass
class Seen:
    """The log line, and how many connections had to be cut."""

    line: list[str]
    late: int


class Lab:
    """One listener whose connections are logged."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        self.folder, self.upstream = folder, upstream
        self.port, self.admin_port = free_port(), free_port()

    def run(self, kind: str) -> dict[str, Seen]:
        """Every case in turn."""
        log = self.folder / f"{kind}.log"
        form = {"text_format_source": {"inline_string": _FORMAT}}
        typed = {"@type": _LOG, "path": str(log), "log_format": form}
        routes = config.route_config(
            "local", config.route("/up", "up"), direct_response("/direct", 200, "direct")
        )
        listener = config.listener(
            "web",
            self.port,
            config.hcm(routes, delayed_close_timeout="0.1s"),
            access_log=[{"name": "file", "typed_config": typed}],
        )
        clusters = [config.cluster("up", self.upstream.port)]
        text = config.bootstrap(self.admin_port, [listener], clusters)
        flags = ["--file-flush-interval-msec", "10"] if kind == OURS else []
        found = {}
        with Proxy(kind, text, self.folder / kind, self.admin_port, *flags) as proxy:
            for number, case in enumerate(CASES):
                before = proxy.stat(_LATE) or 0
                with socket.create_connection(("127.0.0.1", self.port), 20) as conn:
                    _talk(conn, case)
                    if case.holds:
                        proxy.wait_stat(_LATE, before + 1)
                _wait_logged(log, number, case)
                line = log.read_text().splitlines()[number].split()
                found[case.name] = Seen(line, (proxy.stat(_LATE) or 0) - before)
        return found


def _talk(conn: socket.socket, case: Case) -> None:
    """Reads the responses; of a connection that is held, up to the other side's end."""
    conn.sendall(case.sends)
    got = b""
    while case.holds or got.count(b"HTTP/1.1 200 ") < case.responses:
        piece = conn.recv(1 << 16)
        if not piece:
            break
        got += piece


def _wait_logged(log: Path, number: int, case: Case) -> None:
    wait_for(lambda: _lines(log) > number, f"{case.name} logged")


def _lines(log: Path) -> int:
    return log.read_text().count("\n") if log.exists() else 0


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Seen]]]:
    """Both proxies."""
    with Upstream() as upstream:
        lab = Lab(tmp_path_factory.mktemp("connections"), upstream)
        yield {kind: lab.run(kind) for kind in (ENVOY, OURS)}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_listeners_log_the_bytes_of_their_connections(
    found: dict[str, dict[str, Seen]], case: Case
) -> None:
    """Those that came and those that went; of HTTP/2 what goes is ours to choose."""
    envoy, ours = (found[kind][case.name].line for kind in (ENVOY, OURS))
    if case.is_http2:
        # Envoy does not say what a connection spoke that it ended for a fault, nor why (GOAWAY).
        (envoy, ours) = (line[1:2] for line in (envoy, ours))
    assert ours == envoy


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_connections_that_have_to_be_cut_are_counted(
    found: dict[str, dict[str, Seen]], case: Case
) -> None:
    """`downstream_cx_delayed_close_timeout`: told to go, and still there."""
    late = [found[kind][case.name].late for kind in (ENVOY, OURS)]
    assert late == [case.holds, case.holds]
