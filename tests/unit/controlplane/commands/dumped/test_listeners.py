"""controlplane.commands.dumped.listeners: where each chain leads."""

from __future__ import annotations

from controlplane.commands.dumped.dump import Dump
from controlplane.commands.dumped.listeners import chosen, kind_of, rows
from tests.support.dumps import dump

HELD = Dump(dump(), "x").listeners()


def test_rows() -> None:
    match = "SNI: a.example,b.example; Trans: tls; App: istio; Addr: 10.0.0.0/8:443"
    assert list(rows(HELD)) == [
        ["ADDRESSES", "PORT", "MATCH", "DESTINATION"],
        ["0.0.0.0", "9080", "ALL", "Route: 9080"],
        ["0.0.0.0", "9080", "ALL", "Cluster: outbound|1||a, Cluster: outbound|1||b"],
        ["0.0.0.0,::", "15006", match, "Inline Route: /*"],
        ["0.0.0.0,::", "15006", "ALL", "Non-HTTP/Non-TCP"],
        ["0.0.0.0,::", "15006", "ALL", "InboundPassthroughCluster"],
    ]


def test_filters() -> None:
    def names(**flags: str) -> list[str]:
        return [one.name for one in chosen(HELD, **flags)]

    assert names(port="9080") == ["0.0.0.0_9080"]
    assert names(where="::") == ["virtualInbound"]
    assert names(direction="outbound") == ["0.0.0.0_9080"]
    assert names(name="virtualInbound") == ["virtualInbound"]
    assert names(name="x") == []
    assert names(kind="HTTP+TCP") == ["virtualInbound", "0.0.0.0_9080"]
    assert names(kind="tcp") == []


def test_kinds() -> None:
    black_hole = {"@type": "type.googleapis.com/x.TcpProxy", "cluster": "BlackHoleCluster"}
    chains = [{"filters": [{"typed_config": black_hole}]}]
    assert kind_of({"filter_chains": chains}) == "UNKNOWN"
    http = {"@type": "type.googleapis.com/x.HttpConnectionManager"}
    chains.append({"filters": [{"typed_config": http}]})
    assert kind_of({"filter_chains": chains}) == "HTTP"
    other = {"@type": "type.googleapis.com/x.TcpProxy", "cluster": "a"}
    assert kind_of({"default_filter_chain": {"filters": [{"typed_config": other}]}}) == "TCP"
