"""`proxy-config listeners`: on which addresses, and where each chain of filters leads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from controlplane.commands.dumped.clusters import subset
from controlplane.commands.dumped.dump import Held, address, items, obj, text, words
from controlplane.commands.dumped.routes import matched

_HTTP: Final = "HttpConnectionManager"
_TCP: Final = "TcpProxy"
_BLACK_HOLE: Final = "BlackHoleCluster"


def rows(found: Iterable[Held]) -> Iterator[list[str]]:
    """The titles first; a row for each chain."""
    yield ["ADDRESSES", "PORT", "MATCH", "DESTINATION"]
    for one in sorted(found, key=lambda held: (_port(held.value), _addresses(held.value))):
        names, port = ",".join(_addresses(one.value)), str(_port(one.value))
        for chain, match in _chains(one.value):
            yield [names, port, match, _destination(chain)]


def chosen(
    found: Iterable[Held],
    *,
    where: str = "",
    port: str = "",
    direction: str = "",
    name: str = "",
    kind: str = "",
) -> list[Held]:
    """Those that the flags ask for; `where` is the address, `kind` what `kind_of` says."""
    return [
        one
        for one in found
        if (not where or where in _addresses(one.value))
        and kind.upper() in {"", kind_of(one.value)}
        and port in {"", str(_port(one.value))}
        and direction.upper() in {"", text(one.value, "traffic_direction")}
        and name in {"", one.name}
    ]


def kind_of(listener: dict[str, Any]) -> str:
    """HTTP, TCP, HTTP+TCP or UNKNOWN, by what its chains lead to; a black hole is no TCP."""
    found = set()
    for chain, _ in _chains(listener):
        for one in items(chain, "filters"):
            config = obj(one.get("typed_config"))
            kind = text(config, "@type").rpartition(".")[2]
            if kind == _HTTP:
                found.add("HTTP")
            elif kind == _TCP and text(config, "cluster") != _BLACK_HOLE:
                found.add("TCP")
    return "+".join(sorted(found)) or "UNKNOWN"


def _addresses(listener: dict[str, Any]) -> list[str]:
    further = (one.get("address") for one in items(listener, "additional_addresses"))
    return [address(one)[0] for one in (listener.get("address"), *further)]


def _port(listener: dict[str, Any]) -> int:
    return address(listener.get("address"))[1] or 0


def _chains(listener: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for one in items(listener, "filter_chains"):
        yield one, _match(obj(one.get("filter_chain_match")))
    last = obj(listener.get("default_filter_chain"))
    if last:
        yield last, "ALL"


def _match(match: dict[str, Any]) -> str:
    said = []
    if words(match, "server_names"):
        said.append(f"SNI: {','.join(words(match, 'server_names'))}")
    if text(match, "transport_protocol"):
        said.append(f"Trans: {text(match, 'transport_protocol')}")
    if words(match, "application_protocols"):
        said.append(f"App: {','.join(words(match, 'application_protocols'))}")
    port = match.get("destination_port")
    ranges = [
        f"{text(one, 'address_prefix')}/{one.get('prefix_len', 0)}"
        for one in items(match, "prefix_ranges")
    ]
    if ranges or port:
        said.append(f"Addr: {','.join(ranges) or '*'}{f':{port}' if port else ''}")
    sources = [
        f"{text(one, 'address_prefix')}/{one.get('prefix_len', 0)}"
        for one in items(match, "source_prefix_ranges")
    ]
    if sources:
        said.append(f"Source: {','.join(sources)}")
    return "; ".join(said) or "ALL"


def _destination(chain: dict[str, Any]) -> str:
    for one in items(chain, "filters"):
        config = obj(one.get("typed_config"))
        kind = text(config, "@type").rpartition(".")[2]
        if kind == _HTTP:
            return _http(config)
        if kind == _TCP:
            return _tcp(config)
    return "Non-HTTP/Non-TCP"


def _http(config: dict[str, Any]) -> str:
    route = text(obj(config.get("rds")), "route_config_name")
    if route:
        return f"Route: {route}"
    inline = obj(config.get("route_config"))
    found = [
        f"{_domains(host)}{matched(one)}"
        for host in items(inline, "virtual_hosts")
        for one in items(host, "routes")
    ]
    return f"Inline Route: {', '.join(dict.fromkeys(found))}"


def _domains(host: dict[str, Any]) -> str:
    names = words(host, "domains")
    return "" if "*" in names or not names else names[0]


def _tcp(config: dict[str, Any]) -> str:
    clusters = items(obj(config.get("weighted_clusters")), "clusters")
    names = [text(one, "name") for one in clusters] or [text(config, "cluster")]
    # Istio's own clusters have names of their own.
    return ", ".join(f"Cluster: {one}" if subset(one) else one for one in names)
