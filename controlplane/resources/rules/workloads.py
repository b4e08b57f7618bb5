"""Workloads outside Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.common.workload import WorkloadEntry
from controlplane.resources.rules import addresses, labels, names, numbers
from controlplane.resources.schema import below


def workload(
    given: WorkloadEntry,
    path: str,
    *,
    service_ports: frozenset[str] | None = None,
    dns: bool = True,
    template: bool = False,
) -> Iterator[Problem]:
    """A workload entry, an endpoint of a service with those ports, or a template of entries.

    `dns`: its address may be a name.
    """
    at = f"{path}.address"
    if given.address.startswith(addresses.UNIX):
        yield from addresses.unix_path(given.address.removeprefix(addresses.UNIX), at)
        if given.ports:
            yield Problem(f"{path}.ports", "a unix socket has no ports; remove them")
        if service_ports is not None and len(service_ports) != 1:
            reason = f"a unix socket is one port, the service has {len(service_ports)}"
            yield Problem(at, reason)
    elif given.address:
        if not addresses.is_ip(given.address) and not (dns and names.is_fqdn(given.address)):
            wanted = "an IP address or a host name" if dns else "an IP address"
            yield Problem(at, f"{shown(given.address)} must be {wanted} (or unix:///path)")
    elif not template:
        if not given.network:
            yield Problem(at, "is required (an IP address, a host name or unix:///path)")
        else:
            reason = f"is not given: reached by the gateway of network {given.network[:60]} only"
            yield Problem(at, reason, warning=True)
    if len(given.address) > 256:
        yield Problem(at, f"must be 256 characters at most, is {len(given.address)} long")
    yield from _ports(given, path, service_ports)
    yield from labels.labels(given.labels, f"{path}.labels")
    for name, text, longest in (
        ("network", given.network, 2048),
        ("locality", given.locality, 2048),
        ("serviceAccount", given.service_account, 253),
    ):
        if len(text) > longest:
            yield Problem(f"{path}.{name}", f"must be {longest} characters at most")


def _ports(
    given: WorkloadEntry, path: str, service_ports: frozenset[str] | None
) -> Iterator[Problem]:
    for name, number in given.ports.items():
        at = below(f"{path}.ports", name)
        if service_ports is not None and name not in service_ports:
            known = ", ".join(sorted(service_ports)) or "none"
            yield Problem(at, f"the service has no port {shown(name)}; it has {known[:200]}")
        yield from names.port_name(name, at)
        yield from numbers.port(number, at)
