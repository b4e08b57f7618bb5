"""Fields of Telemetry without effect yet."""

from __future__ import annotations

from controlplane.resources.common.target import for_waypoints
from controlplane.resources.not_yet import NotYet

TABLE = (
    *for_waypoints("there are no waypoints, so nothing is reported"),
    NotYet("spec.tracing[].disableContextPropagation", "the headers of a trace are passed on"),
)
