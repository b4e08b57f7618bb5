"""Names: of hosts, namespaces, ports, subsets, gateways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from controlplane.problem import Problem, shown
from controlplane.resources.rules.addresses import is_ip

_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_WILDCARD_LABEL = re.compile(rf"\*|(?:\*|\*-)?{_LABEL}")
_LABEL_RULE = "letters, digits and - inside, 63 at most"

#: Protocols of ports, in lower case.
HTTP_PROTOCOLS = frozenset({"http", "http2", "grpc", "grpc-web", "http_proxy"})
TLS_PROTOCOLS = frozenset({"https", "tls"})
TCP_PROTOCOLS = frozenset({"tcp", "mongo", "redis", "mysql"}) | TLS_PROTOCOLS
PROTOCOLS = HTTP_PROTOCOLS | TCP_PROTOCOLS | {"udp"}


def is_dns_label(text: str) -> bool:
    """An RFC 1123 label; Istio lets capitals pass."""
    return len(text) <= 63 and _DNS_LABEL.fullmatch(text) is not None


def dns_label(text: str, path: str, what: str) -> Iterator[Problem]:
    """`what` says what the text names: "a port name"."""
    if not is_dns_label(text):
        yield Problem(path, f"{shown(text)} cannot be {what}: {_LABEL_RULE}")


def _domain(text: str, first_may_be_wildcard: bool) -> str | None:
    """Why it is no domain name; None if it is one."""
    if not text:
        return "must not be empty"
    if len(text) > 255:
        return f"must be shorter than 256 characters, is {len(text)} long"
    labels = text.split(".")
    if first_may_be_wildcard:
        first = labels.pop(0)
        if len(first) > 63 or _WILDCARD_LABEL.fullmatch(first) is None:
            hint = "; * may stand first only" if "*" in first else ""
            return f"{shown(text)} is no host: {shown(first)} must be {_LABEL_RULE}{hint}"
    if not labels:
        return None
    if re.fullmatch(r"[+-]?[0-9]+", labels[-1]):
        return f"{shown(text)} is no host: the last part must not be a number"
    if labels[-1] == "":
        labels.pop()
    for label in labels:
        if not is_dns_label(label):
            hint = "; * may stand first only" if "*" in label else ""
            return f"{shown(text)} is no host: {shown(label)} must be {_LABEL_RULE}{hint}"
    return None


def is_fqdn(text: str) -> bool:
    """A domain name without wildcards; one label is enough."""
    return _domain(text, first_may_be_wildcard=False) is None


def fqdn(text: str, path: str) -> Iterator[Problem]:
    """A domain name without wildcards."""
    if reason := _domain(text, first_may_be_wildcard=False):
        yield Problem(path, reason)


def is_wildcard_domain(text: str) -> bool:
    """A domain name whose first label may be, or begin with, `*`."""
    return _domain(text, first_may_be_wildcard=True) is None


def wildcard_domain(text: str, path: str) -> Iterator[Problem]:
    """A domain name whose first label may be, or begin with, `*`."""
    if reason := _domain(text, first_may_be_wildcard=True):
        yield Problem(path, reason)


def partial_wildcard(text: str, path: str, *, warning: bool = False) -> Iterator[Problem]:
    """`*` must be the whole first label."""
    if "*" in text and text != "*" and not text.startswith("*."):
        reason = f"{shown(text)} has a part of a label as wildcard; write *.domain or *"
        yield Problem(path, reason, warning=warning)


def gateway_bound_domain(text: str, path: str, *, sni: bool) -> Iterator[Problem]:
    """A host of a VirtualService of gateways; SNI may be `outbound_.PORT_.SUBSET_.HOST`."""
    if not (sni and text.startswith("outbound_")):
        yield from wildcard_domain(text, path)
        return
    parts = text.split("_")
    if len(text) > 255 or len(parts) < 4:
        yield Problem(path, f"{shown(text)} must be outbound_.PORT_.SUBSET_.HOST")
        return
    if not re.search(r"[0-9]", parts[1]) or not re.search(r"[a-zA-Z]", parts[3]):
        yield Problem(path, f"{shown(text)} must be outbound_.PORT_.SUBSET_.HOST")


def subset_of(host: str, other: str) -> bool:
    """All that `host` names, `other` names as well."""
    if host.startswith("*"):
        return other.startswith("*") and len(host) >= len(other) and host.endswith(other[1:])
    return host.endswith(other[1:]) if other.startswith("*") else host == other


def overlapping(hosts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs (earlier, later) of which one names something the other names, once per later host.

    In time that grows with the length of the list and of the names, not with the pairs.
    """
    exact: dict[str, int] = {}
    suffixes: dict[str, int] = {}
    #: Every suffix of what came before: a shorter wildcard that comes later covers it.
    ends: dict[str, int] = {}
    for index, host in enumerate(hosts):
        wildcard = host.startswith("*")
        body = host[1:] if wildcard else host
        tails = [body[start:] for start in range(len(body) + 1)]
        found = [suffixes[tail] for tail in tails if tail in suffixes]
        if wildcard and body in ends:
            found.append(ends[body])
        if not wildcard and host in exact:
            found.append(exact[host])
        if found:
            yield min(found), index
        for tail in tails:
            ends.setdefault(tail, index)
        (suffixes if wildcard else exact).setdefault(body, index)


def destination_host(text: str, path: str) -> Iterator[Problem]:
    """A host of the registry; `*` alone is everything and so nothing."""
    if text == "*":
        yield Problem(path, "* is no destination; name one host")
    else:
        yield from wildcard_domain(text, path)


def subset_name(text: str, path: str) -> Iterator[Problem]:
    """The name of a DestinationRule's subset."""
    yield from dns_label(text, path, "a subset name")


def port_name(text: str, path: str) -> Iterator[Problem]:
    """The name of a port."""
    yield from dns_label(text, path, "a port name")


def protocol(text: str, path: str) -> Iterator[Problem]:
    """A protocol; "" is allowed (TCP, or found out)."""
    if text and text.lower() not in PROTOCOLS:
        known = "HTTP, HTTP2, GRPC, GRPC-WEB, HTTP_PROXY, HTTPS, TLS, TCP, MONGO, MYSQL, REDIS, UDP"
        yield Problem(path, f"{shown(text)} is no protocol; use one of {known}")


def gateway_names(names: Sequence[str], path: str) -> Iterator[Problem]:
    """`name`, `namespace/name`, or `mesh`."""
    for index, name in enumerate(names):
        at = f"{path}[{index}]"
        namespace, slash, rest = name.partition("/")
        if slash:
            if not namespace or not rest:
                reason = f"{shown(name)} must be namespace/name, neither of them empty"
                yield Problem(at, reason)
                continue
            yield from dns_label(namespace, at, "a namespace")
            yield from dns_label(rest, at, "a gateway name")
            continue
        yield from fqdn(name, at)
        if "." in name and is_fqdn(name):
            first, second = name.split(".")[:2]
            reason = f"{name} is the old form of the name; write {second}/{first}"
            yield Problem(at, reason, warning=True)


def namespaced_host(text: str, path: str, *, gateway: bool) -> Iterator[Problem]:
    """`namespace/host` of a Sidecar's egress; a Gateway may leave out the namespace.

    Namespaces `.` and `*` are for both, `~` for Sidecar.
    """
    namespace, slash, host = text.partition("/")
    if not slash:
        if not gateway:
            yield Problem(path, f"{shown(text)} must be namespace/host, as in ./{text[:60]} or */*")
            return
        namespace, host = "*", text
    if not namespace or not host:
        yield Problem(path, f"{shown(text)} must be namespace/host, neither of them empty")
        return
    bare = namespace if gateway else namespace.removeprefix("~")
    if bare not in {"", "*", "."} and not is_dns_label(bare):
        special = ". (this one) or * (all)" if gateway else ". (this one), * (all) or ~ (none)"
        reason = f"{shown(namespace)} must be a namespace, {special}"
        yield Problem(path, reason)
    if host != "*" and "." not in host:
        full = f"{host[:60]}.ns.svc.cluster.local"
        reason = f"{shown(host)} is a short name; write it in full, as in {full}"
        yield Problem(path, reason)
    elif not (gateway and is_ip(host)):
        yield from wildcard_domain(host, path)
    yield from partial_wildcard(host, path)


def export_to(
    values: Sequence[str],
    path: str,
    namespace: str,
    *,
    none_allowed: bool = False,
    this_namespace_only: bool = False,
) -> Iterator[Problem]:
    """Namespaces that see a resource: names, `.`, or `*` alone; `~` (none) for ServiceEntry."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        at = f"{path}[{index}]"
        key = namespace if value == "." else value
        if key in seen:
            yield Problem(at, f"{shown(value)} is there already, at [{seen[key]}]; remove it")
            continue
        seen[key] = index
        if value == "~":
            if not none_allowed:
                yield Problem(at, "~ (nobody) is for ServiceEntry only; use . or a namespace")
        elif value not in {".", "*"}:
            yield from dns_label(value, at, "a namespace")
    for alone in ("*", "~"):
        if alone in seen and len(values) > 1:
            yield Problem(f"{path}[{seen[alone]}]", f"{alone} excludes other values; keep one")
    if this_namespace_only and any(key != namespace for key in seen):
        reason = "with a workloadSelector only this namespace is possible; write '.' or nothing"
        yield Problem(path, reason)
