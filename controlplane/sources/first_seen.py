"""When a resource that does not say so was created: where two contend, the oldest wins, and a
restart must not change who that is.

What `mesh apply` writes has a creationTimestamp. For the rest it is the time of the file when the
resource was first seen in it, remembered in the folder (`.mesh/first-seen.json`) until the resource
goes. Whoever may not write there has the file's time alone, which an edit moves.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Final

from controlplane import durable
from controlplane.resources.resource import Key

_LOG: Final = logging.getLogger(__name__)
_MOST_BYTES: Final = 64 << 20


class FirstSeen:
    """The index of one folder."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, ".mesh", "first-seen.json")
        self._times = _load(self._path)
        self._changed = False
        self._warned = False

    def when(self, key: Key, modified: float) -> float:
        """The moment when it was first seen; `modified`, if that is now."""
        name = "/".join(key)
        known = self._times.get(name)
        if known is None:
            self._changed = True
            known = self._times[name] = modified
        return known

    def keep(self, keys: set[Key]) -> None:
        """Forgets all others."""
        names = {"/".join(key) for key in keys}
        for name in self._times.keys() - names:
            self._forget(name)

    def forget(self, key: Key) -> None:
        self._forget("/".join(key))

    def save(self) -> None:
        """Writes it, if it has changed."""
        if not self._changed:
            return
        self._changed = False
        text = json.dumps(self._times, indent=0, sort_keys=True)
        try:
            durable.make_directory(os.path.dirname(self._path))
            durable.write(self._path, text.encode(), 0o644)
        except OSError as error:
            if not self._warned:
                self._warned = True
                _LOG.warning(
                    "%s: %s; after a restart, resources without a creationTimestamp are as old as"
                    " their files",
                    self._path,
                    error.strerror,
                )

    def _forget(self, name: str) -> None:
        if self._times.pop(name, None) is not None:
            self._changed = True


def _load(path: str) -> dict[str, float]:
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _LOG.warning("%s: %s; it is made anew from the times of the files", path, error)
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: float(one) for name, one in value.items() if isinstance(one, (int, float))}
