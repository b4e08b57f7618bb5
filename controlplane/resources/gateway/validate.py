"""Rules of Gateway: ports, hosts, TLS by protocol."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.gateway.schema import Gateway, Server
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import addresses, labels, metadata, names, numbers
from controlplane.resources.rules.tls import server_tls


def validate(spec: Gateway, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from metadata.reserved(meta)
    yield from names.dns_label(meta.name, "metadata.name", "a gateway name")
    yield from labels.labels(spec.selector, "spec.selector")
    if not spec.servers:
        yield Problem("spec.servers", "must not be empty; add a server with a port and hosts")
    seen: dict[str, int] = {}
    for index, server in enumerate(spec.servers):
        at = f"spec.servers[{index}]"
        yield from _server(server, at)
        name = server.port.name
        if name and seen.setdefault(name, index) != index:
            reason = f"{shown(name)} is the port name of servers[{seen[name]}] as well; rename it"
            yield Problem(f"{at}.port.name", reason)


def _server(server: Server, path: str) -> Iterator[Problem]:
    if not server.hosts:
        yield Problem(f"{path}.hosts", "must not be empty; * takes every host")
    for index, host in enumerate(server.hosts):
        yield from names.namespaced_host(host, f"{path}.hosts[{index}]", gateway=True)
    yield from _port(server, path)
    yield from server_tls(server.tls, f"{path}.tls")
    yield from _tls_by_protocol(server, path)


def _port(server: Server, path: str) -> Iterator[Problem]:
    port, at = server.port, f"{path}.port"
    if not port.protocol:
        yield Problem(f"{at}.protocol", "must not be empty; HTTP, HTTPS, TLS or TCP as a rule")
    yield from names.protocol(port.protocol, f"{at}.protocol")
    if not port.name:
        yield Problem(f"{at}.name", "must not be empty")
    if port.target_port:
        yield Problem(f"{at}.targetPort", "has no effect on gateways; remove it")
    if server.bind.startswith(addresses.UNIX):
        yield from addresses.unix_path(server.bind.removeprefix(addresses.UNIX), f"{path}.bind")
        if port.number:
            yield Problem(f"{at}.number", f"must be 0 for a unix socket, is {port.number}")
        return
    yield from numbers.port(port.number, f"{at}.number")
    if server.bind:
        yield from addresses.ip(server.bind, f"{path}.bind")


def _tls_by_protocol(server: Server, path: str) -> Iterator[Problem]:
    protocol, tls = server.port.protocol.lower(), server.tls
    if protocol not in names.PROTOCOLS:
        return
    if tls is None:
        if protocol in names.TLS_PROTOCOLS:
            reason = f"is required by protocol {server.port.protocol}; give a mode"
            yield Problem(f"{path}.tls", reason)
        return
    if protocol not in names.TLS_PROTOCOLS:
        # `tls: {httpsRedirect: true}` is how a plain port sends its clients to HTTPS.
        plain = protocol in names.HTTP_PROTOCOLS and tls.mode in {"PASSTHROUGH", "AUTO_PASSTHROUGH"}
        if not plain or tls.ca_certificates or tls.private_key or tls.server_certificate:
            reason = f"excludes protocol {server.port.protocol}; write HTTPS or TLS, or remove tls"
            yield Problem(f"{path}.tls", reason)
    if tls.https_redirect and protocol not in names.HTTP_PROTOCOLS:
        reason = "has an effect on plain HTTP ports only; remove it"
        yield Problem(f"{path}.tls.httpsRedirect", reason, warning=True)
