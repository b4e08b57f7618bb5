"""MeshNetworks: which endpoints are on which network, and the gateways that lead there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from controlplane.problem import Problem
from controlplane.resources.rules import addresses, names
from controlplane.resources.schema import OneOf, Port, below, decode


@dataclass(frozen=True, slots=True)
class NetworkEndpoints:
    """Endpoints of a block of addresses, or of a cluster's registry."""

    from_cidr: str | None = None
    from_registry: str | None = None

    ONE_OF: ClassVar[OneOf] = (("from_cidr", "from_registry"),)


@dataclass(frozen=True, slots=True)
class NetworkGateway:
    port: Port
    registry_service_name: str | None = None
    address: str | None = None
    locality: str = ""

    ONE_OF: ClassVar[OneOf] = (("registry_service_name", "address"),)


@dataclass(frozen=True, slots=True)
class Network:
    endpoints: tuple[NetworkEndpoints, ...] = ()
    gateways: tuple[NetworkGateway, ...] = ()


@dataclass(frozen=True, slots=True)
class MeshNetworks:
    networks: Mapping[str, Network] = field(default_factory=dict)


def read(value: object, path: str = "") -> tuple[MeshNetworks | None, list[Problem]]:
    """Reads the values of a `meshNetworks` text; None and why if they cannot be taken."""
    networks, problems = decode(MeshNetworks, value, path, proto_names=True)
    if networks is not None:
        problems += validate(networks, path)
    refused = any(not problem.warning for problem in problems)
    return (None if refused else networks), problems


def validate(given: MeshNetworks, path: str = "") -> Iterator[Problem]:
    for name, network in given.networks.items():
        at = below(below(path, "networks"), name)
        for index, endpoints in enumerate(network.endpoints):
            yield from _endpoints(endpoints, f"{at}.endpoints[{index}]")
        for index, gateway in enumerate(network.gateways):
            yield from _gateway(gateway, f"{at}.gateways[{index}]")


def _endpoints(endpoints: NetworkEndpoints, path: str) -> Iterator[Problem]:
    if endpoints.from_cidr is not None:
        yield from addresses.subnet(endpoints.from_cidr, f"{path}.fromCidr")
    elif endpoints.from_registry is not None:
        yield from names.dns_label(
            endpoints.from_registry, f"{path}.fromRegistry", "a registry's name"
        )
    else:
        yield Problem(path, "selects nothing; give it fromCidr or fromRegistry")


def _gateway(gateway: NetworkGateway, path: str) -> Iterator[Problem]:
    if gateway.registry_service_name is not None:
        yield from names.fqdn(gateway.registry_service_name, f"{path}.registryServiceName")
    elif gateway.address is None:
        yield Problem(path, "leads nowhere; give it an address or a registryServiceName")
    elif not addresses.is_ip(gateway.address):
        yield from names.fqdn(gateway.address, f"{path}.address")
