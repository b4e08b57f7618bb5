"""What a proxy is asked to do, the same for every peer."""

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path


class Wire(Enum):
    """What one side of a proxy speaks. HTTP/2 without TLS is by prior knowledge; TLS is 1.3 with
    TLS_AES_128_GCM_SHA256 and X25519, and names the protocol by ALPN."""

    H1 = auto()
    H2 = auto()
    TLS_H1 = auto()
    TLS_H2 = auto()
    #: With a certificate of the client's too, as between the sidecars of a mesh.
    MTLS_H2 = auto()
    TCP = auto()

    @property
    def tls(self) -> bool:
        return self in {Wire.TLS_H1, Wire.TLS_H2, Wire.MTLS_H2}

    @property
    def mutual(self) -> bool:
        return self is Wire.MTLS_H2

    @property
    def h2(self) -> bool:
        return self in {Wire.H2, Wire.TLS_H2, Wire.MTLS_H2}

    @property
    def alpn(self) -> str:
        return "h2" if self.h2 else "http/1.1"


class Carries(Enum):
    """What is in the requests, for the peers that must be told."""

    REQUESTS = auto()
    GRPC = auto()
    WEBSOCKET = auto()


@dataclass(frozen=True)
class Setup:
    """What is spoken on both sides, and the size of the configuration. One route is `/`; more are
    `/svc-<i>/`, each to the cluster `i % clusters`; every cluster has the one origin server.
    `connections` is for the peers that set aside memory for as many as they are told."""

    routes: int = 1
    clusters: int = 1
    connections: int = 1024
    downstream: Wire = Wire.H1
    upstream: Wire = Wire.H1
    carries: Carries = Carries.REQUESTS

    @property
    def origin(self) -> str:
        """The origin server that speaks what is spoken upstream. Between two sidecars there is
        none: see `measure.started`."""
        if self.carries is Carries.WEBSOCKET:
            return "websocket"
        if self.upstream is Wire.TCP:
            return "tcp"
        return "h2" if self.upstream.h2 else "h1"

    def prefixes(self) -> list[tuple[str, int]]:
        """(prefix, cluster) of each route, in order."""
        if self.routes == 1:
            return [("/", 0)]
        return [(f"/svc-{i}/", i % self.clusters) for i in range(self.routes)]


@dataclass(frozen=True)
class Probe:
    """A peer is ready when this path answers 200 with that text; without a path, when the port
    takes connections."""

    port: int
    path: str | None
    text: str = ""


@dataclass(frozen=True)
class Site:
    """Where a peer listens, whom it forwards to, and where its files go."""

    setup: Setup
    listen: int
    admin: int
    upstream: int
    folder: Path

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)
