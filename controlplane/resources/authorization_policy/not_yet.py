"""Fields of AuthorizationPolicy without effect yet."""

from __future__ import annotations

from controlplane.resources.common.target import for_waypoints

TABLE = for_waypoints("there are no waypoints, so nobody would enforce it", unsafe=True)
