"""The ports of a gateway's proxy: servers put together by the port that they share."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.registry import proxies
from controlplane.registry.proxies import Names
from controlplane.registry.workloads import Labels
from controlplane.resources.gateway import select
from controlplane.resources.gateway.select import Opened
from controlplane.translation import names
from controlplane.world.view import View, query

_HTTP = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB"})
#: The label of a Service whose ports are not meant by servers: its target ports are.
_AS_WRITTEN = "experimental.istio.io/disable-gateway-port-translation"
#: Modes in which TLS ends at the gateway.
_ENDED = frozenset({"SIMPLE", "MUTUAL", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"})


@dataclass(frozen=True, slots=True)
class Gate:
    """One port of a gateway."""

    #: On which the proxy listens: the workload's port behind the gateway's Service. Servers may
    #: name either.
    target: int
    bind: str
    servers: tuple[Opened, ...]

    @property
    def is_plain_http(self) -> bool:
        return all(is_http(one) and not ends_tls(one) for one in self.servers)


def is_http(one: Opened) -> bool:
    """Whether requests are seen: HTTP, or HTTPS that ends here."""
    protocol = one.server.port.protocol.upper()
    return protocol in _HTTP or (protocol == "HTTPS" and ends_tls(one))


def ends_tls(one: Opened) -> bool:
    """Whether TLS ends here."""
    tls = one.server.tls
    encrypted = one.server.port.protocol.upper() in {"HTTPS", "TLS"}
    return encrypted and tls is not None and tls.mode in _ENDED


def is_passed_on(one: Opened) -> bool:
    """Whether it is the mesh's own TLS, which goes on to where its SNI says."""
    return one.server.tls is not None and one.server.tls.mode == "AUTO_PASSTHROUGH"


def route_name(gate: Gate, one: Opened) -> str:
    """`http.8080`, or `https.443.NAME.GATEWAY.NAMESPACE` for each server that ends TLS."""
    suffix = f".{gate.bind}" if gate.bind else ""
    if not ends_tls(one):
        return f"http.{gate.target}{suffix}"
    port = one.server.port
    return f"https.{port.number}.{port.name}.{one.gateway.name}.{one.gateway.namespace}{suffix}"


@query
def gates(
    view: View, namespace: str, called: Names, labels: Labels, addresses: tuple[str, ...]
) -> tuple[Gate, ...]:
    """All ports of a proxy. Of servers that cannot share a port (plain HTTP and TCP, say) the
    oldest stay."""
    targets: dict[int, int] = {}
    offers = proxies.offers(view, namespace, called, labels, addresses)
    for one in sorted(offers, key=lambda one: (one.service.created, one.service.host)):
        if _AS_WRITTEN not in dict(one.service.labels):
            targets.setdefault(one.port.number, one.target)
    by_port: dict[tuple[int, str], list[Opened]] = {}
    for server in select.opened(view, labels):
        port = server.server.port.number
        held = by_port.setdefault((targets.get(port, port), server.server.bind), [])
        if not held or _together(held[0], server):
            held.append(server)
    return tuple(
        Gate(target, bind, tuple(servers)) for (target, bind), servers in sorted(by_port.items())
    )


def _together(first: Opened, other: Opened) -> bool:
    """Servers share a port if all are plain HTTP, or if SNI tells them apart."""
    plain = [one.server.port.protocol.upper() in _HTTP for one in (first, other)]
    if any(plain):
        return all(plain)
    encrypted = [one.server.port.protocol.upper() in {"HTTPS", "TLS"} for one in (first, other)]
    return all(encrypted)


def parse_route_name(name: str) -> tuple[str, int] | None:
    """(`http` or `https`, port) of a gateway's route configuration."""
    kind, _, rest = name.partition(".")
    port = names.parse_port(rest.partition(".")[0])
    return (kind, port) if kind in {"http", "https"} and port is not None else None
