"""Rules of ServiceEntry: hosts, addresses, ports, and what each resolution needs."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import addresses, labels, metadata, names, numbers
from controlplane.resources.rules.workloads import workload
from controlplane.resources.schema import below
from controlplane.resources.service_entry.schema import ServiceEntry

#: The API's bounds of its lists.
_MOST_HOSTS, _MOST_ADDRESSES, _MOST_PORTS, _MOST_ENDPOINTS = 256, 256, 256, 4096
_AUTO_ALLOCATE = "networking.istio.io/enable-autoallocate-ip"
_WAYPOINT = "istio.io/use-waypoint"
_DYNAMIC_PROTOCOLS = frozenset({"http", "http2", "grpc", "tls"})


def validate(spec: ServiceEntry, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from metadata.reserved(meta)
    if spec.workload_selector is not None:
        yield from labels.selector(spec.workload_selector.labels, "spec.workloadSelector.labels")
        if spec.endpoints:
            yield Problem("spec", "workloadSelector, endpoints exclude each other; keep one")
    yield from _sizes(spec)
    yield from _hosts(spec)
    yield from _addresses(spec)
    yield from _ports(spec, meta)
    match spec.resolution:
        case "NONE":
            yield from _none(spec)
        case "STATIC":
            yield from _static(spec)
        case "DNS" | "DNS_ROUND_ROBIN":
            yield from _dns(spec)
        case "DYNAMIC_DNS":
            yield from _dynamic_dns(spec, meta)
    yield from _several_hosts(spec)
    for index, name in enumerate(spec.subject_alt_names):
        if not name:
            yield Problem(f"spec.subjectAltNames[{index}]", "must not be empty")
    yield from names.export_to(spec.export_to, "spec.exportTo", meta.namespace, none_allowed=True)


def _sizes(spec: ServiceEntry) -> Iterator[Problem]:
    for name, values, most in (
        ("hosts", spec.hosts, _MOST_HOSTS),
        ("addresses", spec.addresses, _MOST_ADDRESSES),
        ("ports", spec.ports, _MOST_PORTS),
        ("endpoints", spec.endpoints, _MOST_ENDPOINTS),
    ):
        if len(values) > most:
            reason = f"has {len(values)} entries, {most} at most; split the ServiceEntry"
            yield Problem(f"spec.{name}", reason)


def _hosts(spec: ServiceEntry) -> Iterator[Problem]:
    if not spec.hosts:
        yield Problem("spec.hosts", "must not be empty")
    for index, host in enumerate(spec.hosts):
        at = f"spec.hosts[{index}]"
        if host == "*":
            yield Problem(at, "* would take every host; name hosts, or *.domain")
            continue
        yield from names.wildcard_domain(host, at)
        if spec.resolution != "DYNAMIC_DNS":
            yield from names.partial_wildcard(host, at, warning=True)


def _addresses(spec: ServiceEntry) -> Iterator[Problem]:
    for index, address in enumerate(spec.addresses):
        at = f"spec.addresses[{index}]"
        yield from addresses.subnet(address, at)
        if "/" in address and spec.resolution not in {"NONE", "STATIC"}:
            reason = f"a network is for resolution NONE and STATIC only, not {spec.resolution}"
            yield Problem(at, reason)


def _ports(spec: ServiceEntry, meta: Metadata) -> Iterator[Problem]:
    numbers_seen: dict[int, int] = {}
    names_seen: dict[str, int] = {}
    allocated = spec.resolution not in {"NONE", "DYNAMIC_DNS"}
    allocated = allocated and meta.labels.get(_AUTO_ALLOCATE, "").lower() != "false"
    for index, port in enumerate(spec.ports):
        at = f"spec.ports[{index}]"
        if names_seen.setdefault(port.name, index) != index:
            reason = f"{shown(port.name)} is the name of ports[{names_seen[port.name]}] as well"
            yield Problem(f"{at}.name", f"{reason}; rename it")
        if numbers_seen.setdefault(port.number, index) != index:
            reason = f"{port.number} is the number of ports[{numbers_seen[port.number]}] as well"
            yield Problem(f"{at}.number", f"{reason}; remove one")
        yield from names.port_name(port.name, f"{at}.name")
        yield from names.protocol(port.protocol, f"{at}.protocol")
        yield from numbers.port(port.number, f"{at}.number")
        if port.target_port:
            yield from numbers.port(port.target_port, f"{at}.targetPort")
        if not spec.addresses and not allocated and port.protocol in {"", "TCP"}:
            reason = "without addresses every connection to this port is taken; give addresses"
            yield Problem(at, reason, warning=True)


def _none(spec: ServiceEntry) -> Iterator[Problem]:
    if spec.endpoints:
        reason = "must be empty with resolution NONE; write STATIC or DNS, or remove them"
        yield Problem("spec.endpoints", reason)
    if spec.workload_selector is not None:
        reason = "has no effect with resolution NONE; write STATIC"
        yield Problem("spec.workloadSelector", reason, warning=True)


def _static(spec: ServiceEntry) -> Iterator[Problem]:
    ports = frozenset(port.name for port in spec.ports)
    for index, endpoint in enumerate(spec.endpoints):
        path = f"spec.endpoints[{index}]"
        yield from workload(endpoint, path, service_ports=ports, dns=False)


def _dns(spec: ServiceEntry) -> Iterator[Problem]:
    if not spec.endpoints:
        for index, host in enumerate(spec.hosts):
            if names.is_wildcard_domain(host) and not names.is_fqdn(host):
                reason = f"{shown(host)} cannot be resolved by {spec.resolution}; add endpoints"
                yield Problem(f"spec.hosts[{index}]", reason)
    if spec.resolution == "DNS_ROUND_ROBIN" and len(spec.endpoints) > 1:
        reason = f"DNS_ROUND_ROBIN has one endpoint at most, here are {len(spec.endpoints)}"
        yield Problem("spec.endpoints", reason)
    ports = frozenset(port.name for port in spec.ports)
    for index, endpoint in enumerate(spec.endpoints):
        path = f"spec.endpoints[{index}]"
        if endpoint.address.startswith(addresses.UNIX) or not endpoint.address:
            reason = f"must be a host name or an IP address with resolution {spec.resolution}"
            yield Problem(f"{path}.address", reason)
            continue
        yield from workload(endpoint, path, service_ports=ports)
    if len(spec.hosts) > 1 and spec.addresses:
        for index, port in enumerate(spec.ports):
            if port.protocol.lower() in names.TCP_PROTOCOLS:
                reason = "with addresses, a TCP port can belong to one host only; split the hosts"
                yield Problem(f"spec.ports[{index}]", reason, warning=True)
                break


def _dynamic_dns(spec: ServiceEntry, meta: Metadata) -> Iterator[Problem]:
    for index, host in enumerate(spec.hosts):
        if not host.startswith("*"):
            reason = f"{shown(host)} must be a wildcard with DYNAMIC_DNS; write DNS for one host"
            yield Problem(f"spec.hosts[{index}]", reason)
    for name, given in (("addresses", spec.addresses), ("endpoints", spec.endpoints)):
        if given:
            reason = "must be empty with DYNAMIC_DNS, which asks DNS for the request's host"
            yield Problem(f"spec.{name}", reason)
    for index, port in enumerate(spec.ports):
        if port.protocol.lower() not in _DYNAMIC_PROTOCOLS:
            reason = f"must be HTTP, HTTP2, GRPC or TLS with DYNAMIC_DNS, is {shown(port.protocol)}"
            yield Problem(f"spec.ports[{index}].protocol", reason)
    waypoint = meta.labels.get(_WAYPOINT, "")
    if spec.location == "MESH_INTERNAL" and waypoint and waypoint.lower() != "none":
        reason = "DYNAMIC_DNS of waypoints is for MESH_EXTERNAL only"
        yield Problem("spec.location", f"{reason}; or remove {below('metadata.labels', _WAYPOINT)}")


def _several_hosts(spec: ServiceEntry) -> Iterator[Problem]:
    """Only what says its host can be told apart."""
    if spec.resolution == "NONE" or len(spec.hosts) < 2:
        return
    for index, port in enumerate(spec.ports):
        protocol = port.protocol.lower()
        if protocol not in names.HTTP_PROTOCOLS and protocol not in names.TLS_PROTOCOLS:
            reason = "must be HTTP, GRPC, HTTPS or TLS with several hosts; split the hosts"
            yield Problem(f"spec.ports[{index}].protocol", reason)
            break
