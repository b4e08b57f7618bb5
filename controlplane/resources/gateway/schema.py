"""Fields of Gateway (networking.istio.io, not the Gateway API)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controlplane.resources.common.port import ServerPort
from controlplane.resources.common.tls import ServerTLSSettings


@dataclass(frozen=True, slots=True)
class Server:
    """A port and the hosts that are served on it."""

    port: ServerPort
    #: `[namespace/]host`; namespaces `.` and `*`.
    hosts: tuple[str, ...]
    bind: str = ""
    tls: ServerTLSSettings | None = None
    #: Never had an effect in Istio.
    default_endpoint: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Ports that a gateway's proxies open."""

    servers: tuple[Server, ...] = ()
    #: None is every gateway workload.
    selector: Mapping[str, str] = field(default_factory=dict)
