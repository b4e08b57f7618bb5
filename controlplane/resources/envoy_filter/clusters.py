"""Patches of clusters."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster

from controlplane.resources.envoy_filter import select
from controlplane.resources.envoy_filter.merge import merge
from controlplane.resources.envoy_filter.schema import ClusterMatch
from controlplane.resources.envoy_filter.select import Target, Wanted
from controlplane.translation import names
from controlplane.translation.pack import packed
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

_ANY = ClusterMatch()


def patched(view: View, found: list[Encoded], kind: str, target: Target) -> list[Encoded]:
    """All clusters of a proxy, patched. `kind`: `sidecar` or `router`. Without patches nothing is
    unpacked."""
    wanted = select.patches(view, target, "CLUSTER")
    if not wanted:
        return found
    result = []
    for one in found:
        changed = _patch(view, one, kind, wanted)
        if changed is not None:
            result.append(changed)
    for patch in wanted:
        if patch.patch.operation == "ADD" and select.is_for(patch, kind):
            added = patch.value()
            result.append(encoded(added.name, packed(added)))  # type: ignore[attr-defined]
    # Of two clusters with one name Envoy refuses all: the first stays.
    return list({one.name: one for one in reversed(result)}.values())[::-1]


@query
def _patch(view: View, one: Encoded, kind: str, wanted: tuple[Wanted, ...]) -> Encoded | None:
    del view
    about = [patch for patch in wanted if _concerns(patch, one.name, kind)]
    if not about:
        return one
    cluster = Cluster.FromString(one.body)
    for patch in about:
        if patch.patch.operation == "REMOVE":
            return None
        if patch.patch.operation in {"MERGE", "MERGE_AND_REPLACE_LIST"}:
            replace = patch.patch.operation == "MERGE_AND_REPLACE_LIST"
            merge(cluster, patch.value(), replace_lists=replace)
    # What other resources call it stays its name.
    cluster.name = one.name
    return encoded(one.name, packed(cluster))


def _concerns(patch: Wanted, name: str, kind: str) -> bool:
    match = patch.match.cluster or _ANY
    outbound = names.parse_outbound(name)
    inbound = name.startswith("inbound|")
    context = select.INBOUND if inbound else select.OUTBOUND
    if not patch.about(select.GATEWAY if kind == "router" else context):
        return False
    if match.name:
        return match.name == name
    if outbound is None:
        port = names.parse_port(name.split("|")[1]) if inbound else 0
        if match.service or match.subset:
            return False
        return not match.port_number or match.port_number == port
    return (
        (not match.port_number or match.port_number == outbound.port)
        and (not match.subset or match.subset == outbound.subset)
        and (not match.service or match.service == outbound.host)
    )
