"""NDS: the addresses of host names, for a DNS server beside the workload (Istio's agent has one).

Rules of Istio (`pkg/dns/server/name_table.go`): all that the proxy's scope has, by the service's
own addresses, else the one allocated for it; a headless service is its endpoints. What has no IP
is left to the DNS server that comes next.
"""

from __future__ import annotations

from typing import Any

from controlplane.registry import scope, services
from controlplane.registry.model import Service
from controlplane.registry.scope import Caller
from controlplane.resources.rules.addresses import is_ip
from controlplane.translation.pack import packed
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded
from mesh.api.name_table import NameTable


@query
def name_table(view: View, caller: Caller) -> tuple[Encoded, ...]:
    """The one resource of NDS; like Istio's it has no name."""
    built: Any = NameTable()
    for service in scope.of_caller(view, caller).services():
        found = _addresses(view, service)
        if not found:
            continue
        info = built.table[service.host]
        info.ips.extend(found)
        info.registry = "Kubernetes" if service.kind == "Service" else "External"
        if service.kind == "Service":
            info.shortname, info.namespace = service.name, service.namespace
    return (encoded("", packed(built)),)


def _addresses(view: View, service: Service) -> list[str]:
    if service.headless:
        port = service.ports[0].number if service.ports else 0
        hosts = services.endpoints(view, service, port)
        return sorted({one.address for one in hosts if is_ip(one.address)})
    own = [one for one in service.addresses if is_ip(one)]
    if not service.addresses and service.auto_address:
        own.append(service.auto_address)
    return own
