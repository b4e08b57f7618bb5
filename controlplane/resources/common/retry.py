"""Retries of a route; MeshConfig's default has the same shape."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.resources.schema import Int32, Seconds


@dataclass(frozen=True, slots=True)
class HTTPRetry:
    """Attempts beyond the first. A given message with `attempts: 0` turns retries off."""

    attempts: Int32 = 0
    #: None: what is left of the route's timeout.
    per_try_timeout: Seconds | None = None
    #: Envoy's conditions and status codes, with commas between.
    retry_on: str = ""
    retry_remote_localities: bool | None = None
    #: None is true.
    retry_ignore_previous_hosts: bool | None = None
    backoff: Seconds | None = None
