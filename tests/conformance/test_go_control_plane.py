"""go-control-plane's own test server drives the proxy, in its four gRPC modes.

Its listeners of HTTP log to a gRPC access log service, which we do not have yet: those of TCP, with
clusters and endpoints, and with TLS also secrets, are what it changes here, version by version.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conformance.conftest import KIND
from tests.support.gotools import go_tool
from tests.support.ports import free_port, free_ports, wait_listening
from tests.support.proxies import Proxy, die_with_parent
from tests.support.upstream import Reply, Upstream
from tests.support.xds_config import Sources, server_cluster

#: What it calls the modes.
MODES = {"ads": "ads-sotw", "delta-ads": "ads-delta", "xds": "own-sotw", "delta": "own-delta"}
_MESSAGE = b"Default message"
_LISTENERS = 4


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("mode", MODES)
def test_snapshots(mode: str, tls: bool, tmp_path: Path) -> None:
    """Every version of everything serves: no batch of requests fails for good."""
    port, admin_port, base = free_port(), free_port(), free_ports(_LISTENERS)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(_MESSAGE)
    argv = [str(go_tool("go-control-plane")), f"-xds={mode}", f"-port={port}", f"-base={base}"]
    argv += ["-http=0", "-scopedhttp=0", "-vhdshttp=0", f"-tcp={_LISTENERS}", "-runtimes=0"]
    argv += ["-extension=0", "-clusters=8", "-u=5", "-r=4", "-delay=100ms"]
    argv += [f"-gateway={free_port()}", f"-als={free_port()}", "-nodeID=test-node"]
    argv += ["-tls"] if tls else []
    sources = Sources(MODES[mode])
    cluster = server_cluster("xds_cluster", port)
    with Upstream() as upstream:
        upstream.by_path["/"] = Reply((head + _MESSAGE,))
        server = subprocess.Popen(
            [*argv, f"-upstream={upstream.port}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent,
        )
        try:
            wait_listening(port)
            text = sources.bootstrap(admin_port, port, [], xds_cluster=cluster)
            text = text.replace("cluster_name: xds\n", "cluster_name: xds_cluster\n")
            with Proxy(KIND, text, tmp_path, admin_port) as proxy:
                said, _ = server.communicate(timeout=120)
                assert server.returncode == 0, said[-4000:]
                assert "passed!" in said
                refused = proxy.admin("GET", "/stats?filter=update_rejected")[1]
                assert all(line.endswith(": 0") for line in refused.splitlines()), refused
                assert (proxy.stat("cluster_manager.cds.update_success") or 0) >= 5
        finally:
            server.kill()
            server.wait(10)
