"""controlplane.commands.dumped.endpoints: by /clusters, and by a dump."""

from __future__ import annotations

from controlplane.commands.dumped.dump import Dump
from controlplane.commands.dumped.endpoints import chosen, eds_rows, of_clusters, of_dump, rows
from tests.support.dumps import FQDN, clusters, dump

NAME = f"outbound|9080||{FQDN}"


def test_by_clusters() -> None:
    assert list(rows(of_clusters(clusters()))) == [
        ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"],
        ["10.0.0.2:9080", "HEALTHY", "OK", NAME],
        ["10.0.0.3:9080", "DEGRADED", "FAILED", NAME],
    ]


def test_by_a_dump() -> None:
    assert list(eds_rows(of_dump(Dump(dump(), "x")))) == [
        ["NAME", "STATUS", "LOCALITY", "CLUSTER"],
        ["10.0.0.2:9080", "HEALTHY", "eu/eu-1", NAME],
        ["[fd00::2]:9080", "UNHEALTHY", "eu/eu-1", NAME],
        ["unix:///run/sds", "UNKNOWN", "-", "sds-grpc"],
    ]


def test_filters() -> None:
    found = of_dump(Dump(dump(), "x"))

    def names(**flags: str) -> list[str]:
        return [one.name for one in chosen(found, **flags)]

    assert names(where="10.0.0.2") == ["10.0.0.2:9080"]
    assert names(status="unhealthy") == ["[fd00::2]:9080"]
    assert names(cluster="sds-grpc") == ["unix:///run/sds"]
    assert names(fqdn=FQDN, direction="outbound", port="9080") == [
        "10.0.0.2:9080", "[fd00::2]:9080",
    ]  # fmt: skip
    assert names(fqdn="reviews.default") == ["10.0.0.2:9080", "[fd00::2]:9080"]
    assert names(of="v1") == []
