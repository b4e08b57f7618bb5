"""`proxy-config endpoints` and `eds`: who answers for a cluster, and whether it is thought healthy.

The first by Envoy's `/clusters?format=json`, which knows outliers; the second by the dump.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from controlplane.commands.dumped.clusters import Subset, subset
from controlplane.commands.dumped.dump import Dump, address, items, obj, text


class Endpoint(NamedTuple):
    """One of a cluster."""

    host: str
    port: int | None
    status: str
    outlier: str
    cluster: str
    locality: str

    @property
    def name(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def of_clusters(value: Any) -> list[Endpoint]:
    """Of `/clusters?format=json`."""
    return [
        Endpoint(
            *address(host.get("address")),
            text(health, "eds_health_status") or "UNKNOWN",
            "FAILED" if health.get("failed_outlier_check") else "OK",
            text(cluster, "name"),
            _locality(host.get("locality")),
        )
        for cluster in items(value, "cluster_statuses")
        for host in items(cluster, "host_statuses")
        for health in [obj(host.get("health_status"))]
    ]


def of_dump(dump: Dump) -> list[Endpoint]:
    """Of a dump that includes EDS; it does not know what outlier detection found."""
    return [
        Endpoint(
            *address(obj(one.get("endpoint")).get("address")),
            text(one, "health_status") or "UNKNOWN",
            "-",
            held.name,
            _locality(group.get("locality")),
        )
        for held in dump.endpoints()
        for group in items(held.value, "endpoints")
        for one in items(group, "lb_endpoints")
    ]


def chosen(
    found: list[Endpoint],
    *,
    where: str = "",
    port: str = "",
    cluster: str = "",
    status: str = "",
    fqdn: str = "",
    of: str = "",
    direction: str = "",
) -> list[Endpoint]:
    """Those that the flags ask for; `where` is the address, `of` the subset."""
    kept = []
    for one in found:
        name = subset(one.cluster) or Subset("", "", "", one.cluster)
        if (
            where in {"", one.host}
            and port in {"", str(one.port)}
            and cluster in {"", one.cluster}
            and status.upper() in {"", one.status}
            and fqdn in name.fqdn
            and of in name.subset
            and direction.lower() in {"", name.direction}
        ):
            kept.append(one)
    return kept


def rows(found: list[Endpoint]) -> Iterator[list[str]]:
    """The titles first."""
    yield ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"]
    for one in sorted(found, key=lambda one: (one.cluster, one.name)):
        yield [one.name, one.status, one.outlier, one.cluster]


def eds_rows(found: list[Endpoint]) -> Iterator[list[str]]:
    """The titles first."""
    yield ["NAME", "STATUS", "LOCALITY", "CLUSTER"]
    for one in sorted(found, key=lambda one: (one.cluster, one.name)):
        yield [one.name, one.status, one.locality or "-", one.cluster]


def _locality(value: Any) -> str:
    return "/".join(filter(None, (text(value, key) for key in ("region", "zone", "sub_zone"))))
