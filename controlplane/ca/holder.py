"""The authority as it is now: its files are looked at again when they change."""

from __future__ import annotations

import logging
from pathlib import Path

from controlplane.ca.authority import Authority, Unusable, load

_log = logging.getLogger(__name__)


class Holder:
    """Holds the last authority that could be used. A directory that broke is reported once for
    each change, and changes nothing. Raises Unusable when there is none at all."""

    def __init__(self, directory: Path, organisation: str) -> None:
        self._directory = directory
        self._organisation = organisation
        self._authority = load(directory, organisation)
        self._seen = self._stamps()

    def current(self) -> Authority:
        return self._authority

    def refresh(self) -> bool:
        """Looks at the files; whether there is another authority now."""
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        self._seen = stamps
        try:
            loaded = load(self._directory, self._organisation)
        except Unusable as error:
            _log.warning("%s; the authority in use stays", error)
            return False
        if loaded == self._authority:
            return False
        self._authority = loaded
        return True

    def _stamps(self) -> dict[str, tuple[int, int]]:
        found = {}
        for path in sorted(self._directory.glob("*.[pck]*")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found[path.name] = (status.st_mtime_ns, status.st_ino)
        return found
