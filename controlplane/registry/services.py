"""All services, by host name: which one is meant, and by whom it may be seen."""

from __future__ import annotations

from controlplane.registry import kubernetes, service_entries
from controlplane.registry.model import Endpoint, Service
from controlplane.world.view import View, query


@query
def all_services(view: View) -> dict[str, tuple[Service, ...]]:
    """By host name; of several with one name the one that wins stands first: Kubernetes' before
    ServiceEntries, the oldest before the younger."""
    found: dict[str, list[Service]] = {}
    for resource in view.resources("Service"):
        one = kubernetes.service(view, resource.namespace, resource.name)
        if one is not None:
            found.setdefault(one.host, []).append(one)
    for resource in view.resources("ServiceEntry"):
        for one in service_entries.services(view, resource.namespace, resource.name):
            found.setdefault(one.host, []).append(one)
    return {host: tuple(ones) for host, ones in found.items()}


@query
def named(view: View, host: str) -> tuple[Service, ...]:
    """The services of exactly this host name."""
    return all_services(view).get(host, ())


@query
def find(view: View, host: str, namespace: str) -> Service | None:
    """The service that a client of `namespace` means by `host`: its own namespace's first. A host
    that no service has is looked for among the wildcards, the longest first."""
    for candidate in (host, *_wildcards(host)):
        visible = [one for one in named(view, candidate) if one.visible_in(namespace)]
        if visible:
            return next((one for one in visible if one.namespace == namespace), visible[0])
    return None


@query
def visible(view: View, namespace: str) -> tuple[Service, ...]:
    """All that a client of `namespace` may see, one for each host name, in order of host names."""
    found: list[Service] = []
    for host, ones in sorted(all_services(view).items()):
        seen = [one for one in ones if one.visible_in(namespace)]
        if seen:
            # One host, one service: that of the client's namespace, or the oldest.
            found.append(next((one for one in seen if one.namespace == namespace), seen[0]))
            assert found[-1].host == host
    return tuple(found)


@query
def endpoints(view: View, service: Service, port: int) -> tuple[Endpoint, ...]:
    """The hosts of one port of a service, in a stable order."""
    if service.kind == "Service":
        return kubernetes.endpoints(view, service, port)
    return service_entries.endpoints(view, service, port)


def qualified(host: str, namespace: str, domain: str) -> str:
    """A short name, as resources of `namespace` write it, in full. Istio: names without a dot are
    Kubernetes services of the resource's own namespace."""
    if "." in host or host == "*":
        return host.lower()
    return f"{host.lower()}.{namespace}.svc.{domain}"


def _wildcards(host: str) -> list[str]:
    parts = host.removeprefix("*.").split(".")
    start = 0 if host.startswith("*.") else 1
    return ["*." + ".".join(parts[index:]) for index in range(start, len(parts))]
