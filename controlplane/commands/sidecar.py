"""One sidecar's admin port, of which the control plane knows."""

from __future__ import annotations

from typing import Any

from controlplane.commands import client
from controlplane.commands.common import CommandError
from controlplane.commands.status import find


class Sidecar:
    """By its name, `WORKLOAD[.NAMESPACE]`."""

    def __init__(self, control: client.Control, workload: str, namespace: str | None) -> None:
        """Raises CommandError if it is not connected, or has not said where the port is."""
        found = find(control, workload, namespace)
        self.name: str = found["proxy"]
        self._address: str = found["admin"]
        if not self._address:
            raise CommandError(
                f"{self.name} does not say where its admin port is (FASTMESH_ADMIN of its node's"
                " metadata, which `mesh run` sets); save its /config_dump?include_eds and use -f"
            )

    def ask(self, path: str) -> Any:
        """A value in JSON. Raises CommandError."""
        return client.admin(self._address, path, self.name)

    def tell(self, path: str) -> str:
        """What it answers to a POST. Raises CommandError."""
        return client.post(self._address, path, self.name)
