"""`proxy-config clusters`: what requests can be sent to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from controlplane.commands.dumped.dump import Held, istio_config, obj, text


class Subset(NamedTuple):
    """Istio's name of a cluster, taken apart: `outbound|9080|v1|reviews.default...`."""

    direction: str
    port: str
    subset: str
    fqdn: str


def subset(name: str) -> Subset | None:
    """None for a name that is none of Istio's."""
    parts = name.split("|")
    return Subset(*parts) if len(parts) == 4 else None


def rows(found: Iterable[Held]) -> Iterator[list[str]]:
    """The titles first."""
    yield ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"]
    lines = []
    for one in found:
        name = subset(one.name) or Subset("-", "-", "-", one.name)
        kind = text(one.value, "type") or text(obj(one.value.get("cluster_type")), "name")
        rule = istio_config(one.value, "destination-rule")
        cells = [name.fqdn, name.port, name.subset or "-", name.direction, kind or "STATIC", rule]
        lines.append(cells)
    yield from sorted(lines)


def chosen(
    found: Iterable[Held], *, fqdn: str = "", port: str = "", direction: str = "", of: str = ""
) -> list[Held]:
    """Those that the flags ask for; `of` is the subset. Of `fqdn` and `of` a part will do, as with
    istioctl."""
    kept = []
    for one in found:
        name = subset(one.name) or Subset("", "", "", one.name)
        if (
            fqdn in name.fqdn
            and port in {"", name.port}
            and direction.lower() in {"", name.direction}
            and of in name.subset
        ):
            kept.append(one)
    return kept
