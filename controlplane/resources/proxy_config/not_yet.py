"""Fields of ProxyConfig without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet("spec.concurrency", "`mesh run` starts sidecars with the workers that it is told"),
    NotYet("spec.environmentVariables", "sidecars have the environment that they are started in"),
    NotYet("spec.image", "sidecars are not started as containers"),
)
