"""nginx, with what makes it a fair peer: HTTP/1.1 to the upstream, a pool of kept connections, no
access log, and bodies that stream through memory as everybody else's do. Its default body buffers
of 4 to 16 KiB would double the cost of a 64 KiB body."""

import shutil

from bench.errors import BenchError
from bench.peer import Peer, first_line
from bench.site import Site

CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections {connections}; multi_accept on; }}
http {{
  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
  proxy_buffer_size 16k;
  proxy_buffers 16 64k;
  proxy_busy_buffers_size 256k;
  client_body_buffer_size 64k;
{upstreams}
  server {{
    listen 127.0.0.1:{listen} backlog=4096;
{locations}
  }}
}}
"""
UPSTREAM = """\
  upstream c{cluster} {{
    server 127.0.0.1:{port};
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }}"""
LOCATION = "    location {prefix} {{ proxy_pass http://c{cluster}; }}"


class Here(Peer):
    name = "nginx"

    def prepare(self) -> None:
        if self._binary() is None:
            raise BenchError("nginx is missing: apt-get install nginx-light")

    def command(self, site: Site) -> list[str]:
        setup = site.setup
        upstreams = [UPSTREAM.format(cluster=i, port=site.upstream) for i in range(setup.clusters)]
        locations = [LOCATION.format(prefix=p, cluster=c) for p, c in setup.prefixes()]
        text = CONFIG.format(
            folder=site.folder,
            listen=site.listen,
            connections=setup.connections,
            upstreams="\n".join(upstreams),
            locations="\n".join(locations),
        )
        return [str(self._binary()), "-c", site.write("nginx.conf", text)]

    def version(self) -> str:
        return first_line([str(self._binary()), "-v"])

    @staticmethod
    def _binary() -> str | None:
        """Debian keeps it out of the path of ordinary users."""
        return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
