"""The protocol of a port, from its name or `appProtocol` (Istio: Protocol Selection)."""

from __future__ import annotations

#: By the word in a port's name, a dash, and anything: `http-web`.
PROTOCOLS = (
    "auto", "grpc", "grpc-web", "http", "http2", "https", "hbone", "mongo", "mysql", "redis",
    "tcp", "tls", "udp",
)  # fmt: skip

#: Kubernetes' standard values of appProtocol.
_APP_PROTOCOLS = {
    "kubernetes.io/h2c": "http2",
    "kubernetes.io/ws": "http",
    "kubernetes.io/wss": "https",
}
_HTTP = frozenset({"http", "http2", "grpc", "grpc-web"})
_HTTP2 = frozenset({"http2", "grpc", "grpc-web"})
#: Ports whose server speaks first, so that nothing may wait for the client's bytes; Istio treats
#: them as TCP where they have no name.
_SERVER_FIRST = frozenset({25, 3306, 27017})


def of_port(transport: str, name: str, app_protocol: str, number: int) -> str:
    """The protocol of a Kubernetes port. `transport` is its `protocol`: TCP, UDP, SCTP."""
    if transport == "UDP":
        return "udp"
    if app_protocol:
        return _APP_PROTOCOLS.get(app_protocol) or _known(app_protocol) or "auto"
    if number in _SERVER_FIRST and not _named(name):
        return "tcp"
    return _named(name) or "auto"


def of_name(protocol: str) -> str:
    """The protocol that ServiceEntry, Gateway and Sidecar write as a word: HTTP, GRPC-WEB."""
    return _known(protocol) or "tcp"


def is_http(protocol: str) -> bool:
    """Whether requests can be seen."""
    return protocol in _HTTP


def is_http2(protocol: str) -> bool:
    """Whether hosts are spoken to in HTTP/2."""
    return protocol in _HTTP2


def is_tls(protocol: str) -> bool:
    """Whether clients speak TLS through us, so that only SNI can be seen."""
    return protocol in {"https", "tls"}


def _named(name: str) -> str:
    lower = name.lower()
    if lower == "grpc-web" or lower.startswith("grpc-web-"):
        return "grpc-web"
    return _known(lower.split("-", 1)[0])


def _known(word: str) -> str:
    lower = word.lower()
    return lower if lower in PROTOCOLS and lower != "auto" else ""
