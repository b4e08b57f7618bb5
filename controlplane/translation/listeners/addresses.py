"""How a proxy gets its connections, and the addresses that its listeners have for it."""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.core.v3.address_pb2 import Address

from controlplane.translation import names
from controlplane.world.proxy import Proxy


@dataclass(frozen=True, slots=True)
class Capture:
    """What of a proxy its listeners depend on."""

    #: `REDIRECT` and `TPROXY`: iptables brings connections here; `NONE`: clients connect to us.
    mode: str
    #: The workload's address: what listeners of mode NONE bind.
    address: str
    #: `ADDRESS:PORT` on which clients use us as their HTTP proxy; "" is MeshConfig's.
    http_proxy: str
    #: The application's ports by the workload's, where they differ (mode NONE).
    application: tuple[tuple[int, int], ...]
    #: Ports that are opened for one service each: (`ADDRESS:PORT`, cluster's host, its port).
    egress: tuple[tuple[str, str, int], ...]


def capture(proxy: Proxy) -> Capture:
    """Read from the node's metadata: INTERCEPTION_MODE is Istio's, the others are ours, and what
    `mesh run` sets. What cannot be read is left out."""
    return Capture(
        mode=proxy.meta("INTERCEPTION_MODE") or "REDIRECT",
        address=proxy.addresses[0] if proxy.addresses else "",
        http_proxy=proxy.meta("FASTMESH_HTTP_PROXY"),
        application=tuple(_ports(proxy.meta("FASTMESH_APP_PORTS"))),
        egress=tuple(_egress(proxy.meta("FASTMESH_EGRESS"))),
    )


def socket_address(host: str, port: int) -> Address:
    """An address of TCP."""
    built = Address()
    built.socket_address.address = host
    built.socket_address.port_value = port
    return built


def bound(where: str, port: int) -> Address:
    """What `bind` of a Gateway or a Sidecar means: an address, or a unix socket."""
    if where.startswith("unix://"):
        built = Address()
        built.pipe.path = where.removeprefix("unix://")
        return built
    return socket_address(where, port)


def split(text: str) -> tuple[str, int] | None:
    """`ADDRESS:PORT`, of IPv6 in brackets; None if it is none."""
    host, _, port = text.rpartition(":")
    number = names.parse_port(port)
    return (host.strip("[]"), number) if host and number is not None else None


def _ports(text: str) -> list[tuple[int, int]]:
    """`9080=40001,9443=40002`."""
    found = []
    for pair in filter(None, text.split(",")):
        outer, inner = (names.parse_port(one) for one in (*pair.split("=", 1), "")[:2])
        if outer is not None and inner is not None:
            found.append((outer, inner))
    return found


def _egress(text: str) -> list[tuple[str, str, int]]:
    """`127.0.0.1:20001=ratings.default.svc.cluster.local:9080,...`."""
    found = []
    for pair in filter(None, text.split(",")):
        local, _, remote = pair.partition("=")
        target = split(remote)
        if split(local) is not None and target is not None:
            found.append((local, *target))
    return found
