"""The demo's directory, ports, services and sidecars."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

from mesh.demo.services import Service
from mesh.demo.show import Show
from mesh.demo.sidecar import Sidecar

#: As `examples/` names them; each is replaced where it is taken.
PORTS = {
    "users": 18081,
    "orders-v1": 18082,
    "orders-v2": 18083,
    "clock": 18084,
    "chat": 18085,
    "lines": 18086,
    "ingress": 10000,
    "ingress admin": 9901,
    "frontend HTTP": 10001,
    "frontend TCP": 10002,
    "frontend admin": 9902,
    "backend mTLS": 15006,
    "backend admin": 9903,
}


class Stage:
    """`port` has the ports in use by the names in PORTS."""

    def __init__(self, directory: Path, proxy: list[str], show: Show) -> None:
        self.directory = directory
        self.show = show
        self.port: dict[str, int] = {}
        self.sidecars: list[Sidecar] = []
        self._proxy = proxy
        self._services: list[Service] = []

    def set_up(self, examples: Path) -> None:
        """Chooses ports and writes them into the copies of the examples."""
        for name, default in PORTS.items():
            self.port[name] = self.choose(name, default)
        chosen = {str(default): str(self.port[name]) for name, default in PORTS.items()}
        own = self.directory / "examples"
        shutil.copytree(examples, own)
        for config in own.glob("*.yaml"):
            text = re.sub(r"(?<=port_value: )\d+", lambda port: chosen[port[0]], config.read_text())
            config.write_text(text)

    def choose(self, name: str, default: int) -> int:
        """The port that people expect, or a free one, which is said."""
        if _is_free(default):
            return default
        chosen = _free_port()
        self.show.say(f"   port {default} ({name}) is taken: using {chosen}")
        return chosen

    def serve(self, service: Service) -> None:
        service.start()
        self._services.append(service)

    def start(self, name: str, admin: int) -> Sidecar:
        """A sidecar on `examples/NAME.yaml`, ready. Raises Failed."""
        # Envoys of one machine need base ids of their own.
        command = [*self._proxy, "--base-id", str(len(self.sidecars))]
        sidecar = Sidecar(name, command, self.directory, admin)
        self.sidecars.append(sidecar)
        self.show.say(f"   $ cd {self.directory} && {' '.join(sidecar.command)}")
        sidecar.wait_ready()
        return sidecar

    def move_into_place(self, example: str, target: str) -> None:
        """What a configuration tool does: write beside, then rename."""
        folder = self.directory / "examples"
        shutil.copy(folder / example, folder / "next.yaml")
        os.replace(folder / "next.yaml", folder / target)

    def clean_up(self) -> None:
        for sidecar in self.sidecars:
            sidecar.stop()
        for service in self._services:
            service.stop()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
