"""What the harness wants to know of a proxy; each file in `peers/` tells it of one."""

import importlib
import pkgutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from bench import peers
from bench.errors import BenchError
from bench.site import Carries, Probe, Site, Wire


class Peer(ABC):
    name: ClassVar[str]
    #: Its admin port answers as Envoy's does.
    has_envoy_admin: ClassVar[bool] = False

    def prepare(self) -> None:  # noqa: B027 - most have nothing to prepare
        """Installs what can be installed; raises `BenchError` with what to do if that is not ours
        to do."""

    @abstractmethod
    def command(self, site: Site) -> list[str]:
        """Writes the configuration; returns what to run. Empty: nothing, the load goes straight to
        the origin server. Raises `UnableError` if the peer has not got what the setup asks for."""

    def probe(self, site: Site) -> Probe:
        """By default a request through the proxy, or a connection if that takes no plain ones."""
        setup = site.setup
        if setup.downstream is not Wire.H1 or setup.carries is not Carries.REQUESTS:
            return Probe(site.listen, None)
        return Probe(site.listen, f"{site.setup.prefixes()[-1][0]}small")

    @abstractmethod
    def version(self) -> str: ...


def first_line(command: Sequence[str]) -> str:
    """What a program says of its version."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"


def discover() -> dict[str, type[Peer]]:
    """Every class `Here` of a module in `peers/`, by name."""
    modules = pkgutil.iter_modules(peers.__path__, "bench.peers.")
    classes = [importlib.import_module(module.name).Here for module in modules]
    return {cls.name: cls for cls in classes}


def choose(names: Sequence[str]) -> list[Peer]:
    known = discover()
    for name in names:
        if name not in known:
            raise BenchError(f"no peer {name!r}; there are: {', '.join(known)}")
    return [known[name]() for name in names]
