"""What Envoy counts of a subscription, the same wherever its resources come from."""

from __future__ import annotations

import time

from mesh import api, engine
from mesh.accel.xxhash import xxh64

_COUNTERS = ("update_attempt", "update_success", "update_failure", "update_rejected")
#: What the scopes of extensions begin with.
_OF_EXTENSIONS = "extension_config_discovery."
#: The scopes of the two types that come whole.
SCOPES = {api.CLUSTER: "cluster_manager.cds.", api.LISTENER: "listener_manager.lds."}


class Tally:
    """Counters and gauges of subscriptions, by type and scope."""

    def __init__(self, core: engine.Engine) -> None:
        self._core = core

    def begin(self, type_url: str, scope: str) -> None:
        """Shows a new subscription's counters."""
        if type_url != api.ENDPOINT:
            # A thousand clusters need no thousand zeros.
            for counter in (*_COUNTERS, "init_fetch_timeout"):
                self._core.count(scope + counter, 0)
        if type_url == api.SECRET:
            self._core.count(scope + "key_rotation_failed", 0)
        if type_url == api.EXTENSION:
            for counter in ("config_reload", "config_fail", "config_conflict"):
                self._core.count(scope + counter, 0)
            self._core.text_readout(scope + "version_text", "")

    def attempt(self, scope: str) -> None:
        self._core.count(scope + "update_attempt", 1)

    def accepted(self, type_url: str, scope: str, version: str, changed: bool) -> None:
        now = int(time.time() * 1000)
        self._core.count(scope + "update_success", 1)
        self._core.gauge(scope + "update_time", now)
        if type_url == api.ENDPOINT:
            return
        if type_url == api.EXTENSION and changed:
            self._core.count(scope + "config_reload", 1)
        self._core.gauge(scope + "version", xxh64(version.encode()) if version else 0)
        self._core.text_readout(scope + "version_text", version)
        if changed and type_url in {api.CLUSTER, api.ROUTE}:
            self._core.count(scope + "config_reload", 1)
            self._core.gauge(scope + "config_reload_time_ms", now)

    def rejected(self, scope: str) -> None:
        self._core.count(scope + "update_rejected", 1)
        self._failed_for_filters(scope)

    def failed(self, scope: str) -> None:
        self._core.count(scope + "update_failure", 1)

    def empty(self, scope: str) -> None:
        self._core.count(scope + "update_empty", 1)

    def timed_out(self, scope: str) -> None:
        self._core.count(scope + "init_fetch_timeout", 1)
        self._failed_for_filters(scope)

    def _failed_for_filters(self, scope: str) -> None:
        """What is wrong with an extension's configuration is counted for its filters, too."""
        if scope.startswith(_OF_EXTENSIONS):
            self._core.count(scope + "config_fail", 1)
