"""gRPC's interoperability cases, grpc-go's client and server, through two proxies under mTLS.

client -> (h2c) proxy A -> (mTLS, HTTP/2) proxy B -> (h2c) server
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.conformance.conftest import KIND
from tests.support import config, tls_config
from tests.support.certs import Authority
from tests.support.gotools import go_tool
from tests.support.ports import free_port, wait_listening
from tests.support.proxies import Proxy, die_with_parent

# All of the client's cases but those that need Google's cloud, or (pick_first_unary) a server that
# says which one it is; grpc-go's does not.
CASES = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "orca_per_rpc",
    "orca_oob",
]
_ORCA_BALANCER = '{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}'
SOAKS = [
    ["--test_case=rpc_soak", "--soak_iterations=200"],
    ["--test_case=rpc_soak", "--soak_iterations=96", "--soak_num_threads=8"],
    ["--test_case=channel_soak", "--soak_iterations=50"],
]


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The port of grpc-go's interop server, in the clear."""
    port = free_port()
    process = subprocess.Popen(
        [str(go_tool("interop-server")), f"--port={port}"],
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    try:
        wait_listening(port)
        yield port
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture(scope="module")
def entry(server: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of proxy A, of the pair."""
    folder = tmp_path_factory.mktemp("pair")
    authority = Authority(folder / "certs")
    client, workload = authority.workload("client"), authority.workload("server")
    port, between, admin_a, admin_b = (free_port() for _ in range(4))
    # Streams that sleep are the client's business: no timeout of the route's.
    routes = config.route_config(
        "local", {"match": {"prefix": "/"}, "route": {"cluster": "next", "timeout": "0s"}}
    )
    trust = tls_config.validation(
        authority.cert, tls_config.san("URI", prefix="spiffe://cluster.local/")
    )
    out = tls_config.upstream_tls(
        credential=client, trust=trust, alpn=(tls_config.H2,), sni="server.test"
    )
    into = tls_config.downstream_tls(
        workload, trust=trust, alpn=(tls_config.H2,), require_client_certificate=True
    )
    first = config.bootstrap(
        admin_a,
        [config.listener("outbound", port, config.hcm(routes))],
        [config.cluster("next", between, transport_socket=out, **tls_config.http2())],
    )
    second = config.bootstrap(
        admin_b,
        [tls_config.https("inbound", between, config.hcm(routes), into)],
        [config.cluster("next", server, **tls_config.http2())],
    )
    with (
        Proxy(KIND, first, folder / "a", admin_a) as outbound,
        Proxy(KIND, second, folder / "b", admin_b) as inbound,
    ):
        yield port
        for proxy in (outbound, inbound):
            assert proxy.process.poll() is None, proxy.log()[-2000:]


@pytest.mark.parametrize("case", CASES)
def test_case(entry: int, case: str) -> None:
    """The client verifies and exits with 0."""
    orca = [f"--service_config_json={_ORCA_BALANCER}"] if case.startswith("orca") else []
    _run(entry, f"--test_case={case}", *orca)


@pytest.mark.parametrize("flags", SOAKS, ids=["serial", "threads", "channels"])
def test_soak(entry: int, flags: list[str]) -> None:
    """Many calls of 270 KB up and 310 KB down; the client checks each."""
    slow = ["--soak_per_iteration_max_acceptable_latency_ms=60000"]
    _run(entry, *flags, *slow, "--soak_overall_timeout_seconds=120")


def _run(port: int, *flags: str) -> None:
    argv = [str(go_tool("interop-client")), "--server_host=127.0.0.1", f"--server_port={port}"]
    done = subprocess.run([*argv, *flags], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
