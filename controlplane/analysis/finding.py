"""One thing that was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.analysis.codes import Code
from controlplane.resources.resource import Key


@dataclass(frozen=True, slots=True)
class Finding:
    code: Code
    #: Of the resource that is to be changed.
    key: Key
    #: Where in it: `spec.gateways[0]`; "" is its beginning.
    path: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        return self.code.text.format_map({"hint": "", **self.arguments})

    @property
    def origin(self) -> str:
        """`VirtualService default/reviews`, as istioctl names it."""
        return friendly(self.key)


def friendly(key: Key) -> str:
    return f"{key.kind} {full_name(key)}"


def full_name(key: Key) -> str:
    """`default/reviews`, or the name alone where there are no namespaces."""
    return f"{key.namespace}/{key.name}" if key.namespace else key.name


def found(code: Code, key: Key, path: str = "", **arguments: Any) -> Finding:
    """A finding whose lists are written as Istio writes them."""
    written = {
        name: ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        for name, value in arguments.items()
    }
    return Finding(code, key, path, written)
