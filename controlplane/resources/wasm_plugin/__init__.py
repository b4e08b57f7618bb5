"""WasmPlugin."""

from controlplane.resources.resource import Kind
from controlplane.resources.wasm_plugin import not_yet
from controlplane.resources.wasm_plugin.schema import WasmPlugin
from controlplane.resources.wasm_plugin.validate import validate

KIND = Kind(
    group="extensions.istio.io",
    versions=("v1alpha1",),
    name="WasmPlugin",
    plural="wasmplugins",
    short=(),
    spec=WasmPlugin,
    validate=validate,
    not_yet=not_yet.TABLE,
)

__all__ = ["KIND"]
