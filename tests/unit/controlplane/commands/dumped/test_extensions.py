"""controlplane.commands.dumped.extensions: filters that came by name."""

from __future__ import annotations

from controlplane.commands.dumped.dump import Dump
from controlplane.commands.dumped.extensions import chosen, rows
from tests.support.dumps import dump

HELD = Dump(dump(), "x").extensions()


def test_rows() -> None:
    kind = "envoy.extensions.filters.http.lua.v3.Lua"
    assert list(rows(HELD)) == [["ECDS NAME", "TYPE"], ["shop.mark", kind]]


def test_filters() -> None:
    assert [one.name for one in chosen(HELD, name="shop.mark")] == ["shop.mark"]
    assert chosen(HELD, name="shop") == []
