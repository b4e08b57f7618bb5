"""What becomes of a connection in what a proxy is sent, by Envoy's rules and without an Envoy:
which listener, filter chain, virtual host, route and cluster.

Connections are as iptables bring them: to the address that was meant. What no listener has goes to
the catch-all one (`use_original_dst`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext

from mesh import api

#: What inspectors find in plaintext.
_PLAIN = {"http": "http/1.1", "http2": "h2c", "tcp": ""}
#: What clients outside of the mesh, and sidecars, say in ALPN.
_ALPN = {"http": "", "http2": "h2", "tcp": ""}
_MESH_ALPN = {"http": "istio-http/1.1", "http2": "istio-h2", "tcp": "istio"}


@dataclass(frozen=True)
class Call:
    """A connection, and the one request on it."""

    port: int
    #: `http`, `http2` or `tcp`.
    protocol: str = "http"
    #: "" is plaintext, `tls`, `mtls` is the mesh's own.
    tls: str = ""
    address: str = "1.3.3.7"
    host: str = "example.com"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    sni: str = ""
    alpn: str = ""
    inbound: bool = False


@dataclass(frozen=True)
class Result:
    """How far it came. `error` says why it went no further."""

    error: str = ""
    listener: str = ""
    chain: str = ""
    routes: str = ""
    virtual_host: str = ""
    route: str = ""
    cluster: str = ""


def run(sent: dict[str, list[Any]], call: Call) -> Result:
    """By what `tests.support.translated.everything` has found."""
    listener = _listener(sent[api.LISTENER], call)
    if listener is None:
        return Result("no listener")
    found = _chains(listener, call)
    if not found and listener.HasField("default_filter_chain"):
        found = [listener.default_filter_chain]
    if len(found) != 1:
        error = "several filter chains" if found else "no filter chain"
        return Result(error, listener.name)
    return _through(listener, found[0], sent, call)


def _through(
    listener: Listener, chain: FilterChain, sent: dict[str, list[Any]], call: Call
) -> Result:
    here = {"listener": listener.name, "chain": chain.name}
    ends_tls = False
    if chain.HasField("transport_socket"):
        context = DownstreamTlsContext()
        assert chain.transport_socket.typed_config.Unpack(context)
        ends_tls = True
        if not call.tls:
            return Result("TLS error", **here)
        if context.require_client_certificate.value and call.tls != "mtls":
            return Result("mTLS error", **here)
    for one in chain.filters:
        proxy, manager = TcpProxy(), hcm.HttpConnectionManager()
        if one.typed_config.Unpack(proxy):
            weighted = ",".join(each.name for each in proxy.weighted_clusters.clusters)
            return Result(cluster=proxy.cluster or weighted, **here)
        if one.typed_config.Unpack(manager):
            if call.protocol == "tcp" or (call.tls and not ends_tls):
                return Result("protocol error", **here)
            return _request(manager, sent, call, here)
    raise AssertionError(f"{listener.name} {chain.name} ends nowhere")


def _request(
    manager: hcm.HttpConnectionManager,
    sent: dict[str, list[Any]],
    call: Call,
    here: dict[str, str],
) -> Result:
    config = manager.route_config
    if manager.HasField("rds"):
        name = manager.rds.route_config_name
        config = next(one for one in sent[api.ROUTE] if one.name == name)
    here = {**here, "routes": config.name}
    host = _virtual_host(config, call.host)
    if host is None:
        return Result("no virtual host", **here)
    here["virtual_host"] = host.name
    if host.require_tls == VirtualHost.ALL and not call.tls:
        return Result("TLS redirect", **here)
    route = next((one for one in host.routes if _matches(one, call)), None)
    if route is None:
        return Result("no route", **here)
    here["route"] = route.name
    if route.HasField("redirect") or route.HasField("direct_response"):
        return Result("answered", **here)
    weighted = ",".join(each.name for each in route.route.weighted_clusters.clusters)
    return Result(cluster=route.route.cluster or weighted, **here)


def _listener(listeners: list[Listener], call: Call) -> Listener | None:
    if call.inbound:
        return next((one for one in listeners if one.name == "virtualInbound"), None)
    by_address = {
        (one.address.socket_address.address, one.address.socket_address.port_value): one
        for one in listeners
        if one.name not in {"virtualInbound", "virtualOutbound"}
    }
    catch_all = next((one for one in listeners if one.name == "virtualOutbound"), None)
    return (
        by_address.get((call.address, call.port))
        or by_address.get(("0.0.0.0", call.port))
        or catch_all
    )


def _chains(listener: Listener, call: Call) -> list[FilterChain]:
    """Step by step, in Envoy's order: each leaves those that say it most precisely."""
    left = list(listener.filter_chains)
    left = _narrowed(left, lambda m: m.destination_port.value or None, [call.port])
    left = _by_address(left, call.address)
    # Who is not looked at is plaintext.
    tls = call.tls if _inspects(listener, "tls", call) else ""
    sni = (call.sni or call.host) if tls else ""
    names = [sni, *_wildcards(sni)]
    left = _narrowed(left, lambda m: list(m.server_names) or None, names)
    transport = "tls" if tls else "raw_buffer"
    left = _narrowed(left, lambda m: m.transport_protocol or None, [transport])
    said = call.alpn or {"": _PLAIN, "tls": _ALPN, "mtls": _MESH_ALPN}[call.tls][call.protocol]
    if not tls and (call.tls or not _inspects(listener, "http", call)):
        said = ""
    return _narrowed(left, lambda m: list(m.application_protocols) or None, [said])


def _narrowed(left: list[FilterChain], said: Any, wanted: list[Any]) -> list[FilterChain]:
    """Those that say the first of `wanted` that any says; else those that say nothing."""
    for value in wanted:
        found = []
        for one in left:
            says = said(one.filter_chain_match)
            if says is not None and value in (says if isinstance(says, list) else [says]):
                found.append(one)
        if found:
            return found
    return [one for one in left if said(one.filter_chain_match) is None]


def _by_address(left: list[FilterChain], address: str) -> list[FilterChain]:
    lengths: dict[int, list[FilterChain]] = {}
    for one in left:
        ranges = one.filter_chain_match.prefix_ranges
        if not ranges:
            lengths.setdefault(-1, []).append(one)
        for block in ranges:
            text = f"{block.address_prefix}/{block.prefix_len.value}"
            if ip_address(address) in ip_network(text, strict=False):
                lengths.setdefault(block.prefix_len.value, []).append(one)
    return lengths[max(lengths)] if lengths else []


def _wildcards(name: str) -> list[str]:
    parts = name.split(".")
    return ["*." + ".".join(parts[index:]) for index in range(1, len(parts))]


def _inspects(listener: Listener, what: str, call: Call) -> bool:
    for one in listener.listener_filters:
        if one.name == f"envoy.filters.listener.{what}_inspector":
            return not (one.HasField("filter_disabled") and _holds(one.filter_disabled, call.port))
    return False


def _holds(predicate: Any, port: int) -> bool:
    kind = predicate.WhichOneof("rule")
    if kind == "not_match":
        return not _holds(predicate.not_match, port)
    if kind == "or_match":
        return any(_holds(one, port) for one in predicate.or_match.rules)
    assert kind == "destination_port_range", kind
    return bool(
        predicate.destination_port_range.start <= port < predicate.destination_port_range.end
    )


def _virtual_host(config: RouteConfiguration, host: str) -> VirtualHost | None:
    host = host.lower()
    if config.ignore_port_in_host_matching:
        host = re.sub(r":[0-9]+$", "", host)
    domains = {one: each for each in config.virtual_hosts for one in each.domains}
    assert len(domains) == sum(len(each.domains) for each in config.virtual_hosts), "a domain twice"
    if host in domains:
        return domains[host]
    suffixes = [one for one in domains if one.startswith("*") and host.endswith(one[1:])]
    return domains[max(suffixes, key=len)] if suffixes else None


def _matches(route: Route, call: Call) -> bool:
    match = route.match
    path = call.path.partition("?")[0]
    kind = match.WhichOneof("path_specifier")
    if kind == "prefix" and not path.startswith(match.prefix):
        return False
    if kind == "path" and path != match.path:
        return False
    if kind == "safe_regex" and not re.fullmatch(match.safe_regex.regex, path):
        return False
    return all(_header(one, dict(call.headers)) for one in match.headers)


def _header(wanted: HeaderMatcher, headers: dict[str, str]) -> bool:
    value = headers.get(wanted.name)
    if wanted.WhichOneof("header_match_specifier") == "present_match":
        return (value is not None) != wanted.invert_match
    if value is None and not wanted.treat_missing_header_as_empty:
        return False
    string = wanted.string_match
    given = value or ""
    found = {
        "exact": lambda: given == string.exact,
        "prefix": lambda: given.startswith(string.prefix),
        "safe_regex": lambda: re.fullmatch(string.safe_regex.regex, given) is not None,
    }[string.WhichOneof("match_pattern")]()
    return found != wanted.invert_match
