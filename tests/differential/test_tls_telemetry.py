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
from collections.abc import Iterator
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


_FOLDER = Path(tempfile.mkdtemp(prefix="tls-telemetry-"))
_CA = Authority(_FOLDER)
CLIENT = _CA.workload(
    "front", dns=["front.test", "b.test"], ips=["10.0.0.7"], emails=["a@front.test"]
)


class Scene:
    """A proxy, its certificates, its logs, and the connections that a test makes."""

    def __init__(self, kind: str, folder: Path, versions: config.Tree) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.kind = kind
        self.logs = {name: folder / f"{name}.log" for name in ("front", "back", "listener")}
        self.front, self.back, admin = free_port(), free_port(), free_port()
        server = _CA.server("back", uris=["spiffe://cluster.local/ns/a/sa/back"])
        tls = {"params": versions}
        mutual = downstream_tls(server, client_ca=_CA.cert, **tls)
        hop = config.cluster("hop", self.back, **http2())
        hop["transport_socket"] = upstream_tls(
            _CA.cert, CLIENT, sni="back.test", alpn=["h2"], **tls
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

    def plaintext(self) -> None:
        """A client that speaks no TLS."""
        with socket.create_connection(("127.0.0.1", self.front), 10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                while client.recv(4096):
                    pass

    def lines(self, log: str, count: int) -> list[dict[str, Any]]:
        """What a log holds, once it has that many lines."""
        path = self.logs[log]
        end = time.monotonic() + 10
        while time.monotonic() < end:
            text = path.read_text() if path.exists() else ""
            if text.count("\n") >= count:
                break
            time.sleep(0.02)
        return [json.loads(line) for line in text.splitlines()]

    def stats(self) -> dict[str, int]:
        """Counters and gauges about TLS and HTTP/2, of the process and of both sides."""
        text = self.proxy.admin("GET", "/stats")[1]
        wanted = re.compile(r"ssl|http2\.|http1\.|_cert_|^listener\.(front|back)\.")
        pairs = (line.split(": ", 1) for line in text.splitlines())
        return {k: int(v) for k, v in pairs if wanted.search(k) and v.isdigit()}
