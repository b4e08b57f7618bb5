"""What an operator may choose about the discovery server."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Debounce:
    """When a change leaves: after so long without another, but never later than the cap."""

    quiet: float = 0.1
    cap: float = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what clients can make us hold or do."""

    streams: int = 10_000
    #: Of one identity: a service account's replicas.
    streams_per_identity: int = 2_000
    streams_per_connection: int = 1_000
    #: First full states that are worked out and sent at the same time.
    building: int = 100
    #: How long a newcomer may hold such a place; then the next has its turn.
    building_seconds: float = 1.0
    #: Types and names that one stream may subscribe to.
    types: int = 16
    names: int = 50_000
    #: Names that nobody else follows, of one identity: each is worked out and kept for it alone.
    topics_per_identity: int = 100_000
    request_bytes: int = 4 * MIB
    #: Connections of a port, those that have proved nothing yet among them.
    connections: int = 20_000
    #: Of the port for newcomers, where anybody is let in to show a token: few streams, small
    #: requests, and no connection without a stream of somebody known.
    join_connections: int = 1_000
    join_streams_per_connection: int = 4
    join_window_bytes: int = 16 * KIB
    join_request_bytes: int = 256 * KIB
    join_idle_seconds: float = 10.0
    #: TLS and HTTP/2 must have begun within this time.
    handshake_seconds: float = 10.0
    node_bytes: int = 64 * KIB
    header_bytes: int = 16 * KIB
    #: Joined responses that are kept for the next stream that gets the same.
    cached_bytes: int = 32 * MIB
    #: A first request must come within this time.
    first_request_seconds: float = 10.0
    #: How long listeners and routes wait for clusters, and for endpoints that nobody asks for; how
    #: long a client that comes back keeps what is gone meanwhile.
    patience_seconds: float = 2.0
    #: What a status answer may hold.
    status_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class Keepalive:
    """As istiod sets it."""

    interval: float = 30.0
    timeout: float = 10.0
    #: Connections are told to come anew after this, so that load spreads and proofs are renewed.
    connection_age: float = 1800.0
    connection_grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """Of `DiscoveryServer`. Addresses are `host:port` (port 0: any free one) or `unix:/path`."""

    #: TLS, istiod's 15012: needs `credentials`.
    secure: str = ""
    credentials: grpc.ServerCredentials | None = None
    #: TLS for those who have no certificate yet and show a token: needs `join_credentials`.
    join: str = ""
    join_credentials: grpc.ServerCredentials | None = None
    #: Without TLS, istiod's 15010: loopback or a unix socket only.
    plaintext: str = ""
    #: For development: on the plaintext port a node is what it claims to be, and may see the
    #: status of all.
    trust_plaintext: bool = False
    #: HTTP on loopback for people and Prometheus, istiod's 15014; "" is none.
    debug: str = ""
    #: Identities (`spiffe://...`) that may ask for the status of all proxies.
    operators: frozenset[str] = frozenset()
    debounce: Debounce = field(default_factory=Debounce)
    limits: Limits = field(default_factory=Limits)
    keepalive: Keepalive = field(default_factory=Keepalive)

    def __post_init__(self) -> None:
        if self.secure and self.credentials is None:
            raise ValueError(f"the secure port {self.secure} needs a certificate (credentials)")
        if self.join and self.join_credentials is None:
            raise ValueError(f"the join port {self.join} needs a certificate (join_credentials)")
        if self.plaintext and not is_local(self.plaintext):
            raise ValueError(
                f"the plaintext port {self.plaintext} would show tokens and configuration to the"
                " network: bind it to 127.0.0.1, [::1] or unix:/path, or use the secure port"
            )
        if self.debug and not is_local(self.debug):
            raise ValueError(f"the debug port {self.debug} must be bound to 127.0.0.1 or [::1]")


def is_local(address: str) -> bool:
    """Is the address out of the network's reach?"""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
