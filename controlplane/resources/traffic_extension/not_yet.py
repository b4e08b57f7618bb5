"""Fields of TrafficExtension without effect yet: it is a filter that does not run."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet("spec.wasm", "no sidecar is told of the extension, requests pass without it"),
    NotYet("spec.lua", "no sidecar is told of the extension, requests pass without it"),
    NotYet(
        "spec.phase",
        "the extension would not run, so nothing that it is to refuse would be refused",
        only=("AUTHN", "AUTHZ"),
        unsafe=True,
    ),
)
