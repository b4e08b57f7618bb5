"""Who sees a resource: `exportTo`, the mesh's default for it, `.`, `*` and `~`."""

from __future__ import annotations

from typing import Literal

from controlplane.registry import mesh
from controlplane.world.view import View, query

Default = Literal[
    "default_service_export_to",
    "default_virtual_service_export_to",
    "default_destination_rule_export_to",
]


@query
def exported_to(
    view: View, given: tuple[str, ...], namespace: str, default: Default
) -> tuple[str, ...]:
    """The namespaces, `*` for all, that see a resource of `namespace`. `default`: the field of
    MeshConfig that holds where nothing is given. `~` alone is nobody."""
    chosen: tuple[str, ...] = given or getattr(mesh.config(view), default) or ("*",)
    return tuple(namespace if one == "." else one for one in chosen if one != "~")


def sees(exported: tuple[str, ...], namespace: str) -> bool:
    """Whether `namespace` is among them."""
    return "*" in exported or namespace in exported
