"""TrafficExtension: a filter in WebAssembly or Lua for some workloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.target import TargetReferences
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

Phase = Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]


@dataclass(frozen=True, slots=True)
class WasmConfig:
    #: `oci://`, `http(s)://`, `file://`, or an image without a scheme.
    url: Annotated[str, Length(1)]
    sha256: Sha256 = ""
    image_pull_policy: PullPolicy = "UNSPECIFIED_POLICY"
    image_pull_secret: SecretName | None = None
    verification_key: str = ""
    plugin_config: Mapping[str, Any] | None = None
    plugin_name: PluginName | None = None
    fail_strategy: FailStrategy = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    type: PluginType = "UNSPECIFIED_PLUGIN_TYPE"


@dataclass(frozen=True, slots=True)
class LuaConfig:
    inline_code: Annotated[str, Length(1, 65536)]


@dataclass(frozen=True, slots=True)
class TrafficExtension:
    selector: PolicySelector | None = None
    target_refs: TargetReferences = ()
    phase: Phase = "UNSPECIFIED"
    #: The greatest first, within the phase.
    priority: Int32 | None = None
    match: tuple[TrafficSelector, ...] = ()
    wasm: WasmConfig | None = None
    lua: LuaConfig | None = None

    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = (("wasm", "lua"),)
