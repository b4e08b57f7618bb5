"""Fields of Kubernetes' Secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controlplane.resources.hidden import Hidden
from controlplane.resources.schema import HiddenText


@dataclass(frozen=True, slots=True)
class Secret:
    """Keys and certificates. Values never show."""

    #: "" is Opaque.
    type: str = ""
    data: Mapping[str, Hidden] = field(default_factory=dict)
    #: Wins over `data`.
    string_data: Mapping[str, HiddenText] = field(default_factory=dict)

    def value(self, key: str) -> Hidden | None:
        """What the key holds, in whichever way it was written."""
        return self.string_data.get(key) or self.data.get(key)
