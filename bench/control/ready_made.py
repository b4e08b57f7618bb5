"""A stage whose translation is done beforehand: what is measured is the discovery server alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

from controlplane.resources.resource import Key, Resource
from controlplane.world.view import View, query
from controlplane.world.world import World
from controlplane.xds import type_urls
from controlplane.xds.translator import Encoded, encoded

if TYPE_CHECKING:
    from controlplane.world.graph import Node
    from controlplane.world.proxy import Proxy

_NAMESPACE = "default"


class ReadyMade:
    """Each service has a cluster, endpoints, a listener and a route."""

    def __init__(self, services: int, endpoints: int) -> None:
        self.world = World()
        self.translator = _Translator()
        self._endpoints = endpoints
        self._turn = 0
        found = [one for number in range(services) for one in self._service(number)]
        self.world.change(found)

    def change_endpoint(self) -> None:
        """One endpoint of one service moves."""
        self._turn += 1
        self.world.change([self._load(0)])

    def _service(self, number: int) -> list[Resource[Any]]:
        name, port = _name(number), 10_000 + number
        cluster = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
        cluster.eds_cluster_config.eds_config.ads.SetInParent()
        cluster.connect_timeout.FromSeconds(10)
        cluster.alt_stat_name = "padding-" * 40
        listener = listener_pb2.Listener(name=f"0.0.0.0_{port}", stat_prefix="padding-" * 60)
        route = route_pb2.RouteConfiguration(name=f"{port}")
        for host in range(4):
            virtual = route.virtual_hosts.add(name=f"{host}.{name}", domains=[f"{host}.{name}"])
            choice = virtual.routes.add()
            choice.match.prefix = "/"
            choice.route.cluster = name
        return [
            _resource(type_urls.CLUSTER, name, cluster),
            _resource(type_urls.LISTENER, listener.name, listener),
            _resource(type_urls.ROUTE, route.name, route),
            self._load(number),
        ]

    def _load(self, number: int) -> Resource[Any]:
        load = endpoint_pb2.ClusterLoadAssignment(cluster_name=_name(number))
        group = load.endpoints.add()
        for host in range(self._endpoints):
            address = group.lb_endpoints.add().endpoint.address.socket_address
            address.address = f"10.{self._turn % 250}.{number % 250}.{host + 1}"
            address.port_value = 8080
        return _resource(type_urls.ENDPOINT, load.cluster_name, load)


class _Translator:
    def everything(self, view: View, type_url: str, proxy: Proxy) -> Node:
        del proxy
        return view.node(_everything, (type_url,))

    def named(self, view: View, type_url: str, proxy: Proxy, name: str) -> Node:
        del proxy
        return view.node(_named, (type_url, name))


def _everything(view: View, type_url: str) -> tuple[Encoded, ...]:
    if type_url not in type_urls.WHOLE:
        return ()
    return tuple(_encoded(view, type_url, one.name) for one in view.resources(type_url))


def _named(view: View, type_url: str, name: str) -> Encoded | None:
    found = view.resource(type_url, _NAMESPACE, name)
    return None if found is None else _encoded(view, type_url, name)


@query
def _encoded(view: View, type_url: str, name: str) -> Encoded:
    found = view.resource(type_url, _NAMESPACE, name)
    assert found is not None
    return encoded(name, found.spec)


def _name(number: int) -> str:
    return f"outbound|8080||service-{number}.{_NAMESPACE}.svc.cluster.local"


def _resource(type_url: str, name: str, message: Any) -> Resource[Any]:
    body: bytes = message.SerializeToString(deterministic=True)
    return Resource(Key(type_url, _NAMESPACE, name), body)
