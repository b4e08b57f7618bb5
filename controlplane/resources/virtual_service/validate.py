"""Rules of VirtualService: hosts, gateways, what routes of each protocol may hold."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import addresses, destinations, labels, metadata, names, numbers
from controlplane.resources.virtual_service.http_rules import http_route
from controlplane.resources.virtual_service.reachability import unreachable
from controlplane.resources.virtual_service.schema import (
    L4MatchAttributes,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)

#: The gateway that stands for all sidecars.
MESH = "mesh"


def validate(spec: VirtualService, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from metadata.reserved(meta)
    if not spec.hosts:
        for name, given in (("gateways", spec.gateways), ("tls", spec.tls), ("tcp", spec.tcp)):
            if given:
                reason = "without hosts this is a delegate, which has http routes only; add hosts"
                yield Problem(f"spec.{name}", reason)
    yield from names.gateway_names(spec.gateways, "spec.gateways")
    yield from _hosts(spec)
    if not (spec.http or spec.tls or spec.tcp):
        yield Problem("spec", "has no routes; add http, tls or tcp")
    for index, http in enumerate(spec.http):
        yield from http_route(
            http,
            f"spec.http[{index}]",
            delegate=not spec.hosts,
            claims=_gateways_only(spec),
        )
    for index, tls in enumerate(spec.tls):
        yield from _tls_route(tls, f"spec.tls[{index}]", spec)
    for index, tcp in enumerate(spec.tcp):
        yield from _tcp_route(tcp, f"spec.tcp[{index}]")
    yield from names.export_to(spec.export_to, "spec.exportTo", meta.namespace)
    yield from unreachable(spec)


def _gateways_only(spec: VirtualService) -> bool:
    return bool(spec.gateways) and MESH not in spec.gateways


def _hosts(spec: VirtualService) -> Iterator[Problem]:
    gateways_only = _gateways_only(spec)
    sni = any(match.sni_hosts for route in spec.tls for match in route.match)
    valid = True
    for index, host in enumerate(spec.hosts):
        at = f"spec.hosts[{index}]"
        if addresses.is_ip(host):
            continue
        if gateways_only:
            problems = list(names.gateway_bound_domain(host, at, sni=sni))
        elif host == "*":
            problems = [Problem(at, "* is for gateways only; name hosts, or name gateways")]
        else:
            problems = list(names.wildcard_domain(host, at))
        valid = valid and not problems
        yield from problems
    if valid:
        for earlier, later in names.overlapping(spec.hosts):
            reason = f"{spec.hosts[later]} overlaps with {spec.hosts[earlier]}; keep one of them"
            yield Problem(f"spec.hosts[{later}]", reason)


def _tls_route(route: TLSRoute, path: str, spec: VirtualService) -> Iterator[Problem]:
    if not route.match:
        yield Problem(f"{path}.match", "must not be empty; give sniHosts")
    for index, match in enumerate(route.match):
        at = f"{path}.match[{index}]"
        if not match.sni_hosts:
            yield Problem(f"{at}.sniHosts", "must not be empty")
        for number, host in enumerate(match.sni_hosts):
            yield from _sni_host(host, f"{at}.sniHosts[{number}]", spec)
        yield from _l4_match(match, at)
    if not route.route:
        yield Problem(f"{path}.route", "is required; name a destination")
    yield from destinations.shares(route.route, f"{path}.route")


def _sni_host(host: str, path: str, spec: VirtualService) -> Iterator[Problem]:
    if addresses.is_ip(host):
        reason = "clients send no IP address as SNI; name hosts"
        yield Problem(path, reason, warning=True)
        return
    if MESH in spec.gateways:
        problems = list(names.wildcard_domain(host, path))
    else:
        problems = list(names.gateway_bound_domain(host, path, sni=True))
    yield from problems
    if not problems and not any(names.subset_of(host, other) for other in spec.hosts):
        reason = f"{shown(host)} is not among spec.hosts; add it there or remove it here"
        yield Problem(path, reason)


def _tcp_route(route: TCPRoute, path: str) -> Iterator[Problem]:
    for index, match in enumerate(route.match):
        at = f"{path}.match[{index}]"
        yield from _l4_match(match, at)
        if match.source_subnet:
            yield from addresses.subnet(match.source_subnet, f"{at}.sourceSubnet")
    if not route.route:
        yield Problem(f"{path}.route", "is required; name a destination")
    yield from destinations.shares(route.route, f"{path}.route")


def _l4_match(match: TLSMatchAttributes | L4MatchAttributes, path: str) -> Iterator[Problem]:
    for index, subnet in enumerate(match.destination_subnets):
        yield from addresses.subnet(subnet, f"{path}.destinationSubnets[{index}]")
    if match.port:
        yield from numbers.port(match.port, f"{path}.port")
    yield from labels.labels(match.source_labels, f"{path}.sourceLabels")
    yield from names.gateway_names(match.gateways, f"{path}.gateways")
    if match.source_namespace:
        yield from names.dns_label(match.source_namespace, f"{path}.sourceNamespace", "a namespace")
