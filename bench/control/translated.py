"""A stage of Istio's resources and our own translation: services with endpoints, and
a VirtualService each."""

from __future__ import annotations

from typing import Any

from controlplane.resources.endpoint_slice.schema import Endpoint, EndpointPort, EndpointSlice
from controlplane.resources.kinds import KINDS
from controlplane.resources.resource import Key, Resource
from controlplane.resources.schema import decode
from controlplane.resources.service.schema import Service, ServicePort, ServiceSpec
from controlplane.translation.translator import IstioTranslator
from controlplane.world.world import World

_NAMESPACE = "default"
_VIRTUAL_SERVICE = KINDS["networking.istio.io/v1", "VirtualService"]


class Translated:
    """Each service listens on port 8080 and has a VirtualService with a timeout."""

    def __init__(self, services: int, endpoints: int) -> None:
        self.world = World()
        self.translator = IstioTranslator()
        self._endpoints = endpoints
        self._turn = 0
        found: list[Resource[Any]] = []
        for number in range(services):
            found += (_service(number), self._slice(number), _virtual_service(number))
        self.world.change(found)

    def change_endpoint(self) -> None:
        """The endpoints of one service move."""
        self._turn += 1
        self.world.change([self._slice(0)])

    def _slice(self, number: int) -> Resource[Any]:
        port = EndpointPort(port=8080, name="http")
        addresses = (
            f"10.{self._turn % 250}.{number % 250}.{number // 250 * 20 + host + 1}"
            for host in range(self._endpoints)
        )
        return Resource(
            Key("EndpointSlice", _NAMESPACE, f"service-{number}-1"),
            EndpointSlice(
                address_type="IPv4",
                endpoints=tuple(Endpoint(addresses=(address,)) for address in addresses),
                ports=(port,),
            ),
            labels={"kubernetes.io/service-name": f"service-{number}"},
        )


def _service(number: int) -> Resource[Any]:
    port = ServicePort(port=8080, name="http")
    address = f"10.255.{number // 250}.{number % 250 + 1}"
    spec = ServiceSpec(ports=(port,), selector={"app": f"app-{number}"}, cluster_ip=address)
    return Resource(Key("Service", _NAMESPACE, f"service-{number}"), Service(spec=spec))


def _virtual_service(number: int) -> Resource[Any]:
    host = f"service-{number}.{_NAMESPACE}.svc.cluster.local"
    route = {"route": [{"destination": {"host": host}}], "timeout": "10s"}
    spec, problems = decode(
        _VIRTUAL_SERVICE.spec, {"hosts": [host], "http": [route]}, "spec", strict=True
    )
    assert not problems, problems
    return Resource(Key("VirtualService", _NAMESPACE, f"service-{number}"), spec)
