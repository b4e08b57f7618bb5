"""A share of requests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Percent:
    """From 0 to 100, fractions allowed."""

    value: float = 0.0
