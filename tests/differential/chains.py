"""A proxy whose filter chains each lead to an upstream that says the chain's name.

What a client says first (PROXY protocol, a ClientHello, a request line) is up to the case: listener
filters look at it, `FilterChainMatch` chooses, and TCP proxies carry it to whatever upstream.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.config import address, bootstrap, cluster
from tests.support.ports import free_port
from tests.support.proxies import Proxy

Tree = dict[str, Any]
_FILTERS = "type.googleapis.com/envoy.extensions.filters."
_TCP_PROXY = _FILTERS + "network.tcp_proxy.v3.TcpProxy"
LISTENER_FILTERS = {
    "proxy_protocol": _FILTERS + "listener.proxy_protocol.v3.ProxyProtocol",
    "tls_inspector": _FILTERS + "listener.tls_inspector.v3.TlsInspector",
    "http_inspector": _FILTERS + "listener.http_inspector.v3.HttpInspector",
    "original_dst": _FILTERS + "listener.original_dst.v3.OriginalDst",
}
CLOSED = "(closed)"


@dataclass(frozen=True)
class Scene:
    """One listener: its filters, and the criteria of its chains by name, as YAML."""

    id: str
    chains: str
    # Names, or names and configurations; `<name>_but_for_<port>` is disabled for that port.
    filters: Sequence[str | tuple[str, str]] = ("proxy_protocol", "tls_inspector")
    more: str = "{}"  # other fields of the listener

    def listener(self, port: int) -> Tree:
        """The Listener resource; the chain `default` is the default one."""
        chains = yaml.safe_load(self.chains)
        tree: Tree = {
            "name": self.id,
            "address": address(port),
            "listener_filters": [_listener_filter(f) for f in self.filters],
            "filter_chains": [_chain(n, m) for n, m in chains.items() if n != "default"],
        }
        if "default" in chains:
            tree["default_filter_chain"] = _chain("default", None)
        return {**tree, **yaml.safe_load(self.more)}


def _listener_filter(which: str | tuple[str, str]) -> Tree:
    name, more = which if isinstance(which, tuple) else (which, "{}")
    name, _, but_for = name.partition("_but_for_")
    config = {"@type": LISTENER_FILTERS[name], **yaml.safe_load(more)}
    tree: Tree = {"name": f"envoy.filters.listener.{name}", "typed_config": config}
    if but_for:
        ports = {"start": int(but_for), "end": int(but_for) + 1}
        tree["filter_disabled"] = {"destination_port_range": ports}
    return tree


def _chain(name: str, match: Tree | None) -> Tree:
    config = {"@type": _TCP_PROXY, "stat_prefix": name, "cluster": name}
    chain: Tree = {
        "name": name,
        "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": config}],
    }
    return {**chain, "filter_chain_match": match} if match else chain


class Says:
    """A TCP server that says a name to every client and closes."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                with client:
                    client.sendall(self._name)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass

    def stop(self) -> None:
        """No more clients."""
        self._socket.close()


class ChainLab:
    """A proxy serving scenes, each on a port of its own."""

    def __init__(self, kind: str, scenes: Sequence[Scene], workdir: Path) -> None:
        names = sorted({name for scene in scenes for name in yaml.safe_load(scene.chains)})
        self._upstreams = {name: Says(name) for name in names}
        self._ports = {scene.id: free_port() for scene in scenes}
        admin = free_port()
        text = bootstrap(
            admin,
            [scene.listener(self._ports[scene.id]) for scene in scenes],
            [cluster(name, up.port) for name, up in self._upstreams.items()],
        )
        self.proxy = Proxy(kind, text, workdir, admin)
        self.proxy.wait_ready()

    def chain_of(self, scene: Scene, said: Said) -> str:
        """The name of the chain that took a connection, or that it was closed."""
        target = (said.host, self._ports[scene.id])
        source = (said.bind, 0) if said.bind else None
        with socket.create_connection(target, timeout=10, source_address=source) as client:
            heard = b""
            with contextlib.suppress(ConnectionError):
                for part in said.parts:
                    client.sendall(part)
                while data := client.recv(4096):
                    heard += data
        return heard.decode() or CLOSED

    def stop(self) -> None:
        """End the proxy and the upstreams."""
        self.proxy.stop()
        for upstream in self._upstreams.values():
            upstream.stop()


@dataclass(frozen=True)
class Said:
    """What a client says, in the pieces it says it in, and from where."""

    parts: tuple[bytes, ...]
    bind: str = ""
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Client:
    """A client as PROXY protocol describes it, with TLS or without."""

    to: str = "10.0.0.1:80"
    source: str = "192.168.1.1:4000"
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    tls: bool = False
    bind: str = ""

    def says(self) -> Said:
        """PROXY v2, then a ClientHello or text of no protocol."""
        head = proxy_v2(self.source, self.to)
        hello = self.tls or self.sni is not None or bool(self.alpn)
        body = client_hello(self.sni, self.alpn) if hello else b"no protocol\r\n"
        return Said((head + body,), self.bind)


def proxy_v2(source: str, destination: str) -> bytes:
    """The binary header, of TCP over either IP version."""
    ips, ports = [], []
    for text in (source, destination):
        ip, _, port = text.rpartition(":")
        ips.append(ipaddress.ip_address(ip.strip("[]")))
        ports.append(int(port))
    family = 0x11 if ips[0].version == 4 else 0x21
    body = b"".join(ip.packed for ip in ips) + struct.pack("!HH", *ports)
    return b"\r\n\r\n\0\r\nQUIT\n\x21" + struct.pack("!BH", family, len(body)) + body


def client_hello(sni: str | None, alpn: Sequence[str]) -> bytes:
    """The first flight of a TLS client."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(into, out, server_hostname=sni)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return out.read()
