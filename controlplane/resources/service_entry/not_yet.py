"""Fields of ServiceEntry without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet(
        "spec.resolution",
        "only proxies that have dynamic_forward_proxy, as Envoy has, look its hosts up; our own"
        " sidecars refuse its clusters by name and answer requests to it with 503",
        only=("DYNAMIC_DNS",),
    ),
)
