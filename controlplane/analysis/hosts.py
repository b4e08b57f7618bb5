"""Host names of services, and who may call them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from controlplane.analysis.collection import Collection

ALL = "*"
LOCAL = "."
_DOMAIN = "svc.cluster.local"
_EXPORT_TO = "networking.istio.io/exportTo"


def fqdn(host: str, namespace: str) -> str:
    """Short names are of the namespace; what has a dot, or begins with a wildcard, is whole."""
    if host.startswith("*") or "." in host:
        return host
    return f"{host}.{namespace}.{_DOMAIN}"


def exported(export_to: Iterable[str], namespace: str) -> tuple[str, ...]:
    """The namespaces that see a resource; `*` alone is all of them."""
    given = tuple(export_to)
    if not given or ALL in given:
        return (ALL,)
    return tuple(dict.fromkeys(namespace if one == LOCAL else one for one in given))


def covers(wildcard: str, host: str) -> bool:
    """Whether every name of `host` is one of `wildcard`, which may be a plain name as well."""
    if not wildcard.startswith("*"):
        return wildcard == host
    return len(host) >= len(wildcard) and host.endswith(wildcard[1:])


@dataclass(frozen=True, slots=True)
class Host:
    """A service behind a host name."""

    #: None where they cannot be read.
    ports: tuple[int, ...] | None
    namespace: str = ""
    #: Labels of its workloads, which are in its namespace; none selects none.
    selector: Mapping[str, str] = field(default_factory=dict)
    #: Labels of the endpoints that a ServiceEntry names.
    endpoints: tuple[Mapping[str, str], ...] = ()


class Hosts:
    """All services by (namespace that sees them, host)."""

    def __init__(self, collection: Collection) -> None:
        self._exact: dict[tuple[str, str], Host] = {}
        self._wildcards: list[tuple[str, str, Host]] = []
        for scope, host, service in _all(collection):
            self._exact[scope, host] = service
            if host.startswith("*"):
                self._wildcards.append((scope, host, service))

    def find(self, host: str, namespace: str, export_to: tuple[str, ...] = ()) -> Host | None:
        """What a resource of the namespace means by the host; `export_to` is that resource's own:
        whoever sees it must see the host."""
        name = fqdn(host, namespace)
        scopes = (ALL, *((namespace,) if not export_to else exported(export_to, namespace)))
        for scope in scopes:
            if (scope, name) in self._exact:
                return self._exact[scope, name]
        for scope, wildcard, service in self._wildcards:
            if scope in {ALL, namespace} and name.removeprefix("*").endswith(wildcard[1:]):
                return service
        return None

    def names(self, namespace: str) -> Iterator[str]:
        """What there is for a resource of the namespace, in as few words as it takes."""
        for scope, name in self._exact:
            if scope in {ALL, namespace}:
                yield name.removesuffix(f".{namespace}.{_DOMAIN}")


def _all(collection: Collection) -> Iterator[tuple[str, str, Host]]:
    for one in collection.of("ServiceEntry"):
        selector = one.spec.workload_selector
        service = Host(
            tuple(port.number for port in one.spec.ports),
            one.namespace,
            selector.labels if selector is not None else {},
            tuple(endpoint.labels for endpoint in one.spec.endpoints),
        )
        for scope in exported(one.spec.export_to, one.namespace):
            for host in one.spec.hosts:
                yield scope, fqdn(host, one.namespace), service
    for one in collection.of("Service"):
        ports = tuple(port.port for port in one.spec.spec.ports)
        service = Host(ports, one.namespace, one.spec.spec.selector)
        said = one.annotations.get(_EXPORT_TO, "")
        names = [name.strip() for name in said.split(",") if name.strip()]
        for scope in exported(names, one.namespace):
            yield scope, fqdn(one.name, one.namespace), service
    for key in collection.unreadable("Service"):
        yield ALL, fqdn(key.name, key.namespace), Host(None, key.namespace)
