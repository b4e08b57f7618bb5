"""Patches of listeners, their filter chains and filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_pb2 import Listener

from controlplane.resources.envoy_filter import lists, routes, select
from controlplane.resources.envoy_filter.merge import merge, pack, unpack
from controlplane.resources.envoy_filter.names import current_name
from controlplane.resources.envoy_filter.schema import FilterChainMatch, FilterMatch, ListenerMatch
from controlplane.resources.envoy_filter.select import Target, Wanted
from controlplane.translation.pack import packed
from controlplane.world.view import View
from controlplane.xds.translator import Encoded, encoded

_SORTS = ("LISTENER", "LISTENER_FILTER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER")
_MANAGER = "envoy.filters.network.http_connection_manager"
#: The name of the socket of a chain that names none.
_PLAINTEXT = "envoy.transport_sockets.raw_buffer"
_ADDS = frozenset({"ADD", "INSERT_FIRST", "INSERT_BEFORE", "INSERT_AFTER"})
_ANY, _ANY_CHAIN, _ANY_FILTER = ListenerMatch(), FilterChainMatch(), FilterMatch()


def patched(
    view: View, found: tuple[Encoded, ...], kind: str, target: Target
) -> tuple[Encoded, ...]:
    """All listeners of a proxy, patched. Without patches nothing is unpacked."""
    sorts = (*_SORTS, *routes.SORTS)
    wanted = {sort: select.patches(view, target, sort) for sort in sorts}
    if not any(wanted.values()):
        return found
    result = []
    for one in found:
        changed = _patch(one, kind, wanted)
        if changed is not None:
            result.append(changed)
    for patch in wanted["LISTENER"]:
        context = patch.match.context
        mine = context == "ANY" or (context == select.GATEWAY) == (kind == "router")
        if patch.patch.operation == "ADD" and mine:
            added: Any = patch.value()
            result.append(encoded(added.name, packed(added)))
    return tuple({one.name: one for one in reversed(result)}.values())[::-1]


def _patch(one: Encoded, kind: str, wanted: dict[str, tuple[Wanted, ...]]) -> Encoded | None:
    listener = Listener.FromString(one.body)
    for patch in wanted["LISTENER"]:
        if _concerns(patch, listener, kind):
            if patch.patch.operation == "REMOVE":
                return None
            if patch.patch.operation in {"MERGE", "MERGE_AND_REPLACE_LIST"}:
                replace = patch.patch.operation == "MERGE_AND_REPLACE_LIST"
                merge(listener, patch.value(), replace_lists=replace)
                listener.name = one.name
    for patch in wanted["LISTENER_FILTER"]:
        if _concerns(patch, listener, kind):
            name = (patch.match.listener or _ANY).listener_filter
            lists.apply(listener.listener_filters, patch, _named(name), anywhere=not name)
    for patch in wanted["FILTER_CHAIN"]:
        if _concerns(patch, listener, kind):
            chain = _chain_of(patch)
            concerns = _chain_concerned(chain)
            lists.apply(listener.filter_chains, patch, concerns, anywhere=chain == _ANY_CHAIN)
    if listener.HasField("default_filter_chain"):
        _default_chain(listener, wanted["FILTER_CHAIN"], kind)
    for chain in _all_chains(listener):
        for patch in wanted["NETWORK_FILTER"]:
            if _concerns(patch, listener, kind) and _chain_concerned(_chain_of(patch))(chain):
                name = (_chain_of(patch).filter or _ANY_FILTER).name
                lists.apply(chain.filters, patch, _named(name), anywhere=not name)
        about = [patch for patch in wanted["HTTP_FILTER"] if _concerns(patch, listener, kind)]
        _http_filters(chain, about)
        if any(wanted[sort] for sort in routes.SORTS):
            _own_routes(chain, wanted)
    return encoded(one.name, packed(listener))


def _all_chains(listener: Listener) -> list[Any]:
    rest = [listener.default_filter_chain] if listener.HasField("default_filter_chain") else []
    return [*listener.filter_chains, *rest]


def _default_chain(listener: Listener, patches: Iterable[Wanted], kind: str) -> None:
    """What is changed or taken away by its name or its filters; what is added is a chain of its
    own."""
    alone = Listener(filter_chains=[listener.default_filter_chain])
    for patch in patches:
        if _concerns(patch, listener, kind) and patch.patch.operation not in _ADDS:
            lists.apply(
                alone.filter_chains, patch, _chain_concerned(_chain_of(patch)), anywhere=False
            )
    if alone.filter_chains:
        listener.default_filter_chain.CopyFrom(alone.filter_chains[0])
    else:
        listener.ClearField("default_filter_chain")


def _http_filters(chain: Any, wanted: list[Wanted]) -> None:
    about = [patch for patch in wanted if _chain_concerned(_chain_of(patch))(chain)]
    for one in chain.filters if about else ():
        manager: Any = unpack(one.typed_config) if one.name == _MANAGER else None
        if manager is None:
            continue
        for patch in about:
            sub = (_chain_of(patch).filter or _ANY_FILTER).sub_filter
            name = sub.name if sub else ""
            if patch.patch.operation == "ADD":
                _before_router(manager.http_filters, patch)
            else:
                lists.apply(manager.http_filters, patch, _named(name), anywhere=not name)
        one.typed_config.CopyFrom(pack(manager))


def _own_routes(chain: Any, wanted: dict[str, tuple[Wanted, ...]]) -> None:
    """Routes that stand in the listener itself: those of what a sidecar receives."""
    for one in chain.filters:
        manager: Any = unpack(one.typed_config) if one.name == _MANAGER else None
        if manager is not None and manager.HasField("route_config"):
            routes.patch_message(manager.route_config, select.INBOUND, wanted)
            one.typed_config.CopyFrom(pack(manager))


def _before_router(filters: Any, patch: Wanted) -> None:
    """ADD: at the end, which is before the router; `filterClass` says where among ours."""
    before = {
        # Before everything that decides by what a request has proved.
        "AUTHN": ("envoy.filters.http.jwt_authn", "envoy.filters.http.rbac"),
        "AUTHZ": (),
        "STATS": (),
        "UNSPECIFIED": (),
    }[patch.patch.filter_class]
    places = [index for index, one in enumerate(filters) if one.name in before]
    if patch.patch.filter_class == "AUTHZ":
        rbac = [i for i, one in enumerate(filters) if one.name == "envoy.filters.http.rbac"]
        places = [rbac[-1] + 1] if rbac else [0]
    filters.insert(places[0] if places else max(len(filters) - 1, 0), patch.value())


def _concerns(patch: Wanted, listener: Listener, kind: str) -> bool:
    inbound = listener.traffic_direction == TrafficDirection.INBOUND
    context = select.INBOUND if inbound else select.OUTBOUND
    if not patch.about(select.GATEWAY if kind == "router" else context):
        return False
    match = patch.match.listener or _ANY
    if match.name and match.name != listener.name:
        return False
    port = listener.address.socket_address.port_value
    if not match.port_number or match.port_number == port:
        return True
    # Behind iptables all ports of a workload are chains of one listener.
    return any(
        chain.filter_chain_match.destination_port.value == match.port_number
        for chain in listener.filter_chains
    )


def _chain_of(patch: Wanted) -> FilterChainMatch:
    match = patch.match.listener
    chain = match.filter_chain if match else None
    if chain is None:
        return FilterChainMatch(destination_port=0)
    return chain


def _chain_concerned(wanted: FilterChainMatch) -> Callable[[Any], bool]:
    def concerns(chain: Any) -> bool:
        match = chain.filter_chain_match
        name = wanted.filter.name if wanted.filter else ""
        return bool(
            (not wanted.name or wanted.name == chain.name)
            and (not wanted.sni or wanted.sni in match.server_names)
            and (
                not wanted.transport_protocol
                or wanted.transport_protocol == match.transport_protocol
            )
            and (
                not wanted.application_protocols
                or set(wanted.application_protocols.split(",")) <= set(match.application_protocols)
            )
            and (
                not wanted.destination_port
                or wanted.destination_port == match.destination_port.value
            )
            and wanted.transport_socket in {"", chain.transport_socket.name or _PLAINTEXT}
            and (not name or any(_named(name)(one) for one in chain.filters))
        )

    return concerns


def _named(name: str) -> Callable[[Any], bool]:
    """Filters of a name, which may be one that Envoy has given up; "" is every filter."""
    wanted = current_name(name) or name
    return lambda one: not wanted or one.name == wanted
