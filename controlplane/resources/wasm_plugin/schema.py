"""WasmPlugin: a filter in WebAssembly for some workloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.target import PolicyTargetReference, TargetReferences
from controlplane.resources.common.wasm import (
    FailStrategy,
    PluginName,
    PluginType,
    PullPolicy,
    SecretName,
    Sha256,
    TrafficSelector,
    VmConfig,
)
from controlplane.resources.schema import Int32, Length

Phase = Literal["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"]


@dataclass(frozen=True, slots=True)
class WasmPlugin:
    #: `oci://`, `http(s)://`, `file://`, or an image without a scheme.
    url: Annotated[str, Length(1)]
    selector: PolicySelector | None = None
    #: Deprecated in favour of `target_refs`.
    target_ref: PolicyTargetReference | None = None
    target_refs: TargetReferences = ()
    #: Of the module or of the image; "" is not verified.
    sha256: Sha256 = ""
    image_pull_policy: PullPolicy = "UNSPECIFIED_POLICY"
    image_pull_secret: SecretName | None = None
    verification_key: str = ""
    plugin_config: Mapping[str, Any] | None = None
    plugin_name: PluginName | None = None
    phase: Phase = "UNSPECIFIED_PHASE"
    #: The greatest first, within the phase.
    priority: Int32 | None = None
    fail_strategy: FailStrategy = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    match: tuple[TrafficSelector, ...] = ()
    type: PluginType = "UNSPECIFIED_PLUGIN_TYPE"
