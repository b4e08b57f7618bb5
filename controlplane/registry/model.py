"""What the registry knows of a service, in one form for Kubernetes' and Istio's kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controlplane.world.proxy import NOWHERE, Locality

#: How the hosts of a service are found.
#: `EDS`: the registry has them. `DNS`, `DNS_ROUND_ROBIN`, `DYNAMIC_DNS`: the proxy asks.
#: `PASSTHROUGH`: where the client was going. `ALIAS`: another service (ExternalName).
Resolution = Literal["EDS", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS", "PASSTHROUGH", "ALIAS"]


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a service."""

    number: int
    name: str
    #: One of `protocols.PROTOCOLS`; `auto` is to be found out from the bytes.
    protocol: str
    #: Number, or the name of a port of the workload (Kubernetes' targetPort).
    target: int | str


@dataclass(frozen=True, slots=True)
class Service:
    """A host name with ports. Its endpoints are another question: `endpoints.endpoints`."""

    #: Fully qualified: `reviews.default.svc.cluster.local`; may begin with `*.`.
    host: str
    namespace: str
    #: The short name: `reviews`; of a ServiceEntry its host.
    name: str
    #: The kind that defines it: `Service` or `ServiceEntry`, and the name of that resource.
    kind: str
    resource: str
    ports: tuple[Port, ...]
    resolution: Resolution
    #: VIPs and CIDRs; empty for headless services.
    addresses: tuple[str, ...] = ()
    #: Given by us, where none was given: `addresses.allocated`.
    auto_address: str = ""
    external: bool = False
    #: Namespaces that see it, `*` is all.
    export_to: tuple[str, ...] = ("*",)
    labels: tuple[tuple[str, str], ...] = ()
    #: Labels that its workloads have; empty: they are named one by one.
    selector: tuple[tuple[str, str], ...] = ()
    #: SANs that its hosts may have, besides their own identities.
    subject_alt_names: tuple[str, ...] = ()
    headless: bool = False
    #: Kubernetes' `trafficDistribution`, "" where it has none.
    traffic_distribution: str = ""
    #: For ALIAS: the host that it stands for.
    alias: str = ""
    #: Hosts of the services that stand for this one.
    aliases: tuple[str, ...] = ()
    #: Other ServiceEntries of the same host and namespace, whose ports are among its own.
    also: tuple[str, ...] = ()
    #: Kubernetes' `internalTrafficPolicy: Local`: only hosts of the client's own node.
    node_local: bool = False
    #: Kubernetes' `publishNotReadyAddresses`.
    not_ready_too: bool = False
    created: float = 0.0

    def __hash__(self) -> int:
        # Services are arguments of queries, hashed at every call: what tells them apart will do.
        return hash((self.host, self.namespace))

    def port(self, number: int) -> Port | None:
        return next((port for port in self.ports if port.number == number), None)

    def visible_in(self, namespace: str) -> bool:
        return "*" in self.export_to or namespace in self.export_to


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One host of one port of a service."""

    #: IP, unix path, or a DNS name (services of resolution DNS).
    address: str
    port: int
    namespace: str
    #: Name of the workload (pod, WorkloadEntry), "" if unknown.
    workload: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    service_account: str = ""
    locality: Locality = NOWHERE
    network: str = ""
    cluster: str = ""
    weight: int = 1
    #: Whether a sidecar is there that takes mutual TLS (`security.istio.io/tlsMode`).
    mutual_tls: bool = False
    health: Literal["HEALTHY", "UNHEALTHY", "DRAINING"] = "HEALTHY"
    #: Of Kubernetes; "" if unknown.
    node: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that runs and has an address: a Pod or a WorkloadEntry."""

    namespace: str
    name: str
    address: str
    labels: tuple[tuple[str, str], ...] = ()
    #: Numbers by name: container ports, or the entry's `ports`.
    ports: tuple[tuple[str, int], ...] = ()
    service_account: str = ""
    locality: Locality = NOWHERE
    network: str = ""
    cluster: str = ""
    weight: int = 1
    mutual_tls: bool = False
    health: Literal["HEALTHY", "UNHEALTHY", "DRAINING"] = "HEALTHY"
    #: An entry's `ports` name the service's ports; a pod's name its containers'.
    ports_of_service: bool = False
    #: Of Kubernetes; "" if unknown.
    node: str = ""
    #: Whether requests may be sent to it already.
    ready: bool = True
