"""The last good configuration on disk: what servers sent, so that a restart serves while they are
down.

It is read when no server answers soon, and what it says holds until one does. Secrets are never in
it: those that came by SDS are not written, nor is any resource with a secret in it.
"""

from __future__ import annotations

import os
import stat

from mesh import api, engine
from mesh.accel.xxhash import xxh64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.loop import Loop, Timer
    from mesh.xds.ads import Remote
    from mesh.xds.intake import Intake

    #: name, version, body
    Resource = tuple[str, str, bytes]

#: In the order in which they are used.
TYPES = (api.CLUSTER, api.ENDPOINT, api.LISTENER, api.ROUTE, api.EXTENSION)
_MAGIC = b"fastmesh snapshot 1\n"
#: How long servers have for their first answer before the snapshot is used.
_PATIENCE_SECONDS = 2.0
#: How long changes are gathered before they are written.
_SETTLE_SECONDS = 0.5
_MOST_BYTES = 1 << 30


class Unusable(Exception):
    """The file cannot be used; `str()` says why."""


class Snapshot:
    """Lives on the main thread. `is_complete`: nothing is waited for any more."""

    def __init__(
        self,
        path: str,
        intake: Intake,
        remote: Remote,
        loop: Loop,
        is_complete: Callable[[], bool],
    ) -> None:
        self._path = path
        self._intake = intake
        self._remote = remote
        self._loop = loop
        self._is_complete = is_complete
        #: What was taken from the file: type to name to version.
        self._restored: dict[str, dict[str, str]] = {}
        self._timer: Timer | None = loop.after(_PATIENCE_SECONDS, self.restore)
        self._settling = False
        self._written = -1
        #: (type, name) to a body and whether it may be written.
        self._judged: dict[tuple[str, str], tuple[bytes, bool]] = {}
        remote.on_failure = self.restore
        intake.followers.append(lambda _: self._changed())

    def began(self, type_url: str) -> None:
        """A subscription to a type has begun: what is restored of it is in use already."""
        if versions := self._restored.get(type_url):
            self._remote.seed(type_url, versions)

    def restore(self) -> None:
        """Uses the file, once, unless a server was quicker."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        store = self._intake.store
        if any(store.version(one) or store.bodies(one) for one in (api.CLUSTER, api.LISTENER)):
            return
        try:
            resources = read(self._path)
        except FileNotFoundError:
            return
        except (OSError, Unusable) as error:
            engine.log("warning", "config", f"snapshot {self._path} is not used: {error}")
            return
        count = sum(len(of_type) for of_type in resources.values())
        engine.log(
            "warning",
            "config",
            f"no xDS server has answered: {count} resources of the snapshot {self._path} are used "
            "until one does",
        )
        for type_url in TYPES:
            self._use(type_url, resources.get(type_url, []))

    def _use(self, type_url: str, resources: list[Resource]) -> None:
        if not resources:
            return
        self._restored[type_url] = {name: version for name, version, _ in resources}
        offered = [(name, body) for name, _, body in resources]
        outcome = self._intake.part(type_url, offered, "", versions=self._restored[type_url])
        for problem in outcome.problems:
            engine.log("warning", "config", f"snapshot {self._path}: {problem}")
        self._intake.follow(outcome.applied)
        self._remote.seed(type_url, self._restored[type_url])

    def _changed(self) -> None:
        if not self._settling and self._intake.store.changes != self._written:
            self._settling = True
            self._loop.after(_SETTLE_SECONDS, self._settled)

    def _settled(self) -> None:
        self._settling = False
        # Half a configuration must not replace a whole one.
        if not self._is_complete():
            return self._changed()
        self._written = self._intake.store.changes
        try:
            write(self._path, self._resources())
        except OSError as error:
            engine.log(
                "warning", "config", f"snapshot {self._path} is not written: {error.strerror}"
            )

    def _resources(self) -> dict[str, list[Resource]]:
        before, self._judged = self._judged, {}
        found: dict[str, list[Resource]] = {}
        for type_url in TYPES:
            held, _ = self._intake.store.snapshot(type_url)
            for name, one in held.items():
                if one.static or not self._remote.holds(type_url, name):
                    continue
                body, may = before.get((type_url, name), (b"", False))
                if body is not one.body:
                    may = not engine.holds_secrets(type_url, one.body)
                self._judged[type_url, name] = (one.body, may)
                if may:
                    found.setdefault(type_url, []).append((name, one.version, one.body))
        return found


def write(path: str, resources: dict[str, list[Resource]]) -> None:
    """Puts a new file in the place of the old one, for its owner only."""
    parts = [_MAGIC]
    for type_url, of_type in resources.items():
        for name, version, body in of_type:
            for field in (type_url.encode(), name.encode(), version.encode(), body):
                parts += [len(field).to_bytes(4, "big"), field]
    content = b"".join(parts)
    new = f"{path}.new"
    try:
        os.unlink(new)
    except FileNotFoundError:
        pass
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        file.write(xxh64(content).to_bytes(8, "big"))
        file.flush()
        os.fsync(fd)
    os.replace(new, path)


def read(path: str) -> dict[str, list[Resource]]:
    """What `write` wrote. Raises OSError and Unusable."""
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in {os.geteuid(), 0}:
            raise Unusable("it is no file of ours")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Unusable("others may write it: chmod 600")
        if status.st_size > _MOST_BYTES:
            raise Unusable(f"it is larger than {_MOST_BYTES} bytes")
        whole = file.read()
    content, check = whole[:-8], whole[-8:]
    if not content.startswith(_MAGIC) or xxh64(content).to_bytes(8, "big") != check:
        raise Unusable("it is damaged, or of another version")
    found: dict[str, list[Resource]] = {}
    at = len(_MAGIC)
    fields: list[bytes] = []
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        fields.append(content[at + 4 : at + 4 + size])
        at += 4 + size
        if len(fields) == 4:
            type_url, name, version, body = fields
            resource = (name.decode(), version.decode(), body)
            found.setdefault(type_url.decode(), []).append(resource)
            fields = []
    if fields or at != len(content):
        raise Unusable("it is damaged")
    return found
