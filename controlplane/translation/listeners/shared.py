"""The filter chains of a listener that several services share, and what tells them apart."""

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
        self._http = False

    def add_http(self, chain: Callable[[], FilterChain]) -> None:
        """What looks like requests, whatever the address: routes tell services apart. Once."""
        if not self._http:
            self._http = True
            built = chain()
            built.filter_chain_match.transport_protocol = "raw_buffer"
            built.filter_chain_match.application_protocols.extend(PLAIN_HTTP)
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
        by_name = protocols.is_tls(port.protocol) and not service.headless and service.host != "*"
        named = [service.host, *service.aliases] if by_name else []
        self._add(chains, named, [_text(cidr(one)) for one in ranges])

    def add_alone(self, chains: Iterable[FilterChain]) -> None:
        """Connections to the one address of a listener."""
        self._add(chains, [], [])

    def listener(self, built: Listener, elsewhere: FilterChain) -> Listener:
        """With what its chains need to be told apart. `elsewhere`: for what none of them takes;
        one that takes all that is left stands in its place."""
        matches = [one.filter_chain_match for one in self.chains]
        for one in self.chains:
            if len(self.chains) > 1 and not one.filter_chain_match.ByteSize():
                built.default_filter_chain.CopyFrom(one)
            else:
                built.filter_chains.append(one)
        if all(one.ByteSize() for one in matches):
            built.default_filter_chain.CopyFrom(elsewhere)
        if any(one.server_names for one in matches):
            built.listener_filters.append(tls_inspector())
        if any(one.application_protocols for one in matches):
            built.listener_filters.append(http_inspector())
        return built

    def _add(self, chains: Iterable[FilterChain], hosts: list[str], blocks: list[str]) -> None:
        for chain in chains:
            match = chain.filter_chain_match
            own = [_text(one) for one in match.prefix_ranges] or blocks
            wanted = [one for one in match.server_names if one != "*"]
            wanted = wanted if match.server_names else hosts
            left = self._free(wanted or [""], own or [""])
            if left is None:
                continue
            match.ClearField("server_names")
            match.ClearField("prefix_ranges")
            match.server_names.extend(filter(None, left[0]))
            match.prefix_ranges.extend(cidr(one) for one in left[1] if one)
            if not match.ByteSize():
                chain.ClearField("filter_chain_match")
            self.chains.append(chain)

    def _free(self, hosts: list[str], blocks: list[str]) -> tuple[list[str], list[str]] | None:
        """What nobody has yet, taken for the one who asks; None if nothing is left."""
        hosts, blocks = list(dict.fromkeys(hosts)), list(dict.fromkeys(blocks))
        if hosts == [""]:
            blocks = [one for one in blocks if ("", one) not in self._taken]
        else:
            hosts = [one for one in hosts if not any((one, each) in self._taken for each in blocks)]
        if not hosts or not blocks:
            return None
        self._taken |= {(host, block) for host in hosts for block in blocks}
        return hosts, blocks


def _text(block: CidrRange) -> str:
    return f"{block.address_prefix}/{block.prefix_len.value}"
