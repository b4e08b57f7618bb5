"""nginx, with what makes it a fair peer: HTTP/1.1 to the upstream, a pool of kept connections, no
access log, and bodies that stream through memory as everybody else's do. Its default body buffers
of 4 to 16 KiB would double the cost of a 64 KiB body."""

import shutil
from pathlib import Path

from bench.certificates import AUTHORITY, SERVER
from bench.errors import BenchError, UnableError
from bench.peer import Peer, first_line
from bench.site import Carries, Setup, Site, Wire

STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
MAIN = """\
{modules}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections {connections}; multi_accept on; }}
"""
HTTP = """\
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
{headers}
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
  proxy_buffer_size 16k;
  proxy_buffers 16 64k;
  proxy_busy_buffers_size 256k;
  client_body_buffer_size 64k;
{upstreams}
  server {{
    listen 127.0.0.1:{listen} backlog=4096{flags};
{tls}{locations}
  }}
}}
"""
STREAM = """\
stream {{
  proxy_buffer_size 64k;
  server {{
    listen 127.0.0.1:{listen} backlog=4096;
    tcp_nodelay on;
    proxy_pass 127.0.0.1:{upstream};
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
KEPT = '  proxy_set_header Connection "";'
UPGRADED = """\
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection "upgrade";"""
TLS = f"""\
    ssl_certificate {SERVER.certificate};
    ssl_certificate_key {SERVER.key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_ecdh_curve X25519;
"""
MUTUAL = f"""\
    ssl_client_certificate {AUTHORITY};
    ssl_verify_client on;
"""


class Here(Peer):
    name = "nginx"

    def prepare(self) -> None:
        if self._binary() is None:
            raise BenchError("nginx is missing: apt-get install nginx-light")

    def command(self, site: Site) -> list[str]:
        tcp = site.setup.downstream is Wire.TCP
        if tcp and not STREAM_MODULE.exists():
            raise UnableError("apt-get install libnginx-mod-stream")
        main = MAIN.format(
            modules=f"load_module {STREAM_MODULE};\n" if tcp else "",
            folder=site.folder,
            connections=site.setup.connections,
        )
        text = main + (_stream(site) if tcp else _http(site))
        return [str(self._binary()), "-c", site.write("nginx.conf", text)]

    def version(self) -> str:
        return first_line([str(self._binary()), "-v"])

    @staticmethod
    def _binary() -> str | None:
        """Debian keeps it out of the path of ordinary users."""
        return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def _stream(site: Site) -> str:
    return STREAM.format(listen=site.listen, upstream=site.upstream)


def _http(site: Site) -> str:
    setup, downstream = site.setup, site.setup.downstream
    passes = _passes(setup)
    upstreams = [UPSTREAM.format(cluster=i, port=site.upstream) for i in range(setup.clusters)]
    locations = [f"    location {p} {{ {passes}c{c}; }}" for p, c in setup.prefixes()]
    return HTTP.format(
        folder=site.folder,
        listen=site.listen,
        flags=(" ssl" if downstream.tls else "") + (" http2" if downstream.h2 else ""),
        headers=UPGRADED if setup.carries is Carries.WEBSOCKET else KEPT,
        tls=(TLS if downstream.tls else "") + (MUTUAL if downstream.mutual else ""),
        upstreams="\n".join(upstreams),
        locations="\n".join(locations),
    )


def _passes(setup: Setup) -> str:
    if not setup.upstream.h2:
        return "proxy_pass http://"
    if setup.carries is Carries.GRPC and not setup.upstream.tls:
        return "grpc_pass grpc://"
    raise UnableError("nginx speaks no HTTP/2 to upstreams, but for gRPC")
