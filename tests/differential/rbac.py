"""A proxy whose listeners each ask RBAC rules, and the clients that try them.

A scene is a listener: rules, what is behind them (a TCP proxy to an echo, or a connection manager),
TLS or not, and listener filters. Clients differ in where they come from, in what they show of
themselves, and in what they do.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tests.differential.chains import proxy_v2
from tests.support import config, tls_config
from tests.support.certs import Authority, Credential, client_context
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import TcpServer, read_all, read_exactly, wait_for

Tree = dict[str, Any]
_RBAC = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"
_HTTP_RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_SHADOW = "envoy.filters.network.rbac:"
_FORMAT = "%FILTER_CHAIN_NAME% " + " ".join(
    f"{name}=%{name}%"
    for name in (
        "ACCESS_LOG_TYPE",
        "PROTOCOL",
        "RESPONSE_CODE",
        "RESPONSE_FLAGS",
        "RESPONSE_CODE_DETAILS",
        "CONNECTION_TERMINATION_DETAILS",
        "UPSTREAM_CLUSTER",
        "UPSTREAM_TRANSPORT_FAILURE_REASON",
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_PEER_URI_SAN",
    )
)
_FORMAT += "".join(
    f" {label}=%DYNAMIC_METADATA({key})%"
    for label, key in (
        ("SHADOW", _SHADOW + "shadow_engine_result"),
        ("SHADOW_POLICY", _SHADOW + "shadow_effective_policy_id"),
        ("DRY_SHADOW", _SHADOW + "dry_shadow_engine_result"),
        ("DRY_SHADOW_POLICY", _SHADOW + "dry_shadow_effective_policy_id"),
        ("HINT", "envoy.common:access_log_hint"),
    )
)
_TCP_FORMAT = _FORMAT + "".join(
    f" {name}=%{name}%"
    for name in (
        "BYTES_RECEIVED",
        "BYTES_SENT",
        "DOWNSTREAM_WIRE_BYTES_RECEIVED",
        "DOWNSTREAM_WIRE_BYTES_SENT",
        "UPSTREAM_WIRE_BYTES_RECEIVED",
        "UPSTREAM_WIRE_BYTES_SENT",
    )
)
_COUNTER = re.compile(r"envoy_(.*_)?(allowed|denied)\{")
ALLOWED, CLOSED = "allowed", "closed"
ORG, SERVICE = "spiffe://cluster.local/ns/prod/sa/web", "spiffe://cluster.local/ns/dev/sa/web"


@dataclass(frozen=True)
class Client:
    """Where a client comes from, what it shows (`cert`: a credential's name), what it does."""

    id: str
    bind: str = "127.0.0.1"
    tls: bool = False
    sni: str | None = None
    alpn: str = ""
    cert: str = ""
    source: str = ""  # As PROXY protocol has it.
    team: str = ""  # A TLV of it.
    joined: bool = False  # It says the first bytes with the header.
    does: str = "talk"


# What they do: `talk` and end, `twice`, end in silence, wait for what the host says first, ask.
PLAIN = (
    Client("local"),
    Client("two", bind="127.0.0.2"),
    Client("net", bind="127.1.2.3"),
    Client("silent", does="silent"),
)
TLS = (
    Client("nobody", tls=True, sni="a.test"),
    Client("nameless", tls=True),
    Client("prod", tls=True, sni="A.test", cert="prod"),
    Client("dev", tls=True, sni="b.test", cert="dev"),
    Client("dns", tls=True, sni="b.test", cert="dns"),
    Client("both", tls=True, sni="deep.a.test", cert="both"),
    Client("subject", tls=True, sni="a.test", cert="subject"),
    Client("tls-silent", tls=True, sni="a.test", cert="prod", does="silent"),
)
UNTRUSTED = (
    Client("rogue", tls=True, cert="rogue"),
    Client("no-rogue", tls=True, cert="prod"),
    Client("nobody", tls=True),
)
PROXIED = (
    Client("told", source="10.1.2.3:4000"),
    Client("told-other", source="11.1.2.3:4000", bind="127.0.0.2"),
    Client("told-v6", source="[fd00::1]:4000"),
    Client("red", source="10.1.2.3:4000", team="red"),
    Client("joined", source="10.1.2.3:4000", team="red", joined=True),
    Client("blue", source="10.1.2.3:4000", team="blue"),
)
HTTP = (
    Client("h1", does="h1"),
    Client("h1-two", does="h1", bind="127.0.0.2"),
    Client("h2c", does="h2"),
    Client("h2c-two", does="h2", bind="127.0.0.2"),
    Client("http-silent", does="silent"),
)
HTTPS = (
    Client("h1s", tls=True, alpn="http/1.1", cert="prod", does="h1"),
    Client("h1s-dev", tls=True, alpn="http/1.1", cert="dev", does="h1"),
    Client("h2s", tls=True, alpn="h2", cert="prod", does="h2"),
    Client("h2s-dev", tls=True, alpn="h2", cert="dev", does="h2"),
)


@dataclass(frozen=True)
class Scene:
    """A listener. `filters`: a list of RBAC configurations, YAML without type and stat_prefix."""

    id: str
    filters: str
    clients: tuple[Client, ...] = PLAIN
    http: bool = False
    inside: bool = False  # The connection manager asks, for each request.
    inspects: bool = True
    trusts_all: bool = False
    prefix: str = ""
    host: str = "echo"

    @property
    def is_tls(self) -> bool:
        """Its clients speak TLS."""
        return self.clients[0].tls

    def rbac(self) -> list[Tree]:
        """The network filters before the last one."""
        if self.inside:
            return []
        prefix = self.prefix or self.id
        trees = yaml.safe_load(self.filters)
        names = "envoy.filters.network.rbac"
        return [
            tls_config.network_filter(names, {"@type": _RBAC, "stat_prefix": prefix, **tree})
            for tree in trees
        ]

    def http_filters(self) -> Tree:
        """The fields of the connection manager that ask the rules, if it does."""
        if not self.inside:
            return {}
        trees = yaml.safe_load(self.filters)
        asked = [
            tls_config.network_filter(f"rbac{n}", {"@type": _HTTP_RBAC, **tree})
            for n, tree in enumerate(trees)
        ]
        router = tls_config.network_filter("router", {"@type": config.ROUTER})
        return {"http_filters": [*asked, router]}

    def asked_by_requests(self) -> Scene:
        """The same rules and clients, asked for each request."""
        clients = (
            replace(client, does="h1", alpn="http/1.1" if client.tls else "")
            for client in self.clients
            if client.does == "talk"
        )
        return replace(
            self, id=f"in_{self.id}", http=True, inside=True, prefix="", clients=tuple(clients)
        )


@dataclass(frozen=True)
class Seen:
    """What came of a run: by scene and client, lines by scene, and the statistics."""

    outcomes: dict[tuple[str, str], str]
    lines: dict[str, list[str]]
    stats: dict[str, str]
    tagged: list[str]  # The same for Prometheus.


class RbacLab:
    """One proxy in turn, over one echo."""

    def __init__(self, folder: Path, scenes: Sequence[Scene]) -> None:
        self.folder = folder
        self.scenes = scenes
        # One port, and an address of its own for each: a hundred ports would meet those of others,
        # and listeners that share one (SO_REUSEPORT) share its connections.
        self.port = free_port()
        self.hosts = {scene.id: f"127.77.0.{n}" for n, scene in enumerate(scenes, 1)}
        self.admin_port = free_port()
        self.ca = Authority(folder / "ca")
        self.server = self.ca.server()
        self.credentials: dict[str, Credential] = {
            "prod": self.ca.issue("prod", uris=[ORG]),
            "dev": self.ca.issue("dev", uris=[SERVICE]),
            "dns": self.ca.issue("dns", dns=["web.test", "other.test", "*.wild.test"]),
            "both": self.ca.issue("both", uris=["spiffe://x/y", ORG], dns=["web.test"]),
            "subject": self.ca.issue("subject"),
            "rogue": Authority(folder / "other").issue("rogue", uris=[ORG]),
        }

    def run(self, kind: str) -> Seen:
        """Every client of every scene, one after the other."""
        with (
            TcpServer() as echo,
            TcpServer(_greet) as greet,
            Proxy(
                kind, self._bootstrap(kind, echo, greet), self.folder / kind, self.admin_port
            ) as proxy,
        ):
            outcomes = {
                (scene.id, client.id): self._try(scene, client)
                for scene in self.scenes
                for client in scene.clients
            }
            wait_for(lambda: self._is_logged(kind), "the logs")
            text = proxy.admin("GET", "/stats")[1]
            prometheus = proxy.admin("GET", "/stats/prometheus")[1]
        rows = [line.split(": ", 1) for line in text.splitlines() if "rbac" in line]
        tagged = [line for line in prometheus.splitlines() if _COUNTER.match(line)]
        return Seen(outcomes, self._lines(kind), dict(rows), tagged)

    def _bootstrap(self, kind: str, echo: TcpServer, greet: TcpServer) -> str:
        clusters = [config.cluster("echo", echo.port), config.cluster("greet", greet.port)]
        return config.bootstrap(
            self.admin_port, [self._listener(kind, scene) for scene in self.scenes], clusters
        )

    def _listener(self, kind: str, scene: Scene) -> Tree:
        log = {"access_log": _log(self._log(kind), _FORMAT if scene.http else _TCP_FORMAT)}
        if scene.http:
            direct = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
            routes = config.route_config("r", direct)
            more = {**log, **scene.http_filters(), "delayed_close_timeout": "0.05s"}
            manager = config.hcm(routes, stat_prefix=scene.id, **more)
            last = tls_config.http_filter(manager)
        else:
            last = tls_config.tcp_proxy(scene.host, stat_prefix=scene.id, **log)
        tls = None
        if scene.is_tls:
            lax = {"trust_chain_verification": "ACCEPT_UNTRUSTED"} if scene.trusts_all else {}
            trust = tls_config.validation(self.ca.cert, **lax)
            tls = tls_config.downstream_tls(self.server, trust=trust)
        chain = tls_config.chain(*scene.rbac(), last, tls=tls, name=scene.id)
        inspectors = [tls_config.tls_inspector()] if scene.is_tls and scene.inspects else []
        if scene.clients[0].source:
            inspectors.append(
                tls_config.listener_filter(
                    "proxy_protocol", "proxy_protocol.v3.ProxyProtocol", rules=[_TEAM]
                )
            )
        where = config.address(self.port, self.hosts[scene.id])
        return tls_config.listener(
            scene.id, self.port, chain, listener_filters=inspectors, address=where, **log
        )

    def _try(self, scene: Scene, client: Client) -> str:
        target = (self.hosts[scene.id], self.port)
        conn = socket.create_connection(target, 20, source_address=(client.bind, 0))
        with contextlib.closing(conn), contextlib.suppress(ConnectionError, ssl.SSLError):
            if client.source:
                conn.send(_proxy_header(client), socket.MSG_MORE if client.joined else 0)
            if client.tls:
                credential = self.credentials.get(client.cert)
                context = client_context(
                    None, credential, alpn=[client.alpn] if client.alpn else []
                )
                conn = context.wrap_socket(conn, server_hostname=client.sni)
            with contextlib.closing(conn):
                return _DOES[client.does](conn)
        return CLOSED

    def _log(self, kind: str) -> Path:
        return self.folder / f"{kind}.log"

    def _lines(self, kind: str) -> dict[str, list[str]]:
        """By scene, in no order: who logs first of two that end at once is chance."""
        path = self._log(kind)
        lines = path.read_text().splitlines() if path.exists() else []
        return {
            scene.id: sorted(line for line in lines if line.startswith(f"{scene.id} "))
            for scene in self.scenes
        }

    def _is_logged(self, kind: str) -> bool:
        """Each connection has its line of the listener."""
        ends = [line for lines in self._lines(kind).values() for line in lines if _END in line]
        return len(ends) == sum(len(scene.clients) for scene in self.scenes)


_TEAM_TYPE = 0xEA
_TEAM = {"tlv_type": _TEAM_TYPE, "on_tlv_present": {"key": "team"}}
_END = "ACCESS_LOG_TYPE=NotSet"
_ANY4, _ANY6 = "10.9.9.9:80", "[fd00::9]:80"


def _proxy_header(client: Client) -> bytes:
    head = proxy_v2(client.source, _ANY6 if "[" in client.source else _ANY4)
    if not client.team:
        return head
    tlv = struct.pack("!BH", _TEAM_TYPE, len(client.team)) + client.team.encode()
    length = struct.pack("!H", len(head) - 16 + len(tlv))
    return head[:14] + length + head[16:] + tlv


def _greet(conn: socket.socket) -> None:
    conn.sendall(b"hi")
    while data := conn.recv(65536):
        conn.sendall(data)


def _log(path: Path, text: str) -> list[Tree]:
    form = {"text_format_source": {"inline_string": text + "\n"}}
    typed = {"@type": _LOG, "path": str(path), "log_format": form}
    return [{"name": "file", "typed_config": typed}]


def _end(conn: socket.socket) -> bytes:
    """End our side, and wait for the other one's end."""
    with contextlib.suppress(OSError):
        if isinstance(conn, ssl.SSLSocket):
            conn.unwrap()
            return b""
        conn.shutdown(socket.SHUT_WR)
    return read_all(conn)


def _talk(conn: socket.socket) -> str:
    conn.sendall(b"hello")
    heard = read_exactly(conn, 5)
    _end(conn)
    return ALLOWED if heard == b"hello" else CLOSED


def _twice(conn: socket.socket) -> str:
    conn.sendall(b"hello")
    first = read_exactly(conn, 5)
    conn.sendall(b"again")
    second = read_exactly(conn, 5)
    _end(conn)
    return ALLOWED if first + second == b"helloagain" else CLOSED


def _silent(conn: socket.socket) -> str:
    return f"said nothing, heard {_end(conn)!r}"


def _listen(conn: socket.socket) -> str:
    heard = read_exactly(conn, 2)
    conn.sendall(b"hello")
    answer = read_exactly(conn, 5)
    _end(conn)
    return f"{heard!r}, then {answer!r}"


def _h1(conn: socket.socket) -> str:
    conn.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    heard = read_all(conn)
    return heard.split(b"\r\n")[0].decode() or CLOSED


def _h2(conn: socket.socket) -> str:
    """The client's preface; the server's first frame is its answer."""
    conn.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    heard = read_exactly(conn, 9)
    return f"frame {heard[3]}" if heard else CLOSED


_DOES = {
    "talk": _talk,
    "twice": _twice,
    "silent": _silent,
    "listen": _listen,
    "h1": _h1,
    "h2": _h2,
}
