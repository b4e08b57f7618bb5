"""nginx as an upstream that is fast and sturdy: for tests that look at the proxy's client side."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.support.ports import free_port, wait_listening
from tests.support.proxies import die_with_parent

_PATH = os.environ.get("PATH", "") + ":/usr/sbin"
_CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  keepalive_timeout 300s;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    location / {{ return 200 "{text}"; }}
    location = /upload {{ proxy_pass http://127.0.0.1:{port}/; }}
    location = /big {{ root {folder}; }}
  }}
}}
"""


class Nginx:
    """200 and a kilobyte for every path; /big: 64 KiB; /upload: answers when it has the body."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        (folder / "big").write_bytes(b"b" * (64 << 10))
        conf = folder / "nginx.conf"
        conf.write_text(_CONFIG.format(folder=folder, port=self.port, text="x" * 1024))
        binary = shutil.which("nginx", path=_PATH)
        if binary is None:
            raise RuntimeError("no nginx: scripts/debian test python3 installs it")
        argv = [binary, "-p", str(folder), "-c", str(conf), "-e", str(folder / "nginx.log")]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        try:
            wait_listening(self.port)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Nginx:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)
