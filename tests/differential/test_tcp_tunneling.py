"""tunneling_config: ours against the stock Envoy, at the same gate: what the gate sees, what the
client gets, the log lines and the statistics."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import config, tls_config
from tests.support.gate import CUTS, WAYS, Gate
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import connect, read_all, read_exactly, reset, wait_for

_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_FORMAT = " ".join(
    f"{name}=%{name}%"
    for name in (
        "ACCESS_LOG_TYPE PROTOCOL BYTES_RECEIVED BYTES_SENT DOWNSTREAM_WIRE_BYTES_RECEIVED "
        "DOWNSTREAM_WIRE_BYTES_SENT UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT "
        "RESPONSE_CODE RESPONSE_FLAGS RESPONSE_FLAGS_LONG RESPONSE_CODE_DETAILS "
        "CONNECTION_TERMINATION_DETAILS UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_HOST UPSTREAM_CLUSTER UPSTREAM_REMOTE_ADDRESS "
        "UPSTREAM_PROTOCOL UPSTREAM_REQUEST_ATTEMPT_COUNT FILTER_CHAIN_NAME REQ(:METHOD) "
        "REQ(:AUTHORITY) RESP(X-GATE)"
    ).split()
)
_KEPT = "envoy.tcp_proxy.propagate_response_"
_FORMAT += "".join(
    f" {part}=%FILTER_STATE({_KEPT}{part}{how})%"
    for part in ("headers", "trailers")
    for how in ("", ":PLAIN", ":TYPED")
)
# Bytes of heads: our HPACK chooses otherwise.
_WIRE = re.compile(r"UPSTREAM_WIRE_BYTES_\w+=\d+ ")
_STATS = re.compile(r"^(tcp|cluster\.\w+\.(upstream_|circuit_breakers))")
VERSIONS = (1, 2)
_MORE = ("aborted", "post", "twice", "waits")
CHUNK = len(b"5\r\nhello\r\n")  # this gate echoes chunks as they come
CASES = [(version, way) for version in VERSIONS for way in (*WAYS, *_MORE)]
IDS = [f"h{version}-{way}" for version, way in CASES]
_OPTIONS: dict[str, dict[str, Any]] = {
    "echo": {"access_log_options": {"flush_access_log_on_connected": True}},
    "forbidden": {"max_connect_attempts": 2},
    "silent": {"idle_timeout": "0.5s"},
    "hello": {
        "idle_timeout": "0.5s",
        "access_log_options": {"access_log_flush_interval": "0.2s"},
    },
    "waits": {"upstream_connect_mode": "ON_DOWNSTREAM_DATA", "max_early_data_bytes": 1024},
}
# What Envoy keeps of a tunnel's answer in filter state.
_KEPT_OF = ("interim", "trailers", "forbidden")
# Of Envoy's own: the router that a runtime flag makes tunnels go through; what it has read of
# HTTP/2 and not used yet; HTTP/1.1 tunnels, which it ends itself with the first end.
_NOT_OURS = re.compile(
    r"\.tcpproxy_tunneling\.|^cluster\.h2_\w+\.upstream_cx_(tx_bytes_total|rx_bytes_buffered)"
    r"|^cluster\.h1_\w+\.upstream_cx_destroy_(local|remote)"
)


@dataclass
class Tunnel:
    """What one case came to."""

    got: bytes = b""
    seen: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


class Lab:
    """A listener and a cluster for each case, over one gate for each version."""

    def __init__(self, folder: Path, gates: dict[int, Gate]) -> None:
        self.folder, self.gates = folder, gates
        self.ports = {case: free_port() for case in CASES}
        self.admin_port = free_port()

    def log(self, kind: str, case: tuple[int, str]) -> Path:
        """The log of a case's proxy."""
        return self.folder / f"{kind}-{case[0]}-{case[1]}.log"

    def bootstrap(self, kind: str) -> str:
        """For both proxies the same, but for the names of the logs."""
        listeners, clusters = [], []
        for (version, way), port in self.ports.items():
            name = f"h{version}_{way}"
            form = {"text_format_source": {"inline_string": _FORMAT + "\n"}}
            path = str(self.log(kind, (version, way)))
            typed = {"@type": _LOG, "path": path, "log_format": form}
            tunnel: config.Tree = {
                "hostname": f"{way if way in WAYS else 'echo'}.test:443",
                "headers_to_add": [
                    {
                        "header": {
                            "key": "x-from",
                            "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                        }
                    }
                ],
            }
            if way in _KEPT_OF:
                tunnel.update(propagate_response_headers=True, propagate_response_trailers=True)
            if way == "post":
                tunnel.update(use_post=True, post_path="/tunnel")
            proxy = tls_config.tcp_proxy(
                name,
                stat_prefix=name,
                tunneling_config=tunnel,
                access_log=[{"name": "file", "typed_config": typed}],
                **_OPTIONS.get(way, {}),
            )
            chain = tls_config.chain(proxy, name=f"chain-{name}")
            listeners.append(tls_config.listener(name, port, chain))
            options = tls_config.http2() if version == 2 else {}
            clusters.append(config.cluster(name, self.gates[version].port, **options))
        return config.bootstrap(self.admin_port, listeners, clusters)

    def run(self, kind: str) -> tuple[dict[tuple[int, str], Tunnel], list[str]]:
        """Every case in turn, and the statistics."""
        found = {}
        with Proxy(kind, self.bootstrap(kind), self.folder / kind, self.admin_port) as proxy:
            for case in CASES:
                found[case] = self.one(kind, case, proxy)
            text = proxy.admin("GET", "/stats")[1]
        return found, [line for line in text.splitlines() if _STATS.match(line)]

    def one(self, kind: str, case: tuple[int, str], proxy: Proxy) -> Tunnel:
        """One case."""
        version, way = case
        gate, log = self.gates[version], self.log(kind, case)
        before = len(gate.seen)
        tunnel = Tunnel(traffic(self.ports[case], version, way))
        count = 2 if way == "twice" else 1
        wait_for(
            lambda: log.exists() and log.read_text().count("=TcpConnectionEnd ") >= count,
            f"{case} logged",
        )
        name = f"cluster.h{version}_{way}.upstream_rq_active"
        wait_for(lambda: proxy.stat(name) == 0, f"{case} over")
        wait_for(lambda: all(s.end or s.asked[2] for s in gate.seen[before:]), f"{case} seen")
        tunnel.seen = [s.line() for s in gate.seen[before:]]
        # How often there was time for a periodic one is chance.
        tunnel.lines = sorted({_WIRE.sub("", line) for line in log.read_text().splitlines()})
        return tunnel


def traffic(port: int, version: int, way: str) -> bytes:
    """What the client gets of one case."""
    said = WAYS.get(way, WAYS["echo"])
    with connect(port) as conn:
        if way == "aborted":
            conn.sendall(b"abc")
            got = read_exactly(conn, 3)
            reset(conn)
            return got
        if way == "twice":
            conn.sendall(b"one")
            got = read_exactly(conn, 3)
            got += traffic(port, version, "echo")
            if version == 2:
                conn.shutdown(socket.SHUT_WR)
                got += read_all(conn)
            return got
        if said[0] and said[2] in CUTS:
            got = read_exactly(conn, len(said[1]))
            conn.sendall(b"x")
            return got + read_all(conn)
        if said[2] and not (version == 2 and way in ("first", "trailers")):
            # What is not read when a connection closes makes a reset of the close.
            return read_all(conn)
        if way == "hello":
            # Until it is idle.
            conn.sendall(b"hello")
            return read_all(conn)
        if version == 1:
            # Envoy ends an HTTP/1.1 tunnel with the first end.
            conn.sendall(b"hello")
            want = len(said[1]) + (CHUNK if way == "post" else len(b"hello"))
            return read_exactly(conn, want)
        got = read_exactly(conn, len(said[1]))
        with contextlib.suppress(OSError):
            conn.sendall(b"hello")
            if way == "waits":
                # An end that comes before the host would be early data, too.
                got += read_exactly(conn, len(b"hello"))
            conn.shutdown(socket.SHUT_WR)
        return got + read_all(conn)


Found = dict[str, tuple[dict[tuple[int, str], Tunnel], list[str]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """What each proxy did."""
    folder = tmp_path_factory.mktemp("tunnels")
    with Gate(1) as one, Gate(2) as two:
        lab = Lab(folder, {1: one, 2: two})
        yield {kind: lab.run(kind) for kind in (ENVOY, OURS)}


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_gate_sees_the_same(found: Found, case: tuple[int, str]) -> None:
    """Method, authority, headers, bytes, and how the client's side ends."""
    assert found[OURS][0][case].seen == found[ENVOY][0][case].seen


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_client_gets_the_same(found: Found, case: tuple[int, str]) -> None:
    """Up to the end."""
    assert found[OURS][0][case].got == found[ENVOY][0][case].got


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_lines_are_envoys(found: Found, case: tuple[int, str]) -> None:
    """Every operator that a tunnel answers."""
    assert found[OURS][0][case].lines == found[ENVOY][0][case].lines


def test_statistics_are_envoys(found: Found) -> None:
    """Names and values; histograms have times in them."""

    def rows(kind: str) -> dict[str, str]:
        pairs = (line.split(": ", 1) for line in found[kind][1])
        numbers = {name: value for name, value in pairs if value.isdigit()}
        return {name: value for name, value in numbers.items() if not _NOT_OURS.search(name)}

    envoy, ours = rows(ENVOY), rows(OURS)
    differ = {
        name: (envoy.get(name), ours.get(name))
        for name in envoy.keys() | ours.keys()
        if envoy.get(name) != ours.get(name)
    }
    assert differ == {}
