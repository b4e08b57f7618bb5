"""ClientHellos of every length, in records and segments of every size: what the TLS inspector makes
of them (with fingerprints), and which certificate they are answered with where TLS ends without
an inspector. The same bytes go to the stock Envoy and to ours.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import config
from tests.support.certs import Authority
from tests.support.hello import extension, hello, padding, records, sni, u16
from tests.support.logs import whole_lines
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import TcpServer
from tests.support.tls_config import chain, downstream_tls, listener, tcp_proxy, tls_inspector

_OPERATORS = (
    "REQUESTED_SERVER_NAME",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "DYNAMIC_METADATA(envoy.filters.listener.tls_inspector:failure_reason)",
)
#: What OpenSSL would offer for TLS 1.2, so that a handshake can begin.
_USUAL = (
    extension(10, u16(4) + b"\0\x1d\0\x17"),
    extension(11, b"\1\0"),
    extension(13, u16(4) + b"\4\3\x08\4"),
    extension(16, u16(12) + b"\x02h2\x08http/1.1"),
)
#: Of `_hello`, without padding.
_LEAST = 108
#: Of TLS 1.2, at the end of a server's first flight.
_HELLO_DONE = b"\x0e\0\0\0"


def _hello(length: int, name: bytes = b"b.test") -> bytes:
    """A message of that length, its header included; the name comes last."""
    rest = padding(length - _LEAST) if length > _LEAST + 3 else b""
    message = hello(*_USUAL, rest, sni(name), suites=b"\xc0\x2b\xc0\x2f")
    assert len(message) == max(length, _LEAST), len(message)
    return message


def _raw(total: int, size: int = 16384) -> bytes:
    """So many bytes of a whole ClientHello, in records of that size."""
    count = -(-total // (size + 5))
    return records(_hello(total - 5 * count), size)


def _log(path: Path) -> config.Tree:
    kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    fields = {name.partition("(")[0]: f"%{name}%" for name in _OPERATORS}
    typed = {"@type": kind, "path": str(path), "log_format": {"json_format": fields}}
    return {"name": "envoy.access_loggers.file", "typed_config": typed}


#: Listeners of the inspector by name.
_INSPECTORS: dict[str, dict[str, Any]] = {
    "default": {},
    "from_256": {"initial_read_buffer_size": 256},
    "up_to_1000": {"max_client_hello_size": 1000, "initial_read_buffer_size": 300},
    "strict": {"close_connection_on_client_hello_parsing_errors": True},
    "strict_from_256": {
        "close_connection_on_client_hello_parsing_errors": True,
        "initial_read_buffer_size": 256,
    },
}
#: By name: where to, the bytes, in segments of which size.
_INSPECTED: dict[str, tuple[str, bytes, int]] = {
    "usual": ("default", records(_hello(0)), 99999),
    "in_many_segments": ("default", records(_hello(9000)), 100),
    "in_many_records": ("default", records(_hello(9000), 100), 99999),
    "in_both": ("default", records(_hello(5000), 37), 53),
    "from_256_in_both": ("from_256", records(_hello(5000), 37), 53),
    "bytes": ("from_256", records(_hello(600), 1), 1),
    "as_many_bytes_as_can_be": ("default", _raw(16384), 99999),
    "as_many_bytes_in_segments": ("from_256", _raw(16384), 1448),
    "one_byte_more": ("default", _raw(16385), 99999),
    "one_byte_more_in_segments": ("from_256", _raw(16385), 1448),
    "records_count": ("default", records(_hello(2700), 1), 99999),
    "records_count_too_much": ("default", records(_hello(2800), 1), 99999),
    "of_20000": ("default", records(_hello(20000)), 99999),
    "of_60000": ("default", records(_hello(60000)), 1448),
    "of_60000_in_records": ("from_256", records(_hello(60000), 500), 1448),
    "1000": ("up_to_1000", _raw(1000), 99999),
    "1001": ("up_to_1000", _raw(1001), 99999),
    "1001_in_segments": ("up_to_1000", _raw(1001), 10),
    "long_text": ("default", b"x" * 20000, 99999),
    "long_text_and_1000": ("up_to_1000", b"x" * 1500, 99999),
    "strict_long_text": ("strict", b"x" * 20000, 99999),
    "strict_text": ("strict", b"x" * 200, 99999),
    "strict_from_256": ("strict_from_256", b"x" * 20000, 99999),
    "strict_too_large": ("strict", records(_hello(20000)), 99999),
    "claims_too_much": (
        "default",
        b"\x16\x03\1\0\4\1\1\0\0" + b"\x16\x03\1\x40\0" + b"x" * 9000,
        999,
    ),
}

#: What a server is told to do with clients' certificates.
_SERVERS = ("alone", "mutual")
_ENDED: dict[str, tuple[bytes, int]] = {
    "usual": (records(_hello(0)), 99999),
    "in_many_records": (records(_hello(9000), 100), 99999),
    "in_both": (records(_hello(5000), 37), 53),
    "bytes": (records(_hello(2900), 1), 100),
    "as_long_as_can_be": (records(_hello(16384 + 4)), 99999),
}


#: Those of `_INSPECTED` that are taken for TLS with a name.
_TAKEN = {
    "usual",
    "in_many_segments",
    "in_many_records",
    "in_both",
    "from_256_in_both",
    "bytes",
    "as_many_bytes_as_can_be",
    "as_many_bytes_in_segments",
    "records_count",
    "1000",
}


class Scene:
    """A proxy: inspectors before a TCP proxy, servers with two certificates."""

    def __init__(self, kind: str, folder: Path, upstream: int) -> None:
        folder.mkdir()
        self._log = folder / "log"
        self._log.touch()
        self._ports = {name: free_port() for name in (*_INSPECTORS, *_SERVERS)}
        authority = Authority(folder)
        both = [authority.server(name) for name in ("a", "b")]
        listeners = [
            listener(
                name,
                self._ports[name],
                chain(tcp_proxy("app"), match={"server_names": ["b.test"]}),
                default=chain(tcp_proxy("nobody")),
                listener_filters=[
                    tls_inspector(
                        enable_ja3_fingerprinting=True, enable_ja4_fingerprinting=True, **options
                    )
                ],
                access_log=[_log(self._log)],
            )
            for name, options in _INSPECTORS.items()
        ]
        for name in _SERVERS:
            tls = downstream_tls(*both, client_ca=authority.cert if name == "mutual" else None)
            listeners.append(listener(name, self._ports[name], chain(tcp_proxy("app"), tls=tls)))
        clusters = [config.cluster("app", upstream), config.cluster("nobody")]
        admin = free_port()
        self.proxy = Proxy(kind, config.bootstrap(admin, listeners, clusters), folder, admin)
        self.proxy.wait_ready()

    def say(self, to: str, said: bytes, segment: int) -> bytes:
        """What is heard until the proxy is done, or (of TLS 1.2) its first flight."""
        heard = b""
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", self._ports[to]), timeout=10) as client,
        ):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(said), segment):
                client.sendall(said[at : at + segment])
            while (data := client.recv(65536)) and _HELLO_DONE not in (heard := heard + data):
                pass
        return heard

    def lines(self, count: int) -> list[dict[str, Any]]:
        """Of the log."""
        end = time.monotonic() + 10
        while len(lines := whole_lines(self._log)) < count and time.monotonic() < end:
            time.sleep(0.01)
        return [json.loads(line) for line in lines]


def _ok(conn: socket.socket) -> None:
    conn.sendall(b"ok")
    conn.shutdown(socket.SHUT_WR)
    while conn.recv(65536):
        pass


#: What came of each case: what the client heard, its line in the log or the certificate; and the
#: counters.
Found = dict[str, Any]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """By proxy."""
    folder = tmp_path_factory.mktemp("hellos")
    with TcpServer(_ok) as upstream:
        return {kind: _run(kind, folder / kind, upstream.port) for kind in (ENVOY, OURS)}


def _run(kind: str, folder: Path, upstream: int) -> Found:
    scene = Scene(kind, folder, upstream)
    found: Found = {}
    try:
        for count, (name, (to, said, segment)) in enumerate(_INSPECTED.items(), 1):
            heard = scene.say(to, said, segment)
            lines = scene.lines(count)
            assert len(lines) == count, f"{kind} {name}: {lines}"
            found[name] = (heard, lines[-1])
        for server in _SERVERS:
            for name, (said, segment) in _ENDED.items():
                heard = scene.say(server, said, segment)
                shown = [name for name in (b"a.test", b"b.test") if name in heard]
                found[f"{server} {name}"] = shown or heard
        stats = scene.proxy.admin("GET", "/stats?usedonly&filter=tls_inspector")[1]
        found["counters"] = {
            name: int(value)
            for name, _, value in (line.partition(": ") for line in stats.splitlines())
            if value.isdigit()
        }
    finally:
        scene.proxy.stop()
    return found


@pytest.mark.parametrize("case", _INSPECTED)
def test_what_the_inspector_makes_of_it(case: str, found: dict[str, Found]) -> None:
    heard, line = found[OURS][case]
    assert (heard, line) == found[ENVOY][case]
    assert (heard == b"ok") == (case in _TAKEN)
    assert (line["REQUESTED_SERVER_NAME"] == "b.test") == (case in _TAKEN)
    assert bool(line["TLS_JA3_FINGERPRINT"]) == (case in _TAKEN)


def test_counters(found: dict[str, Found]) -> None:
    assert found[OURS]["counters"] == found[ENVOY]["counters"]
    assert found[OURS]["counters"]["tls_inspector.client_hello_too_large"] > 5


@pytest.mark.parametrize("case", _ENDED)
@pytest.mark.parametrize("server", _SERVERS)
def test_the_certificate_is_that_of_the_name(
    server: str, case: str, found: dict[str, Found]
) -> None:
    name = f"{server} {case}"
    assert found[OURS][name] == [b"b.test"]
    assert found[ENVOY][name] == [b"b.test"]
