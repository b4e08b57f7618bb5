"""What a sidecar sees: the services it may call, by Sidecar resources, exportTo and namespaces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from controlplane.registry import mesh, services, workloads
from controlplane.registry.model import Service
from controlplane.registry.workloads import Labels
from controlplane.resources.authorization_policy.reach import denied_by
from controlplane.resources.resource import Key, Resource
from controlplane.resources.sidecar.schema import OutboundTrafficPolicy
from controlplane.resources.virtual_service.imports import destinations, of_mesh
from controlplane.translation.names import covers, overlap
from controlplane.world.view import View, query


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which hosts an egress listener admits, as (namespace, host) patterns."""

    patterns: tuple[tuple[str, str], ...] = (("*", "*"),)
    #: Which of these it leaves out (`~namespace/host`).
    excluded: tuple[tuple[str, str], ...] = ()

    def admit(self, namespace: str, host: str) -> bool:
        """Whether a service of a namespace is among them."""
        return not self._excludes(namespace, host) and any(
            space in {"*", namespace} and covers(pattern, host) for space, pattern in self.patterns
        )

    def admit_rule(self, namespace: str, host: str) -> bool:
        """Whether a VirtualService of a namespace counts by this host of its own. As in Istio, one
        that is wider than what is named counts, too."""
        return not self._excludes(namespace, host) and any(
            space in {"*", namespace} and overlap(pattern, host) for space, pattern in self.patterns
        )

    def _excludes(self, namespace: str, host: str) -> bool:
        return any(
            space in {"*", namespace} and covers(pattern, host) for space, pattern in self.excluded
        )


@dataclass(frozen=True, slots=True)
class Egress:
    """Services that are reached in one way: on the ports of their own, or on one port."""

    #: 0: the services' own ports, or all of them by a socket.
    port: int
    protocol: str
    #: Address to listen on, or a unix socket; "" is the default.
    bind: str
    #: `DEFAULT`, `IPTABLES` or `NONE`.
    capture: str
    hosts: Hosts
    services: tuple[Service, ...]

    @property
    def is_socket(self) -> bool:
        """Whether clients connect to a unix socket, which no port and no address names."""
        return self.bind.startswith("unix://")

    @property
    def is_proxy(self) -> bool:
        """Whether clients use it as their HTTP proxy, for whatever port they name."""
        return self.protocol.upper() == "HTTP_PROXY"

    @property
    def routes(self) -> str:
        """The name of its routes, where it has some of its own because its requests are for all
        ports; otherwise ""."""
        if self.is_socket:
            return self.bind
        return str(self.port) if self.is_proxy else ""


@dataclass(frozen=True, slots=True)
class Scope:
    """All that a sidecar may call."""

    namespace: str
    egress: tuple[Egress, ...]
    #: The Sidecar resource that says so; None is the default.
    sidecar: Key | None = None
    #: Services that it sees and that deny it whatever it asks: nothing of them is sent.
    denied: tuple[Service, ...] = ()
    #: Services that only VirtualServices lead to: there are clusters of them, and no listeners.
    imported: tuple[Service, ...] = ()

    def of_port(self, port: int) -> Egress | None:
        """Who says what is reached by a port: the listener of it, else the one of all others."""
        by_port = {one.port: one for one in self.egress if not one.routes}
        return by_port.get(port) or by_port.get(0)

    def services(self) -> tuple[Service, ...]:
        """Each service once, in order of host names."""
        if len(self.egress) == 1 and not self.imported:
            return self.egress[0].services
        found: dict[str, Service] = {}
        for one in (*(one for each in self.egress for one in each.services), *self.imported):
            held = found.setdefault(one.host, one)
            if held.namespace == one.namespace:
                found[one.host] = _with_ports(held, one)
        return tuple(found[host] for host in sorted(found))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as far as the scope depends on it. Workloads that are alike share theirs."""

    namespace: str
    #: The Sidecar resource that gives the scope; None is the automatic one.
    sidecar: Key | None = None
    #: The service account; "" for all that are kept from nothing.
    account: str = ""


@query
def caller(view: View, namespace: str, labels: Labels, account: str) -> Caller:
    """The caller that a workload is. With a Sidecar resource of its own the account does not
    matter: what it names is what is sent."""
    key = sidecar(view, namespace, labels)
    resource = None if key is None else view.resource(*key)
    if resource is not None and resource.spec.egress:
        return Caller(namespace, key)
    return Caller(namespace, key, account if _denying(view, namespace, account) else "")


@query
def sidecar(view: View, namespace: str, labels: Labels) -> Key | None:
    """The Sidecar resource of a workload: by its labels, of its namespace, of the mesh; the
    oldest of each."""
    own = view.resources("Sidecar", namespace)
    for one in own:
        selector = one.spec.workload_selector
        if selector is not None and workloads.matches(workloads.pairs(selector.labels), labels):
            return one.key
    for one in (*own, *view.resources("Sidecar", mesh.root_namespace(view))):
        if one.spec.workload_selector is None:
            return one.key
    return None


@query
def of_caller(view: View, caller: Caller) -> Scope:
    """The scope of a caller: what its Sidecar resource names; without one, all that it sees and
    that does not deny it for good."""
    namespace, key = caller.namespace, caller.sidecar
    resource: Resource[Any] | None = None if key is None else view.resource(*key)
    if resource is not None and resource.spec.egress:
        at_all = services.visible_at_all(view, namespace)
        egress = tuple(_egress(one, namespace, at_all) for one in resource.spec.egress)
        return Scope(namespace, egress, key, imported=_imported(view, egress, namespace))
    seen = services.visible(view, namespace)
    kept_out = _denying(view, namespace, caller.account)
    if kept_out:
        denied = frozenset(kept_out)
        seen = tuple(one for one in seen if one not in denied)
    everywhere = Egress(0, "", "", "DEFAULT", Hosts(), seen)
    return Scope(namespace, (everywhere,), key, kept_out)


@query
def _denying(view: View, namespace: str, account: str) -> tuple[Service, ...]:
    """Services that an account sees and that deny it for good."""
    if not account or not view.fact("automatic-scope", True):
        return ()
    seen = services.visible(view, namespace)
    return tuple(one for one in seen if denied_by(view, one, namespace, account))


@query
def admitted(view: View, caller: Caller) -> tuple[Hosts, ...]:
    """The hosts of VirtualServices that hold for a caller; of any of its egress listeners."""
    resource = None if caller.sidecar is None else view.resource(*caller.sidecar)
    if resource is None or not resource.spec.egress:
        return (Hosts(),)
    return tuple(_hosts(one, caller.namespace) for one in resource.spec.egress)


@query
def anywhere_else(view: View, key: Key | None) -> OutboundTrafficPolicy:
    """What workloads with a Sidecar resource may do with destinations that are no service: what it
    says, otherwise MeshConfig."""
    resource = None if key is None else view.resource(*key)
    said = None if resource is None else resource.spec.outbound_traffic_policy
    if said is not None:
        chosen: OutboundTrafficPolicy = said
        return chosen
    closed = mesh.config(view).outbound_traffic_policy.mode == "REGISTRY_ONLY"
    return OutboundTrafficPolicy("REGISTRY_ONLY" if closed else "ALLOW_ANY")


@query
def find(view: View, caller: Caller, host: str) -> Service | None:
    """The service of exactly this host name, if the scope has it."""
    return _by_host(view, caller).get(host)


@query
def _by_host(view: View, caller: Caller) -> dict[str, Service]:
    return {one.host: one for one in of_caller(view, caller).services()}


def _egress(listener: Any, namespace: str, seen: tuple[Service, ...]) -> Egress:
    hosts = _hosts(listener, namespace)
    number = listener.port.number if listener.port else 0
    found = Egress(
        port=number,
        protocol=listener.port.protocol if listener.port else "",
        bind=listener.bind,
        capture=listener.capture_mode,
        hosts=hosts,
        services=services.chosen(
            (
                _known_as(one, hosts) if one.aliases else one
                for one in seen
                if hosts.admit(one.namespace, one.host)
            ),
            namespace,
        ),
    )
    if not number or found.is_proxy:
        return found
    # A listener with a port is for that port of the services that have it.
    with_port = ((one, one.port(number)) for one in found.services)
    narrowed = tuple(replace(one, ports=(port,)) for one, port in with_port if port)
    return replace(found, services=narrowed)


def _known_as(one: Service, hosts: Hosts) -> Service:
    """A service with those of its other names that are admitted."""
    known = tuple(host for host in one.aliases if hosts.admit(one.namespace, host))
    return replace(one, aliases=known)


def _imported(view: View, egress: tuple[Egress, ...], namespace: str) -> tuple[Service, ...]:
    """What the VirtualServices of the egress listeners lead to, on the ports that they name."""
    by_host = {one.host: one for one in services.visible(view, namespace)}
    found: list[Service] = []
    for each in egress:
        only = each.port if each.port and not each.is_proxy else 0
        for host, rule in of_mesh(view, namespace):
            if not each.hosts.admit_rule(rule.namespace, host):
                continue
            for name, port in destinations(view, rule, namespace):
                to = by_host.get(services.concrete(view, name))
                if to is None:
                    continue
                wanted = only or port
                ports = tuple(one for one in to.ports if wanted in {None, one.number})
                if ports:
                    found.append(to if ports == to.ports else replace(to, ports=ports))
    return tuple(found)


def _with_ports(held: Service, other: Service) -> Service:
    more = tuple(port for port in other.ports if held.port(port.number) is None)
    return replace(held, ports=(*held.ports, *more)) if more else held


def _hosts(listener: Any, namespace: str) -> Hosts:
    named = [_pattern(one, namespace) for one in listener.hosts if not one.startswith("~")]
    left_out = [
        _pattern(one.removeprefix("~"), namespace) for one in listener.hosts if one.startswith("~")
    ]
    return Hosts(tuple(named), tuple(left_out))


def _pattern(text: str, namespace: str) -> tuple[str, str]:
    """`namespace/host`; without a namespace, as in `~/host`, of all."""
    space, _, host = text.partition("/")
    return (namespace if space == "." else space or "*", host.lower())
