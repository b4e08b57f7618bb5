"""fastmesh, as installed beside the Python that runs this."""

import sys
from pathlib import Path

from bench.envoy_config import bootstrap
from bench.errors import BenchError
from bench.peer import Peer, first_line
from bench.site import Probe, Site

MESH = Path(sys.executable).parent / "mesh"


class Here(Peer):
    name = "ours"
    has_envoy_admin = True

    def prepare(self) -> None:
        if not MESH.exists():
            raise BenchError(f"{MESH} is missing: `make demo` or `pip install .` installs it")

    def command(self, site: Site) -> list[str]:
        config = site.write("envoy.yaml", bootstrap(site))
        return [str(MESH), "proxy", "-c", config, "--concurrency", "1"]

    def probe(self, site: Site) -> Probe:
        return Probe(site.admin, "/ready", "LIVE")

    def version(self) -> str:
        return first_line([str(MESH), "--version"])
