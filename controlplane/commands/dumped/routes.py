"""`proxy-config routes`: which requests go where, and which VirtualService said so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from controlplane.commands.dumped.dump import Held, istio_config, items, obj, text, words

#: So many domains of a virtual host are shown.
_DOMAINS: Final = 2


def rows(found: Iterable[Held]) -> Iterator[list[str]]:
    """The titles first; a row for each route."""
    yield ["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"]
    for one in sorted(found, key=lambda held: held.name):
        hosts = items(one.value, "virtual_hosts")
        for host in hosts:
            begin = [one.name, text(host, "name"), _domains(host)]
            for route in items(host, "routes"):
                end = "404" if _refuses(route) else istio_config(route, "virtual-service")
                yield [*begin, matched(route), end]
        if not hosts:
            yield [one.name, "", "", "", "404"]


def chosen(found: Iterable[Held], *, name: str = "", fqdn: str = "") -> list[Held]:
    """Those that the flags ask for; of one with `fqdn`, the virtual hosts of which it
    is a part of a domain."""
    kept = [one for one in found if name in {"", one.name}]
    if not fqdn:
        return kept
    narrowed = []
    for one in kept:
        hosts = [host for host in items(one.value, "virtual_hosts") if _is_of(host, fqdn)]
        if hosts:
            narrowed.append(Held(one.name, one.state, {**one.value, "virtual_hosts": hosts}))
    return narrowed


def matched(route: dict[str, Any]) -> str:
    """What a route matches: `/a*` for a prefix, `/a` for a path, and what else it asks for."""
    match = obj(route.get("match"))
    said = [_path(match)]
    said += [f"header {text(one, 'name')}" for one in items(match, "headers")]
    said += [f"query {text(one, 'name')}" for one in items(match, "query_parameters")]
    return " ".join(said)


def _path(match: dict[str, Any]) -> str:
    if "prefix" in match:
        return f"{text(match, 'prefix')}*"
    if "path_separated_prefix" in match:
        return f"PathPrefix:{text(match, 'path_separated_prefix')}"
    if "path" in match:
        return text(match, "path")
    if "safe_regex" in match:
        return f"regex {text(match['safe_regex'], 'regex')}"
    return "CONNECT" if "connect_matcher" in match else "*"


def _domains(host: dict[str, Any]) -> str:
    # The shortest say most to people.
    names = sorted(words(host, "domains"), key=len)
    more = len(names) - _DOMAINS
    return ", ".join(names[:_DOMAINS]) + (f" + {more} more..." if more > 0 else "")


def _refuses(route: dict[str, Any]) -> bool:
    return obj(route.get("direct_response")).get("status") == 404


def _is_of(host: dict[str, Any], fqdn: str) -> bool:
    return any(fqdn in one for one in words(host, "domains"))
