"""Configurations of extensions that patches add (EXTENSION_CONFIG): what ECDS is answered with,
where a filter that another patch inserts asks for one by name (`config_discovery`)."""

from __future__ import annotations

from controlplane.resources.envoy_filter import select
from controlplane.resources.envoy_filter.select import Target
from controlplane.translation.pack import packed
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded


@query
def extension(view: View, kind: str, target: Target, name: str) -> Encoded | None:
    """The configuration of a name; of several the first. `kind`: `sidecar` or `router`. As in
    Istio, nothing but ADD makes one: there are none to patch."""
    for one in select.patches(view, target, "EXTENSION_CONFIG"):
        if one.patch.operation == "ADD" and select.is_for(one, kind):
            value = one.value()
            if value.name == name:  # type: ignore[attr-defined]
                return encoded(name, packed(value))
    return None
