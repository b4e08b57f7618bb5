"""The SPIFFE identities that hosts of a service may have."""

from __future__ import annotations

from controlplane.registry import mesh, services
from controlplane.registry.model import Service
from controlplane.translation import names
from controlplane.world.view import View, query


@query
def accepted(view: View, service: Service) -> tuple[str, ...]:
    """Those of its workloads, those that its ServiceEntry names, and those of workloads that have
    just gone (see `departed.py`)."""
    gone: tuple[str, ...] = view.fact(departed(service.host, service.namespace), ())
    return tuple(sorted({*present(view, service), *service.subject_alt_names, *gone}))


@query
def present(view: View, service: Service) -> tuple[str, ...]:
    """Those of its workloads."""
    found = {
        names.spiffe(domain, one.namespace, one.service_account)
        for domain in mesh.trust_domains(view)
        for port in service.ports
        for one in services.endpoints(view, service, port.number)
        if one.service_account
    }
    return tuple(sorted(found))


def departed(host: str, namespace: str) -> str:
    """The fact that says who has just gone."""
    return f"departed {host} {namespace}"
