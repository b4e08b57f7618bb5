"""Rows of text as columns, as kubectl and istioctl align them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """A line for each row, three spaces between columns. The first row holds the titles."""
    lines = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )


def said(text: str) -> str:
    """What somebody else has written, in lines or not, on one line."""
    return one_line("; ".join(text.splitlines()))


def one_line(text: str) -> str:
    """Whatever somebody has written there; a terminal must not take it for orders."""
    return text if text.isprintable() else ascii(text)
