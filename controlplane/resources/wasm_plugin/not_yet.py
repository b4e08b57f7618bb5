"""Fields of WasmPlugin without effect yet: it is a filter that does not run."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet("spec.url", "no sidecar is told of the plugin, requests pass without it"),
    NotYet(
        "spec.phase",
        "the plugin would not run, so nothing that it is to refuse would be refused",
        only=("AUTHN", "AUTHZ"),
        unsafe=True,
    ),
)
