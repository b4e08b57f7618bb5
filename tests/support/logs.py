"""What a proxy has written to a file, while it goes on writing."""

from __future__ import annotations

from pathlib import Path


def whole_lines(path: Path) -> list[str]:
    """Those that have ended: of what is written in pieces the last one may be half there. None of a
    file that is not there."""
    if not path.exists():
        return []
    *whole, _ = path.read_text().split("\n")
    return whole
