"""Fields of ProxyConfig without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (NotYet("spec.image", "sidecars are not started as containers"),)
