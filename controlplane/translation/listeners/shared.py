"""The listener of a port for all addresses: what services without an address of their own share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener

from controlplane.registry import protocols, services
from controlplane.registry.model import Port, Service
from controlplane.resources.authorization_policy.matchers import cidr
from controlplane.resources.rules.addresses import is_ip
from controlplane.translation.listeners.sniffing import PLAIN_HTTP, http_inspector, tls_inspector
from controlplane.world.view import View

#: SNI ("" is any), and a block of addresses ("" is all).
_Match = tuple[str, str]


class Shared:
    """Filter chains of one port. No two may match alike, Envoy refuses them: who comes first has
    it."""

    def __init__(self) -> None:
        self.chains: list[FilterChain] = []
        self._taken: set[_Match] = set()
        self._http = ""

    def add_http(
        self, chain: Callable[[str], FilterChain], port: int, *, sniffed: bool = False
    ) -> None:
        """Requests, whatever the address: routes tell services apart. `sniffed`: the port does not
        say that it is HTTP, so that only what looks like it is taken for it."""
        if self._http == "all" or (sniffed and self._http):
            return
        built = chain(f"outbound_0.0.0.0_{port}")
        if sniffed:
            built.filter_chain_match.application_protocols.extend(PLAIN_HTTP)
            self._http = "sniffed"
        elif ("", "") in self._taken:
            # A port of TCP that comes first has all connections; requests are told by looking.
            built.filter_chain_match.application_protocols.extend(PLAIN_HTTP)
            if self._http == "sniffed":
                return
            self._http = "sniffed"
        else:
            self._taken.add(("", ""))
            self._http = "all"
        self.chains.append(built)

    def add(self, view: View, service: Service, port: Port, chains: Iterable[FilterChain]) -> None:
        """Connections to a service: by its blocks of addresses (the pods of a headless one), else
        by its host in SNI, else all that are left."""
        ranges = [one for one in service.addresses if "/" in one]
        if service.headless:
            ranges = sorted(
                {
                    one.address
                    for one in services.endpoints(view, service, port.number)
                    if is_ip(one.address)
                }
            )
            if not ranges:
                return
        by_name = protocols.is_tls(port.protocol) and not ranges and service.host != "*"
        for chain in chains:
            match = chain.filter_chain_match
            blocks = [_text(one) for one in match.prefix_ranges] or [
                _text(cidr(one)) for one in ranges
            ]
            hosts = [*match.server_names] or ([service.host] if by_name else [])
            left = self._free(hosts, blocks)
            if left is None:
                continue
            hosts, blocks = left
            match.ClearField("server_names")
            match.ClearField("prefix_ranges")
            match.server_names.extend(hosts)
            match.prefix_ranges.extend(cidr(one) for one in blocks)
            self._taken |= {(host, block) for host in hosts or [""] for block in blocks or [""]}
            self.chains.append(chain)

    def listener(self, built: Listener) -> Listener:
        """With what its chains need to be told apart."""
        built.filter_chains.extend(self.chains)
        matches = [one.filter_chain_match for one in self.chains]
        if any(one.server_names for one in matches):
            built.listener_filters.append(tls_inspector())
        if any(one.application_protocols for one in matches):
            built.listener_filters.append(http_inspector())
        return built

    def _free(self, hosts: list[str], blocks: list[str]) -> tuple[list[str], list[str]] | None:
        """What nobody has yet; None if nothing is left."""
        free_hosts = [
            one
            for one in hosts or [""]
            if not any((one, each) in self._taken for each in blocks or [""])
        ]
        if not free_hosts:
            return None
        return (free_hosts if hosts else []), blocks


def _text(block: CidrRange) -> str:
    return f"{block.address_prefix}/{block.prefix_len.value}"
