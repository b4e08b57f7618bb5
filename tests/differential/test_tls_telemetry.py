"""What TLS and HTTP/2 leave in access logs and statistics: the same connections through the stock
Envoy and ours.

One proxy plays both sidecars: `front` (HTTP/1.1 under mTLS) sends to `back` (HTTP/2 under mTLS)
by way of the cluster `hop`.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import config
from tests.support.certs import Authority, Credential, client_context
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tls_config import (
    chain,
    direct_response,
    downstream_tls,
    http2,
    http_filter,
    listener,
    tcp_proxy,
    upstream_tls,
)

PEER = [
    "PEER_CERT",
    "PEER_CERT_V_END",
    "PEER_CERT_V_START",
    "PEER_DNS_SAN",
    "PEER_IP_SAN",
    "PEER_ISSUER",
    "PEER_SUBJECT",
    "PEER_URI_SAN",
    "LOCAL_DNS_SAN",
    "LOCAL_IP_SAN",
    "LOCAL_URI_SAN",
    "TLS_CIPHER",
    "TLS_GROUP",
    "TLS_SESSION_ID",
    "TLS_VERSION",
    "TRANSPORT_FAILURE_REASON",
]
DOWNSTREAM_ONLY = [
    "LOCAL_EMAIL_SAN",
    "LOCAL_OTHERNAME_SAN",
    "LOCAL_SUBJECT",
    "PEER_CHAIN_FINGERPRINTS_1",
    "PEER_CHAIN_FINGERPRINTS_256",
    "PEER_CHAIN_SERIALS",
    "PEER_EMAIL_SAN",
    "PEER_FINGERPRINT_1",
    "PEER_FINGERPRINT_256",
    "PEER_ISSUER_FINGERPRINT_256",
    "PEER_ISSUER_SERIAL",
    "PEER_OTHERNAME_SAN",
    "PEER_SERIAL",
]
OTHERS = [
    "REQUESTED_SERVER_NAME",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "FILTER_CHAIN_NAME",
    "CONNECTION_TERMINATION_DETAILS",
    "RESPONSE_FLAGS",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "ACCESS_LOG_TYPE",
    "PROTOCOL",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_SERVER_NAME",
    "UPSTREAM_CLUSTER",
]
OPERATORS = [
    *(f"DOWNSTREAM_{name}" for name in [*PEER, *DOWNSTREAM_ONLY]),
    *(f"UPSTREAM_{name}" for name in PEER),
    *OTHERS,
]


def file_log(path: Path) -> config.Tree:
    """All operators in a line of JSON; `START` and others that differ from run to run are not."""
    kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    fields: config.Tree = {name: f"%{name}%" for name in OPERATORS}
    fields["V_START_SHORT"] = "%DOWNSTREAM_PEER_CERT_V_START(%s)%"
    fields["V_END_LONG"] = "%DOWNSTREAM_PEER_CERT_V_END(%Y-%m-%dT%H:%M:%S.%3fZ)%"
    fields["CUT"] = "%DOWNSTREAM_TLS_CIPHER%-%DOWNSTREAM_PEER_URI_SAN%"
    typed = {"@type": kind, "path": str(path), "log_format": {"json_format": fields}}
    return {"name": "envoy.access_loggers.file", "typed_config": typed}


# Of handshakes that fail ours knows the reason, and what came before TLS.
OF_HANDSHAKES = re.compile(r"DOWNSTREAM_(PEER|LOCAL|TLS)_|^(V_START_SHORT|V_END_LONG|CUT)$")
# The codecs of Envoy by name, what is always 0 when asked for here, and that rustls as a client
# asks for an OCSP response.
NOT_OURS = re.compile(
    r"[no]ghttp2_|outbound_(control_)?frames_active|deferred_stream_close"
    r"|^http\.(front|back)\.downstream_cx_ssl_total$|^http\.admin\."
    r"|^listener\.back\.ssl\.ocsp_staple_(requests|omitted)$"
)

_FOLDER = Path(tempfile.mkdtemp(prefix="tls-telemetry-"))
_CA = Authority(_FOLDER)
CLIENT = _CA.workload(
    "front", dns=["front.test", "b.test"], ips=["10.0.0.7"], emails=["a@front.test"]
)
SERVER = _CA.server("back", uris=["spiffe://cluster.local/ns/a/sa/back"])
STRANGER = Authority(_FOLDER / "other", "other-ca").workload("mallory")


class Scene:
    """A proxy, its certificates, its logs, and the connections that a test makes."""

    def __init__(self, kind: str, folder: Path, versions: config.Tree) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.kind = kind
        self.logs = {name: folder / f"{name}.log" for name in ("front", "back", "listener")}
        self.front, self.back, admin = free_port(), free_port(), free_port()
        mutual = downstream_tls(SERVER, client_ca=_CA.cert, params=versions)
        hop = config.cluster("hop", self.back, **http2())
        hop["transport_socket"] = upstream_tls(
            _CA.cert, CLIENT, sni="back.test", alpn=["h2"], params=versions
        )
        routes = {"front": config.route("/", "hop"), "back": direct_response("/")}
        listeners = [
            listener(
                name,
                port,
                chain(
                    http_filter(
                        config.hcm(
                            config.route_config(name, routes[name]),
                            stat_prefix=name,
                            access_log=[file_log(self.logs[name])],
                        )
                    ),
                    tls=mutual,
                    name=f"chain-{name}",
                ),
                inspect_tls=True,
                stat_prefix=name,
                access_log=[file_log(self.logs["listener"])],
            )
            for name, port in (("front", self.front), ("back", self.back))
        ]
        picky = chain(tcp_proxy("hop"), match={"server_names": ["only.test"]}, name="picky")
        self.picky = free_port()
        log = [file_log(self.logs["listener"])]
        listeners.append(
            listener(
                "picky", self.picky, picky, inspect_tls=True, stat_prefix="picky", access_log=log
            )
        )
        self.proxy = Proxy(kind, config.bootstrap(admin, listeners, [hop]), folder, admin)
        self.proxy.wait_ready()

    def request(self, credential: Credential | None) -> str:
        """One request, a connection of its own; what came of it."""
        context = client_context(_CA.cert, credential)
        try:
            with (
                socket.create_connection(("127.0.0.1", self.front), 10) as plain,
                context.wrap_socket(plain, server_hostname="back.test") as client,
            ):
                client.sendall(b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                heard = b""
                while data := client.recv(65536):
                    heard += data
                return heard.split(b"\r\n", 1)[0].decode()
        except OSError:
            return "refused"

    def plaintext(self, port: int) -> None:
        """A client that speaks no TLS."""
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                while client.recv(4096):
                    pass

    @staticmethod
    def _same_suite(text: str) -> str:
        # Of the suites of TLS 1.3 the client's order decides with Envoy, ours takes the shorter key.
        return text.replace("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256")

    def lines(self, log: str, count: int) -> list[dict[str, Any]]:
        """What a log holds, once it has that many lines."""
        path = self.logs[log]
        end = time.monotonic() + 10
        while time.monotonic() < end:
            text = path.read_text() if path.exists() else ""
            if text.count("\n") >= count:
                break
            time.sleep(0.02)
        return [json.loads(line) for line in self._same_suite(text).splitlines()]

    def stats(self) -> dict[str, int]:
        """Counters and gauges about TLS and HTTP/2, of the process and of both sides."""
        text = self._same_suite(self.proxy.admin("GET", "/stats")[1])
        wanted = re.compile(r"ssl|http2\.|http1\.|_cert_|^listener\.(front|back)\.")
        pairs = (line.split(": ", 1) for line in text.splitlines())
        return {k: int(v) for k, v in pairs if wanted.search(k) and v.isdigit()}


Seen = tuple[dict[str, list[dict[str, Any]]], dict[str, int]]


def run(kind: str, folder: Path, version: str) -> Seen:
    """Two requests and three connections that fail: the lines of each log, and the statistics."""
    params = {
        "tls_minimum_protocol_version": version,
        "tls_maximum_protocol_version": version,
        "ecdh_curves": ["X25519", "P-256"],
    }
    scene = Scene(kind, folder, params)
    try:
        assert scene.request(CLIENT) == "HTTP/1.1 200 OK"
        assert scene.request(CLIENT) == "HTTP/1.1 200 OK"
        assert scene.request(None) == "refused"
        assert scene.request(STRANGER) == "refused"
        scene.plaintext(scene.front)
        scene.plaintext(scene.picky)
        logs = {"front": 2, "back": 2, "listener": 6}
        lines = {log: scene.lines(log, count) for log, count in logs.items()}
        return lines, scene.stats()
    finally:
        scene.proxy.stop()


@pytest.fixture(scope="module", params=["TLSv1_2", "TLSv1_3"])
def seen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Seen]:
    """By proxy."""
    folder = tmp_path_factory.mktemp("tls")
    with ThreadPoolExecutor() as pool:
        jobs = {
            kind: pool.submit(run, kind, folder / kind, request.param) for kind in (ENVOY, OURS)
        }
        return {kind: job.result() for kind, job in jobs.items()}


def _told(line: dict[str, Any]) -> dict[str, Any]:
    """What a line says that is not chance, nor known of successes only."""
    told = {name: value for name, value in line.items() if value is not None}
    # A server of BoringSSL's that gives tickets forgets the identifier.
    told.pop("DOWNSTREAM_TLS_SESSION_ID", None)
    if "UPSTREAM_TLS_SESSION_ID" in told:
        told["UPSTREAM_TLS_SESSION_ID"] = len(told["UPSTREAM_TLS_SESSION_ID"])
    if told.get("RESPONSE_CODE_DETAILS") == "filter_chain_not_found":
        # What BoringSSL thought of the bytes that the inspector showed it.
        told.pop("DOWNSTREAM_TRANSPORT_FAILURE_REASON", None)
    if "DOWNSTREAM_TRANSPORT_FAILURE_REASON" in told:
        return {name: value for name, value in told.items() if not OF_HANDSHAKES.search(name)}
    return told


@pytest.mark.parametrize("log", ["front", "back", "listener"])
def test_access_logs(seen: dict[str, Seen], log: str) -> None:
    """Every operator about TLS, for requests and for connections."""
    envoy, ours = ([_told(line) for line in seen[kind][0][log]] for kind in (ENVOY, OURS))
    assert len(ours) == len(envoy)
    for mine, theirs in zip(ours, envoy, strict=True):
        assert mine == theirs


def test_statistics(seen: dict[str, Seen]) -> None:
    """Names and values of `ssl.*`, `http2.*` and the listeners."""
    envoy, ours = (seen[kind][1] for kind in (ENVOY, OURS))
    wanted = {name: value for name, value in envoy.items() if not NOT_OURS.search(name)}
    days = "server.days_until_first_cert_expiring"
    assert abs(ours.pop(days) - wanted.pop(days)) <= 1  # a second may lie between them
    assert {name: ours.get(name) for name in wanted} == wanted
