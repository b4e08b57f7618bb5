"""Rules of WasmPlugin beyond types."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.common.target import check_selection
from controlplane.resources.common.wasm import check_match, check_url, check_vm
from controlplane.resources.resource import Metadata
from controlplane.resources.rules.metadata import reserved
from controlplane.resources.wasm_plugin.schema import WasmPlugin


def validate(spec: WasmPlugin, metadata: Metadata) -> Iterator[Problem]:
    yield from reserved(metadata)
    yield from check_selection(spec.selector, spec.target_refs, spec.target_ref)
    yield from check_url(spec.url, "spec.url")
    yield from check_vm(spec.vm_config, "spec.vmConfig")
    yield from check_match(spec.match, "spec.match")
