"""Fields of EnvoyFilter without effect yet."""

from __future__ import annotations

from controlplane.resources.common.target import for_waypoints
from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet(
        "spec.configPatches[].applyTo",
        "the agent writes the bootstrap before it knows of patches",
        only=("BOOTSTRAP",),
    ),
    NotYet(
        "spec.configPatches[].match.context",
        "there are no waypoints, so nothing is patched",
        only=("WAYPOINT",),
    ),
    NotYet(
        "spec.configPatches[].match.listener.portName",
        "listeners of all ports are patched, unless portNumber says which, as in Istio",
    ),
    *for_waypoints("there are no waypoints, so nothing is patched", paths=("targetRefs[]",)),
)
