"""All services, by host name: which one is meant, and by whom it may be seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from controlplane.registry import kubernetes, service_entries
from controlplane.registry.model import Endpoint, Service
from controlplane.world.view import View, query


@query
def all_services(view: View) -> dict[str, tuple[Service, ...]]:
    """By host name; of several with one name the one that wins stands first: Kubernetes' before
    ServiceEntries, the oldest before the younger."""
    return _registry(view)[0]


@query
def concrete(view: View, host: str) -> str:
    """The service that a host is another name of; the host itself if it is none."""
    return _registry(view)[1].get(host, host)


@query
def _registry(view: View) -> tuple[dict[str, tuple[Service, ...]], dict[str, str]]:
    """All services by host, and by their other names the hosts of those that have some."""
    found: dict[str, list[Service]] = {}
    for resource in view.resources("Service"):
        one = kubernetes.service(view, resource.namespace, resource.name)
        if one is not None:
            found.setdefault(one.host, []).append(one)
    for resource in view.resources("ServiceEntry"):
        for one in service_entries.services(view, resource.namespace, resource.name):
            _add(found.setdefault(one.host, []), one)
    return _without_aliases({host: tuple(ones) for host, ones in found.items()})


@query
def named(view: View, host: str) -> tuple[Service, ...]:
    """The services of exactly this host name."""
    return all_services(view).get(concrete(view, host), ())


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
    return chosen(visible_at_all(view, namespace), namespace)


@query
def visible_at_all(view: View, namespace: str) -> tuple[Service, ...]:
    """All that a client of `namespace` may see, in order of host names; those of one host name in
    the order in which they win."""
    return tuple(
        one
        for _, ones in sorted(all_services(view).items())
        for one in ones
        if one.visible_in(namespace)
    )


def chosen(seen: Iterable[Service], namespace: str) -> tuple[Service, ...]:
    """One host, one service: that of the client's namespace, or the first."""
    found: dict[str, Service] = {}
    for one in seen:
        held = found.setdefault(one.host, one)
        if one.namespace == namespace != held.namespace:
            found[one.host] = one
    return tuple(found.values())


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


def _without_aliases(
    found: dict[str, tuple[Service, ...]],
) -> tuple[dict[str, tuple[Service, ...]], dict[str, str]]:
    """An ExternalName that is a service of the mesh is another name of that one. One that leads in
    a circle, which no DNS server answers, and one that leads out of the mesh stay as they are."""
    stands_for = {
        host: ones[0].alias for host, ones in found.items() if ones[0].resolution == "ALIAS"
    }
    means: dict[str, str] = {}
    for host in sorted(stands_for):
        seen, to = {host}, stands_for[host]
        while to in stands_for and to not in seen:
            seen.add(to)
            to = stands_for[to]
        if to in found and to not in stands_for:
            means[host] = to
    aliases: dict[str, tuple[str, ...]] = {}
    for host, to in means.items():
        aliases[to] = (*aliases.get(to, ()), host)
    kept = {host: ones for host, ones in found.items() if host not in means}
    for host, others in aliases.items():
        kept[host] = tuple(replace(one, aliases=others) for one in kept[host])
    return kept, means


def _add(known: list[Service], one: Service) -> None:
    """A ServiceEntry's service; ports of one that is alike in all else are that one's, as in
    Istio."""
    for index, held in enumerate(known):
        alike = all(getattr(held, name) == getattr(one, name) for name in _ALIKE)
        if alike:
            more = tuple(port for port in one.ports if held.port(port.number) is None)
            known[index] = replace(
                held, ports=(*held.ports, *more), also=(*held.also, one.resource)
            )
            return
    known.append(one)


_ALIKE = ("kind", "namespace", "resolution", "labels", "selector", "export_to", "external")


def _wildcards(host: str) -> list[str]:
    parts = host.removeprefix("*.").split(".")
    start = 0 if host.startswith("*.") else 1
    return ["*." + ".".join(parts[index:]) for index in range(start, len(parts))]
