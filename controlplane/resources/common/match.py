"""How a string is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controlplane.resources.schema import OneOf


@dataclass(frozen=True, slots=True)
class StringMatch:
    """One of them; none means present with any value (headers and query parameters only)."""

    exact: str | None = None
    prefix: str | None = None
    #: RE2, the whole string.
    regex: str | None = None
    ONE_OF: ClassVar[OneOf] = (("exact", "prefix", "regex"),)
