"""Sidecars that end TLS, those that begin it, and a client that tells what a handshake brought."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.conftest import StartMesh
from tests.support import config, tls_config
from tests.support.certs import Authority, Credential, client_context
from tests.support.client import DEADLINE, Connection
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tls_config import direct_response
from tests.support.waiting import until

_LAST = b"GET / HTTP/1.1\r\nHost: host.test\r\nConnection: close\r\n\r\n"
OK = config.route_config("local", direct_response("/"))


@dataclass(frozen=True)
class Shaken:
    """What a handshake and one request brought."""

    version: str
    cipher: str
    alpn: str | None
    shown: bytes
    answer: str
    session: ssl.SSLSession | None
    resumed: bool


def shake(
    port: int,
    context: ssl.SSLContext | None = None,
    name: str = "localhost",
    session: ssl.SSLSession | None = None,
) -> Shaken:
    """A handshake and a request. Raises OSError if the proxy will not have it."""
    context = context or client_context()
    with connected(port, context, name, session) as sock:
        sock.sendall(_LAST)
        answer = b""
        while data := sock.recv(1 << 16):
            answer += data
        if not answer:
            raise ConnectionError("closed without an answer")
        return Shaken(
            sock.version() or "",
            (sock.cipher() or ("",))[0],
            sock.selected_alpn_protocol(),
            sock.getpeercert(binary_form=True) or b"",
            answer.decode("latin-1"),
            sock.session,
            bool(sock.session_reused),
        )


def connected(
    port: int,
    context: ssl.SSLContext,
    name: str = "localhost",
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    """A connection that has shaken hands."""
    plain = socket.create_connection(("127.0.0.1", port), DEADLINE)
    try:
        return context.wrap_socket(plain, server_hostname=name, session=session)
    except BaseException:
        plain.close()
        raise


def is_taken(port: int, context: ssl.SSLContext, name: str = "localhost") -> bool:
    """Whether the proxy serves such a client."""
    try:
        return "200 OK" in shake(port, context, name).answer
    except OSError:
        return False


def der(credential: Credential) -> bytes:
    return ssl.PEM_cert_to_DER_cert(credential.leaf_pem)


def version(only: ssl.TLSVersion, ciphers: str | None = None, **more: Any) -> ssl.SSLContext:
    """A client of one version."""
    context = client_context(**more)
    context.minimum_version = context.maximum_version = only
    if ciphers:
        context.set_ciphers(ciphers)
    return context


TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Terminator:
    """A process whose listeners each have a transport socket of their own and answer 200."""

    def __init__(self, start: StartMesh, folder: Path) -> None:
        self._start = start
        self.folder = folder
        self.ca = Authority(folder / "ca")
        self.admin_port = free_port()
        self.proxy: Proxy

    def __call__(self, *sockets: config.Tree, **more: Any) -> list[int]:
        """Serve; returns the ports."""
        ports = [free_port() for _ in sockets]
        self.serve(
            [
                tls_config.https(f"l{i}", port, config.hcm(OK), tls, **more)
                for i, (port, tls) in enumerate(zip(ports, sockets, strict=True))
            ]
        )
        return ports

    def serve(
        self, listeners: list[config.Tree], clusters: tuple[config.Tree, ...] = (), *flags: str
    ) -> Proxy:
        text = config.bootstrap(self.admin_port, listeners, list(clusters))
        self.proxy = self._start(text, self.admin_port, *flags)
        return self.proxy

    def stat(self, port: int, name: str) -> int:
        """A listener's counter; 0 if it has never counted."""
        return self.proxy.stat(f"listener.127.0.0.1_{port}.{name}") or 0

    def counts(self, port: int, name: str, times: int) -> bool:
        """Whether a counter comes to so many and no more; what a client knows of the end of its
        handshake may be ahead of it."""
        return self.proxy.wait_stat(f"listener.127.0.0.1_{port}.{name}", times) == times


class Originator:
    """A plain listener, clusters under TLS, and what the upstreams saw."""

    def __init__(self, terminate: Terminator) -> None:
        self._terminate = terminate
        self.port = free_port()
        self.log = terminate.folder / "access.log"
        self._asked = 0

    def serve(self, *clusters: config.Tree) -> Proxy:
        """Each cluster under a prefix of its name."""
        routes = [config.route(f"/{c['name']}", c["name"]) for c in clusters]
        fields = ("REQ(:PATH)", "RESPONSE_FLAGS", "UPSTREAM_TRANSPORT_FAILURE_REASON")
        kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
        text = {"inline_string": "\t".join(f"%{f}%" for f in fields) + "\n"}
        log = {"@type": kind, "path": str(self.log), "log_format": {"text_format_source": text}}
        manager = config.hcm(
            config.route_config("local", *routes), access_log=[{"name": "log", "typed_config": log}]
        )
        listener = config.listener("web", self.port, manager)
        return self._terminate.serve([listener], clusters)

    def ask(self, cluster: str, host: str = "host.test") -> int:
        """The status."""
        self._asked += 1
        with Connection(self.port) as conn:
            return conn.request(f"GET /{cluster} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status

    def logged(self) -> list[list[str]]:
        """What the log has of all that was asked: path, flags and reason."""
        until(lambda: self.log.exists() and self.log.read_text().count("\n") >= self._asked)
        return [line.split("\t") for line in self.log.read_text().splitlines()]
