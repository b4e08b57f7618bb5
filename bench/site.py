"""What a proxy is asked to do, the same for every peer."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setup:
    """The size of the configuration. One route is `/`; more are `/svc-<i>/`, each to the cluster
    `i % clusters`; every cluster has the one origin server. `connections` is for the peers that
    set aside memory for as many as they are told."""

    routes: int = 1
    clusters: int = 1
    connections: int = 1024

    def prefixes(self) -> list[tuple[str, int]]:
        """(prefix, cluster) of each route, in order."""
        if self.routes == 1:
            return [("/", 0)]
        return [(f"/svc-{i}/", i % self.clusters) for i in range(self.routes)]


@dataclass(frozen=True)
class Probe:
    """A peer is ready when this answers 200 with that text."""

    port: int
    path: str
    text: str = ""


@dataclass(frozen=True)
class Site:
    """Where a peer listens, whom it forwards to, and where its files go."""

    setup: Setup
    listen: int
    admin: int
    upstream: int
    folder: Path

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)
