"""Limits and timeouts of connections to a host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controlplane.resources.schema import Int32, Seconds, UInt32

H2UpgradePolicy = Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]


@dataclass(frozen=True, slots=True)
class TcpKeepalive:
    """SO_KEEPALIVE; 0 and None leave the kernel's."""

    probes: UInt32 = 0
    time: Seconds | None = None
    interval: Seconds | None = None


@dataclass(frozen=True, slots=True)
class TCPSettings:
    """For every protocol. 0 is no limit."""

    max_connections: Int32 = 0
    connect_timeout: Seconds | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Seconds | None = None
    #: 0 turns it off.
    idle_timeout: Seconds | None = None


@dataclass(frozen=True, slots=True)
class ConnectionKeepalive:
    """HTTP/2 PING."""

    interval: Seconds | None = None
    timeout: Seconds | None = None


@dataclass(frozen=True, slots=True)
class HTTPSettings:
    """For HTTP/1.1, HTTP/2 and gRPC. 0 is the default."""

    http1_max_pending_requests: Int32 = 0
    http2_max_requests: Int32 = 0
    max_requests_per_connection: Int32 = 0
    max_retries: Int32 = 0
    idle_timeout: Seconds | None = None
    h2_upgrade_policy: H2UpgradePolicy = "DEFAULT"
    use_client_protocol: bool = False
    max_concurrent_streams: Int32 = 0
    http2_keep_alive: ConnectionKeepalive | None = None


@dataclass(frozen=True, slots=True)
class ConnectionPoolSettings:
    """Both halves."""

    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None
