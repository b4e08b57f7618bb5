"""The resources in use, for `/config_dump`: their bytes, versions, times and last errors."""

from __future__ import annotations

import time

from mesh import api


class Held:
    """A resource in use."""

    __slots__ = ("body", "static", "updated", "version")

    def __init__(self, body: bytes, version: str, updated: str, static: bool) -> None:
        self.body = body
        self.version = version
        self.updated = updated
        self.static = static


class Failure:
    """The last version of a resource that was refused (Envoy's UpdateFailureState)."""

    __slots__ = ("attempted", "body", "details", "version")

    def __init__(self, body: bytes, version: str, attempted: str, details: str) -> None:
        self.body = body
        self.version = version
        self.attempted = attempted
        self.details = details


class Store:
    """Written by the main thread only. The admin thread reads: whole entries are swapped, and
    `snapshot` copies, so it never sees one half-written."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, Held]] = {type_url: {} for type_url in api.ORDER}
        self._failed: dict[str, dict[str, Failure]] = {type_url: {} for type_url in api.ORDER}
        self._version = dict.fromkeys(api.ORDER, "")
        #: Grows with every resource that comes or goes.
        self.changes = 0

    def put(
        self, type_url: str, name: str, body: bytes, version: str = "", static: bool = False
    ) -> None:
        self.changes += 1
        self._held[type_url][name] = Held(body, version, timestamp(), static)
        self._failed[type_url].pop(name, None)

    def drop(self, type_url: str, name: str) -> None:
        self.changes += 1
        self._held[type_url].pop(name, None)
        self._failed[type_url].pop(name, None)

    def fail(self, type_url: str, name: str, body: bytes, version: str, details: str) -> None:
        self._failed[type_url][name] = Failure(body, version, timestamp(), details)

    def mend(self, type_url: str, name: str) -> None:
        """The version in use is offered again: its error is over."""
        self._failed[type_url].pop(name, None)

    def forgive(self, type_url: str, names: set[str]) -> None:
        """Forgets the errors of all but `names`: what was wrong is no longer offered."""
        failed = self._failed[type_url]
        for name in [name for name in failed if name not in names]:
            del failed[name]

    def set_version(self, type_url: str, version: str) -> None:
        self._version[type_url] = version

    def version(self, type_url: str) -> str:
        return self._version[type_url]

    def bodies(self, type_url: str) -> dict[str, bytes]:
        """Name to bytes of the dynamic resources."""
        held = self._held[type_url]
        return {name: one.body for name, one in held.items() if not one.static}

    def holds(self, type_url: str, name: str) -> bool:
        """Whether a dynamic resource is in use."""
        held = self._held[type_url].get(name)
        return held is not None and not held.static

    def newest(self, type_url: str, name: str) -> tuple[bytes, str]:
        """Bytes and version as they were offered last, whether taken or refused; no bytes if
        there are none."""
        newest = self._failed[type_url].get(name)
        if newest is None or not newest.body:
            held = self._held[type_url].get(name)
            return (held.body, held.version) if held else (b"", "")
        return newest.body, newest.version

    def snapshot(self, type_url: str) -> tuple[dict[str, Held], dict[str, Failure]]:
        return self._held[type_url].copy(), self._failed[type_url].copy()


def timestamp() -> str:
    """Now as protobuf JSON writes a Timestamp, to the millisecond."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
