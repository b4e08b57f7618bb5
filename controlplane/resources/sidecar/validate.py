"""Rules of Sidecar: listeners of both ways, hosts, the policy of unknown destinations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controlplane.problem import Problem, shown
from controlplane.resources.common.port import SidecarPort
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import addresses, labels, metadata, names, numbers
from controlplane.resources.rules.destinations import destination
from controlplane.resources.rules.tls import server_tls
from controlplane.resources.rules.traffic_policy import connection_pool
from controlplane.resources.sidecar.schema import (
    IstioEgressListener,
    IstioIngressListener,
    OutboundTrafficPolicy,
    Sidecar,
)

_LOCAL = frozenset({"", "127.0.0.1", "0.0.0.0", "::1", "::"})


def validate(spec: Sidecar, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from metadata.reserved(meta)
    if spec.workload_selector is not None:
        yield from labels.selector(spec.workload_selector.labels, "spec.workloadSelector.labels")
    if not (
        spec.ingress
        or spec.egress
        or spec.outbound_traffic_policy is not None
        or spec.inbound_connection_pool is not None
    ):
        yield Problem("spec", "says nothing; add egress, ingress or outboundTrafficPolicy")
    ports: dict[int, int] = {}
    for index, ingress in enumerate(spec.ingress):
        at = f"spec.ingress[{index}]"
        yield from _ingress(ingress, at)
        yield from _unique(ports, ingress.port.number, index, f"{at}.port.number", "ingress")
    yield from connection_pool(spec.inbound_connection_pool, "spec.inboundConnectionPool")
    yield from _egress_listeners(spec.egress, meta.namespace)
    yield from _outbound(spec.outbound_traffic_policy, "spec.outboundTrafficPolicy")


def _unique(
    seen: dict[int, int], number: int, index: int, path: str, what: str
) -> Iterator[Problem]:
    if seen.setdefault(number, index) != index:
        yield Problem(path, f"{number} is the port of {what}[{seen[number]}] as well; remove one")


def _listener_port(port: SidecarPort, path: str) -> Iterator[Problem]:
    if port.target_port:
        yield Problem(f"{path}.targetPort", "has no effect on sidecars; remove it")
    if port.name:
        yield from names.port_name(port.name, f"{path}.name")
    yield from names.protocol(port.protocol, f"{path}.protocol")


def _ingress(given: IstioIngressListener, path: str) -> Iterator[Problem]:
    yield from _listener_port(given.port, f"{path}.port")
    yield from numbers.port(given.port.number, f"{path}.port.number")
    if given.bind:
        yield from addresses.ip(given.bind, f"{path}.bind")
    yield from _default_endpoint(given.default_endpoint, f"{path}.defaultEndpoint")
    protocol = given.port.protocol.lower()
    if (tls := given.tls) is not None:
        at = f"{path}.tls"
        for name, value in (
            ("subjectAltNames", tls.subject_alt_names),
            ("httpsRedirect", tls.https_redirect),
            ("credentialName", tls.credential_name),
            ("credentialNames", tls.credential_names),
            ("tlsCertificates", tls.tls_certificates),
        ):
            if value:
                yield Problem(f"{at}.{name}", "is for gateways only; remove it")
        if tls.mode in {"ISTIO_MUTUAL", "AUTO_PASSTHROUGH"}:
            reason = f"{tls.mode} is for gateways only; PeerAuthentication is for the mesh's mTLS"
            yield Problem(f"{at}.mode", reason)
        if protocol not in names.TLS_PROTOCOLS:
            reason = f"needs port.protocol HTTPS or TLS, it is {shown(given.port.protocol)}"
            yield Problem(at, reason)
        yield from server_tls(tls, at)
    yield from connection_pool(given.connection_pool, f"{path}.connectionPool")
    pool = given.connection_pool
    if pool is not None and pool.http is not None and protocol not in names.HTTP_PROTOCOLS:
        reason = f"has no effect: the port's protocol is {shown(given.port.protocol)}, not HTTP"
        yield Problem(f"{path}.connectionPool.http", reason, warning=True)


def _default_endpoint(text: str, path: str) -> Iterator[Problem]:
    if not text:
        return
    if text.startswith(addresses.UNIX):
        yield from addresses.unix_path(text.removeprefix(addresses.UNIX), path)
        return
    host, number = addresses.host_and_port(text) or ("?", "")
    if host not in _LOCAL or not (number.isascii() and number.isdigit() and len(number) < 6):
        forms = "127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path"
        yield Problem(path, f"{shown(text)} must be {forms}")
    else:
        yield from numbers.port(int(number), path)


def _egress_listeners(given: Sequence[IstioEgressListener], namespace: str) -> Iterator[Problem]:
    ports: dict[int, int] = {}
    sockets: dict[str, int] = {}
    for index, one in enumerate(given):
        at = f"spec.egress[{index}]"
        if one.port is None:
            if index != len(given) - 1:
                reason = "a listener without port takes all other ports; there is one, the last"
                yield Problem(at, f"{reason}; give it a port or put it last")
        else:
            yield from _egress_port(one, one.port, at)
            if one.port.number:
                number = one.port.number
                yield from _unique(ports, number, index, f"{at}.port.number", "egress")
            elif sockets.setdefault(one.bind, index) != index:
                earlier = sockets[one.bind]
                reason = f"{shown(one.bind)} is the socket of egress[{earlier}] as well; remove one"
                yield Problem(f"{at}.bind", reason)
        if not one.hosts:
            yield Problem(f"{at}.hosts", "must not be empty; */* is every host, ~/* is none")
        yield from _egress_hosts(one.hosts, f"{at}.hosts", namespace)


def _egress_port(given: IstioEgressListener, port: SidecarPort, path: str) -> Iterator[Problem]:
    yield from _listener_port(port, f"{path}.port")
    if port.number:
        yield from numbers.port(port.number, f"{path}.port.number")
        if given.bind:
            yield from addresses.ip(given.bind, f"{path}.bind")
        return
    if not given.bind.startswith(addresses.UNIX):
        yield Problem(f"{path}.port.number", "is required, unless bind is unix:///path")
    else:
        yield from addresses.unix_path(given.bind.removeprefix(addresses.UNIX), f"{path}.bind")
    if given.capture_mode == "IPTABLES":
        reason = "a unix socket cannot capture; write DEFAULT or NONE"
        yield Problem(f"{path}.captureMode", reason)


def _egress_hosts(hosts: Sequence[str], path: str, namespace: str) -> Iterator[Problem]:
    seen: dict[str, set[str]] = {}
    for index, text in enumerate(hosts):
        at = f"{path}[{index}]"
        yield from names.namespaced_host(text, at, gateway=False)
        where, slash, host = text.partition("/")
        if not slash or where.startswith("~"):
            continue
        known = seen.setdefault(namespace if where == "." else where, set())
        if host in known or "*" in known or (host == "*" and known):
            reason = f"{shown(text)} repeats what other hosts of the namespace say; keep one"
            yield Problem(at, reason, warning=True)
        known.add(host)
    if "*" in seen.get("*", ()) and len(seen) > 1:
        yield Problem(path, "*/* is every host, so the others say nothing; keep one", warning=True)


def _outbound(given: OutboundTrafficPolicy | None, path: str) -> Iterator[Problem]:
    if given is None or given.egress_proxy is None:
        return
    at = f"{path}.egressProxy"
    if given.mode != "ALLOW_ANY":
        reason = "is for mode ALLOW_ANY only: it gets what the registry does not know"
        yield Problem(at, reason)
        return
    yield from names.fqdn(given.egress_proxy.host, f"{at}.host")
    if given.egress_proxy.port is None:
        yield Problem(f"{at}.port", "is required")
    yield from (
        problem
        for problem in destination(given.egress_proxy, at)
        # fqdn above said it, and more strictly.
        if problem.path != f"{at}.host"
    )
