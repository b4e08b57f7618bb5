"""controlplane.commands.dumped.clusters: istioctl's columns, and what the flags leave."""

from __future__ import annotations

from controlplane.commands.dumped.clusters import chosen, rows, subset
from controlplane.commands.dumped.dump import Dump
from tests.support.dumps import FQDN, dump

HELD = Dump(dump(), "x").clusters()


def test_rows() -> None:
    assert list(rows(HELD)) == [
        ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"],
        ["", "9080", "-", "inbound", "STATIC", ""],
        ["PassthroughCluster", "-", "-", "-", "ORIGINAL_DST", ""],
        ["dynamic", "-", "-", "-", "envoy.clusters.dynamic_forward_proxy", ""],
        [FQDN, "9080", "-", "outbound", "EDS", ""],
        [FQDN, "9080", "v1", "outbound", "EDS", "reviews.default"],
        ["xds-grpc", "-", "-", "-", "STRICT_DNS", ""],
    ]


def test_names() -> None:
    assert subset("outbound|1|v1|a") == ("outbound", "1", "v1", "a")
    assert subset("xds-grpc") is None
    assert subset("a|b|c|d|e") is None


def test_filters() -> None:
    def names(**flags: str) -> list[str]:
        return [one.name for one in chosen(HELD, **flags)]

    assert len(names()) == 6
    assert names(fqdn=FQDN, of="v1") == [f"outbound|9080|v1|{FQDN}"]
    assert names(fqdn="xds-grpc") == ["xds-grpc"]
    assert names(fqdn="views.def", of="1") == [f"outbound|9080|v1|{FQDN}"]
    assert names(direction="INBOUND") == ["inbound|9080||"]
    assert names(port="9080", direction="outbound") == [
        f"outbound|9080|v1|{FQDN}", f"outbound|9080||{FQDN}",
    ]  # fmt: skip
    assert names(port="1") == []
