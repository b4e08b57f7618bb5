"""Fields of Sidecar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controlplane.resources.common.connection_pool import ConnectionPoolSettings
from controlplane.resources.common.destination import Destination
from controlplane.resources.common.port import SidecarPort
from controlplane.resources.common.selector import WorkloadSelector
from controlplane.resources.common.tls import ServerTLSSettings

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]


@dataclass(frozen=True, slots=True)
class IstioIngressListener:
    """A port on which the workload is reached."""

    port: SidecarPort
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    #: `127.0.0.1:PORT`, `0.0.0.0:PORT` (the pod's own address) or `unix:///path`; "" is the port.
    default_endpoint: str = ""
    tls: ServerTLSSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


@dataclass(frozen=True, slots=True)
class IstioEgressListener:
    """Hosts that the workload may call, on one port or (port not given) on all."""

    #: `namespace/host`; namespaces `.`, `*` and `~` (none).
    hosts: tuple[str, ...]
    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"


@dataclass(frozen=True, slots=True)
class OutboundTrafficPolicy:
    """What happens to destinations that the registry does not know."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What sidecars open and see."""

    workload_selector: WorkloadSelector | None = None
    ingress: tuple[IstioIngressListener, ...] = ()
    egress: tuple[IstioEgressListener, ...] = ()
    inbound_connection_pool: ConnectionPoolSettings | None = None
    #: None is MeshConfig's.
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
