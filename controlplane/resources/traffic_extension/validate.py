"""Rules of TrafficExtension beyond types."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.common.target import check_selection
from controlplane.resources.common.wasm import check_match, check_url, check_vm
from controlplane.resources.resource import Metadata
from controlplane.resources.rules.metadata import reserved
from controlplane.resources.traffic_extension.schema import TrafficExtension


def validate(spec: TrafficExtension, metadata: Metadata) -> Iterator[Problem]:
    yield from reserved(metadata)
    yield from check_selection(spec.selector, spec.target_refs)
    if spec.wasm is None and spec.lua is None:
        yield Problem("spec", "has no filter; give it wasm or lua")
    if spec.wasm is not None:
        yield from check_url(spec.wasm.url, "spec.wasm.url")
        yield from check_vm(spec.wasm.vm_config, "spec.wasm.vmConfig")
    yield from check_match(spec.match, "spec.match")
