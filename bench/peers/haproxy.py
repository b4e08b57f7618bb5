"""HAProxy with one thread, keep-alive on both sides and shared idle connections; plain TCP with
splice(2) and pipes of 1 MiB, which take six tenths of its cost per byte away."""

import shutil

from bench.certificates import AUTHORITY, CLIENT, SERVER, SERVER_NAME
from bench.errors import BenchError
from bench.peer import Peer, first_line
from bench.site import Site, Wire

CONFIG = """\
global
  nbthread 1
  maxconn {connections}
  no strict-limits
  tune.pipesize 1048576
defaults
  mode {mode}
{options}\
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 600s
  maxconn {connections}
frontend bench
  bind 127.0.0.1:{listen} backlog 4096{downstream}
{choice}
{backends}
"""
HTTP = """\
  option http-keep-alive
  option http-ignore-probes
  http-reuse always
  timeout http-keep-alive 600s
"""
TCP = """\
  option splice-request
  option splice-response
"""
BACKEND = """\
backend c{cluster}
  server origin 127.0.0.1:{port}{pool}{upstream}"""
TLS = "ssl-min-ver TLSv1.3 ssl-max-ver TLSv1.3 ciphersuites TLS_AES_128_GCM_SHA256"


class Here(Peer):
    name = "haproxy"

    def prepare(self) -> None:
        if self._binary() is None:
            raise BenchError("haproxy is missing: apt-get install haproxy")

    def command(self, site: Site) -> list[str]:
        setup = site.setup
        tcp = setup.downstream is Wire.TCP
        choice = "  default_backend c0"
        if setup.routes > 1:
            lines = [f"{prefix} c{cluster}\n" for prefix, cluster in setup.prefixes()]
            routes = site.write("routes.map", "".join(lines))
            choice = f"  use_backend %[path,map_beg({routes})]"
        pool, upstream = "" if tcp else " pool-max-conn 256", _upstream(setup.upstream)
        backends = [
            BACKEND.format(cluster=i, port=site.upstream, pool=pool, upstream=upstream)
            for i in range(setup.clusters)
        ]
        text = CONFIG.format(
            mode="tcp" if tcp else "http",
            options=TCP if tcp else HTTP,
            listen=site.listen,
            connections=setup.connections,
            downstream=_downstream(setup.downstream),
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


def _downstream(wire: Wire) -> str:
    if not wire.tls:
        return " proto h2" if wire.h2 else ""
    client = f" verify required ca-file {AUTHORITY}" if wire.mutual else ""
    return f" ssl crt {SERVER.both} alpn {wire.alpn} {TLS} curves X25519{client}"


def _upstream(wire: Wire) -> str:
    """This version offers X25519 first by itself and cannot be told so."""
    if not wire.tls:
        return " proto h2" if wire.h2 else ""
    own = f" crt {CLIENT.both}" if wire.mutual else ""
    peer = f"verify required ca-file {AUTHORITY} sni str({SERVER_NAME})"
    return f" ssl{own} {peer} alpn {wire.alpn} {TLS}"
