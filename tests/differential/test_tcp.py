"""The TCP proxy's log lines and statistics: ours against the stock Envoy, same traffic."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import config, tls_config
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import TcpServer, ask, connect, read_all, read_exactly, reset, wait_for

_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_LIMIT = "type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit"
_FORMAT = " ".join(
    f"{name}=%{name}%"
    for name in (
        "ACCESS_LOG_TYPE PROTOCOL BYTES_RECEIVED BYTES_SENT DOWNSTREAM_WIRE_BYTES_RECEIVED "
        "DOWNSTREAM_WIRE_BYTES_SENT UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT "
        "RESPONSE_CODE RESPONSE_FLAGS RESPONSE_FLAGS_LONG RESPONSE_CODE_DETAILS "
        "CONNECTION_TERMINATION_DETAILS UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_HOST "
        "UPSTREAM_HOST_NAME UPSTREAM_CLUSTER UPSTREAM_REMOTE_ADDRESS UPSTREAM_PROTOCOL "
        "UPSTREAM_REQUEST_ATTEMPT_COUNT REQUEST_DURATION RESPONSE_DURATION FILTER_CHAIN_NAME "
        "ROUTE_NAME DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT REQUEST_HEADERS_BYTES REQ(:PATH)"
    ).split()
)
# Of the process, or of parts that a tunnel does not touch.
_STATS = re.compile(r"^(tcp|connection_limit|cluster\.\w+\.(upstream_|circuit_breakers))")


#: Logs that have a line when a connection is accepted, and what they leave out.
_STARTS: dict[str, config.Tree | None] = {
    "start": None,
    "only_start": {"log_type_filter": {"types": ["TcpConnectionStart"]}},
    "but_start": {"log_type_filter": {"types": ["TcpConnectionStart"], "exclude": True}},
}


def _log(path: Path, only: config.Tree | None = None) -> list[config.Tree]:
    form = {"text_format_source": {"inline_string": _FORMAT + "\n"}}
    typed = {"@type": _LOG, "path": str(path), "log_format": form}
    log: config.Tree = {"name": "file", "typed_config": typed}
    return [{**log, "filter": only} if only else log]


def _ends_first(conn: socket.socket) -> None:
    """Says something and ends its side; hears what the client says until that ends, too."""
    conn.sendall(b"bye")
    conn.shutdown(socket.SHUT_WR)
    while conn.recv(65536):
        pass


class Lab:
    """Both proxies in turn over one server and one dead port."""

    names = (
        *("echo", "dead", "empty", "idle", "longest", "again", "full", "pending", "limited"),
        *("start", "only_start", "but_start", "first", "patient"),
    )

    def __init__(self, folder: Path, server: TcpServer) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in self.names}
        self.dead = free_port()
        self.server = server
        self.first = TcpServer(_ends_first)
        self.admin_port = free_port()

    def bootstrap(self, kind: str) -> str:
        """A listener and a cluster for each name."""
        up, dead = self.server.port, self.dead
        one: config.Tree = {"thresholds": [{"max_connections": 1}]}
        none: config.Tree = {"thresholds": [{"max_pending_requests": 0}]}
        empty = {**config.cluster("empty"), "load_assignment": {"cluster_name": "empty"}}
        clusters = [
            config.cluster("echo", up),
            config.cluster("dead", dead),
            empty,
            config.cluster("again", dead),
            config.cluster("patient", dead),
            config.cluster("first", self.first.port),
            config.cluster("full", up, circuit_breakers=one),
            config.cluster("pending", up, circuit_breakers=none),
        ]
        typed = {"@type": _LIMIT, "stat_prefix": "one", "max_connections": 1}
        limit = tls_config.network_filter("envoy.filters.network.connection_limit", typed)
        always = {"flush_access_log_on_start": True, "flush_access_log_on_connected": True}
        options: dict[str, dict[str, Any]] = {
            "echo": {"access_log_options": {"flush_access_log_on_connected": True}},
            "idle": {"idle_timeout": "0.3s"},
            "longest": {"max_downstream_connection_duration": "0.3s"},
            "again": {"max_connect_attempts": 2},
            "patient": {
                "max_connect_attempts": 3,
                "backoff_options": {"base_interval": "0.001s", "max_interval": "0.002s"},
            },
            **{name: {"access_log_options": always} for name in _STARTS},
        }
        listeners = []
        known = {each["name"] for each in clusters}
        for name, port in self.ports.items():
            to = name if name in known else "echo"
            logs = {"access_log": _log(self.log(kind, name), _STARTS.get(name))}
            terminal = tls_config.tcp_proxy(to, stat_prefix=name, **logs, **options.get(name, {}))
            filters = (limit, terminal) if name == "limited" else (terminal,)
            chain = tls_config.chain(*filters, name=f"chain-{name}")
            own: dict[str, Any] = {"access_log": _log(self.log(kind, f"listener-{name}"))}
            listeners.append(tls_config.listener(name, port, chain, **own))
        return config.bootstrap(self.admin_port, listeners, clusters)

    def log(self, kind: str, name: str) -> Path:
        """The log of a listener's proxy."""
        return self.folder / f"{kind}-{name}.log"

    def run(self, kind: str) -> tuple[dict[str, list[str]], list[str]]:
        """Lines of every log, and the statistics."""
        with Proxy(kind, self.bootstrap(kind), self.folder / kind, self.admin_port) as proxy:
            self.traffic(proxy)
            # 18 tunnels' ends, and what was logged on connect and at the start.
            wait_for(lambda: sum(map(len, self.lines(kind).values())) >= 42, "the logs")
            proxy.wait_stat("cluster.echo.upstream_cx_destroy", 9)
            text = proxy.admin("GET", "/stats")[1]
        rows = [line for line in text.splitlines() if _STATS.match(line)]
        return self.lines(kind), rows

    def lines(self, kind: str) -> dict[str, list[str]]:
        """By log, in no order: who logs first of two that end at once is chance."""
        names = [*self.names, *(f"listener-{name}" for name in self.names)]
        paths = {name: self.log(kind, name) for name in names}
        return {
            name: sorted(path.read_text().splitlines()) if path.exists() else []
            for name, path in paths.items()
        }

    def traffic(self, proxy: Proxy) -> None:
        """One thing after the other, so that both see the same."""
        port = self.ports
        for name in ("dead", "empty", "again", "patient", "full", "pending", "echo", *_STARTS):
            ask(port[name], b"hello")
        with connect(port["first"]) as conn:
            assert read_all(conn) == b"bye"
            conn.sendall(b"more")
            proxy.wait_stat("tcp.first.downstream_cx_rx_bytes_total", 4)
            conn.shutdown(socket.SHUT_WR)
            proxy.wait_stat("cluster.first.upstream_cx_destroy", 1)
        for name in ("idle", "longest"):
            with connect(port[name]) as conn:
                conn.sendall(b"hello")
                read_all(conn)
        with connect(port["limited"]) as conn:
            conn.sendall(b"x")
            assert read_exactly(conn, 1) == b"x"
            assert ask(port["limited"]) == b""
        with connect(port["full"]) as conn:
            conn.sendall(b"x")
            assert read_exactly(conn, 1) == b"x"
            assert ask(port["full"]) == b""
        conn = connect(port["echo"])
        conn.sendall(b"abc")
        assert read_exactly(conn, 3) == b"abc"
        proxy.wait_stat("tcp.echo.downstream_cx_tx_bytes_total", 8)
        reset(conn)
        conn = connect(port["echo"])
        conn.sendall(b"abcd")
        assert read_exactly(conn, 4) == b"abcd"
        conn.close()


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, tuple[dict[str, list[str]], list[str]]]]:
    """What each proxy logged and counted."""
    with TcpServer() as server:
        lab = Lab(tmp_path_factory.mktemp("tcp"), server)
        yield {kind: lab.run(kind) for kind in (ENVOY, OURS)}


@pytest.mark.parametrize("name", [*Lab.names, *(f"listener-{name}" for name in Lab.names)])
def test_lines_are_envoys(
    seen: dict[str, tuple[dict[str, list[str]], list[str]]], name: str
) -> None:
    """Every operator that a tunnel answers. A surplus connection is not logged by ours."""
    envoy, ours = (seen[kind][0][name] for kind in (ENVOY, OURS))
    if name.endswith("limited"):
        envoy = [line for line in envoy if "UPSTREAM_CLUSTER=- " not in line]
    assert ours == envoy


def test_statistics_are_envoys(
    seen: dict[str, tuple[dict[str, list[str]], list[str]]],
) -> None:
    """Names and values; histograms have times in them."""

    def rows(kind: str) -> dict[str, str]:
        pairs = (line.split(": ", 1) for line in seen[kind][1])
        return {name: value for name, value in pairs if value.isdigit()}

    envoy, ours = rows(ENVOY), rows(OURS)
    # The surplus connection does not reach our proxy.
    envoy["tcp.limited.downstream_cx_total"] = "1"
    # Envoy's gauge follows what is taken, and of nothing nothing is.
    envoy["cluster.pending.circuit_breakers.default.rq_pending_open"] = "1"
    differ = {
        name: (envoy.get(name), ours.get(name))
        for name in envoy.keys() | ours.keys()
        if envoy.get(name) != ours.get(name)
    }
    assert differ == {}
