"""HAProxy with one thread, keep-alive on both sides and shared idle connections."""

import shutil

from bench.errors import BenchError
from bench.peer import Peer, first_line
from bench.site import Site

CONFIG = """\
global
  nbthread 1
  maxconn {connections}
  no strict-limits
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  maxconn {connections}
frontend bench
  bind 127.0.0.1:{listen} backlog 4096
{choice}
{backends}
"""
BACKEND = """\
backend c{cluster}
  server origin 127.0.0.1:{port} pool-max-conn 256"""


class Here(Peer):
    name = "haproxy"

    def prepare(self) -> None:
        if self._binary() is None:
            raise BenchError("haproxy is missing: apt-get install haproxy")

    def command(self, site: Site) -> list[str]:
        setup = site.setup
        choice = "  default_backend c0"
        if setup.routes > 1:
            lines = [f"{prefix} c{cluster}\n" for prefix, cluster in setup.prefixes()]
            routes = site.write("routes.map", "".join(lines))
            choice = f"  use_backend %[path,map_beg({routes})]"
        backends = [BACKEND.format(cluster=i, port=site.upstream) for i in range(setup.clusters)]
        text = CONFIG.format(
            listen=site.listen,
            connections=setup.connections,
            choice=choice,
            backends="\n".join(backends),
        )
        return [str(self._binary()), "-db", "-f", site.write("haproxy.cfg", text)]

    def version(self) -> str:
        return first_line([str(self._binary()), "-v"])

    @staticmethod
    def _binary() -> str | None:
        """Debian keeps it out of the path of ordinary users."""
        return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
