"""controlplane.commands.aligned: columns, one line each, whatever is in them."""

from __future__ import annotations

from controlplane.commands.aligned import aligned, one_line, said


def test_columns() -> None:
    assert aligned([["A", "LONG", "C"], ["1234", "", "x"]]) == "A      LONG   C\n1234          x\n"
    assert aligned([["A", "B"], ["1", ""]]) == "A   B\n1\n"


def test_nothing_gives_a_terminal_orders() -> None:
    assert one_line("a\x1b[31m") == "'a\\x1b[31m'"
    assert said("one\ntwo") == "one; two"
    assert "\x1b" not in said("one\n\x1b]0;x\x07")
