"""Fields of ServiceEntry without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet(
        "spec.resolution",
        "the hosts have no endpoints, requests are answered with 503",
        only=("DYNAMIC_DNS",),
    ),
)
