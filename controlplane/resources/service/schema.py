"""Fields of Kubernetes' Service that a mesh reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from controlplane.resources.schema import Port


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port; its protocol in the mesh is `app_protocol`, or what the name begins with."""

    port: Port
    name: str = ""
    #: "" is TCP.
    protocol: Literal["", "TCP", "UDP", "SCTP"] = ""
    app_protocol: str = ""
    #: Number or name of a container's port; None is `port`.
    target_port: int | str | None = None
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """The service."""

    ports: tuple[ServicePort, ...] = ()
    #: None: endpoints are written by hand.
    selector: Mapping[str, str] = field(default_factory=dict)
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    #: `None` is headless.
    cluster_ip: str = field(default="", metadata={"name": "clusterIP"})
    cluster_ips: tuple[str, ...] = field(default=(), metadata={"name": "clusterIPs"})
    external_ips: tuple[str, ...] = field(default=(), metadata={"name": "externalIPs"})
    external_name: str = ""
    load_balancer_ip: str = field(default="", metadata={"name": "loadBalancerIP"})
    publish_not_ready_addresses: bool = False
    internal_traffic_policy: Literal["", "Cluster", "Local"] = ""
    external_traffic_policy: Literal["", "Cluster", "Local"] = ""
    session_affinity: Literal["", "None", "ClientIP"] = ""
    #: `PreferClose` (`PreferSameZone`) and `PreferSameNode`.
    traffic_distribution: str = ""


@dataclass(frozen=True, slots=True)
class LoadBalancerIngress:
    """Where a load balancer is reached."""

    ip: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class LoadBalancerStatus:
    """All its addresses."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What the cloud has given."""

    load_balancer: LoadBalancerStatus | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the registry."""

    spec: ServiceSpec = field(default_factory=ServiceSpec)
    status: ServiceStatus = field(default_factory=ServiceStatus)
