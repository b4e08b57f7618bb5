"""Pipes (unix sockets) on both sides: protocols over them, their files, several workers."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, pipes, tls_config
from tests.support.certs import Authority
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import TcpServer, connect, echo, read_all, read_exactly, wait_for

_BIG = bytes(range(256)) * 32768  # 8 MiB


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test began."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def up(tmp_path: Path, stack: ExitStack) -> Path:
    """The pipe of a server that answers with what it was asked."""
    stack.enter_context(pipes.mirror_at(tmp_path / "up"))
    return tmp_path / "up"


def http(path: Path | str, to: str = "up", mode: int | None = None, **more: Any) -> config.Tree:
    """A listener with a connection manager."""
    manager = config.hcm(config.route_config("r", config.route("/", to)), **more)
    return config.listener("in", 0, manager, address=pipes.pipe(path, mode))


def curl(path: Path | str, *argv: str) -> str:
    """What curl says: `<body>\n<status> <HTTP version>`."""
    way = ["--abstract-unix-socket", str(path)[1:]]
    if not str(path).startswith("@"):
        way = ["--unix-socket", str(path)]
    command = ["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code} %{http_version}"]
    done = subprocess.run([*command, *way, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_http1_and_keepalive(start: StartMesh, tmp_path: Path, up: Path) -> None:
    """Many requests on one connection."""
    path = tmp_path / "in"
    admin = free_port()
    proxy = start(config.bootstrap(admin, [http(path)], [pipes.cluster("up", up)]), admin)
    with pipes.connect(path) as conn:
        for n in range(50):
            conn.sendall(f"GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
            data = b""
            while not data.endswith(b"x-envoy-expected-rq-timeout-ms: 15000"):
                data += conn.recv(65536)
            assert f"GET /{n} HTTP/1.1".encode() in data
    assert proxy.stat("cluster.up.upstream_cx_total") == 1


@pytest.mark.parametrize("name", ["in", "@fastmesh-test"])
def test_http2_on_both_sides(name: str, start: StartMesh, tmp_path: Path, up: Path) -> None:
    """One listener speaks HTTP/2 to the pipe of the other."""
    if name.startswith("@"):
        name += str(os.getpid())
    path: Path | str = name if name.startswith("@") else tmp_path / name
    admin = free_port()
    inner = {**http(tmp_path / "inner"), "name": "inner"}
    outer = http(path, "inner")
    clusters = [
        pipes.cluster("up", up),
        pipes.cluster("inner", tmp_path / "inner", **tls_config.http2()),
    ]
    proxy = start(config.bootstrap(admin, [inner, outer], clusters), admin)
    said = curl(path, "--http2-prior-knowledge", "http://a.test/x")
    assert said.startswith("GET /x HTTP/1.1")
    assert said.endswith("\n200 2")
    assert proxy.stat("cluster.inner.upstream_cx_http2_total") == 1


def test_tls_on_both_sides(start: StartMesh, tmp_path: Path, stack: ExitStack) -> None:
    """Of pipes, too: ALPN, server name, certificates."""
    authority = Authority(tmp_path / "ca")
    leaf = authority.issue("a.test", dns=["a.test"])
    admin = free_port()
    manager = config.hcm(config.route_config("r", config.route("/", "inner")))
    tls = tls_config.downstream_tls(leaf, alpn=["h2", "http/1.1"])
    outer = tls_config.listener(
        "outer", 0, tls_config.chain(tls_config.http_filter(manager), tls=tls)
    )
    outer["address"] = pipes.pipe(tmp_path / "outer")
    answer = config.hcm(config.route_config("r", tls_config.direct_response("/", body="inside")))
    chain = tls_config.chain(tls_config.http_filter(answer), tls=tls)
    inner = tls_config.listener("inner", 0, chain)
    inner["address"] = pipes.pipe(tmp_path / "inner")
    upstream = tls_config.upstream_tls(ca=authority.cert, sni="a.test")
    clusters = [pipes.cluster("inner", tmp_path / "inner", transport_socket=upstream)]
    proxy = start(config.bootstrap(admin, [outer, inner], clusters), admin)
    said = curl(tmp_path / "outer", "--cacert", str(authority.cert), "https://a.test/")
    assert said == "inside\n200 2"
    assert proxy.stat("cluster.inner.ssl.handshake") == 1


def test_bulk_through_a_tunnel(start: StartMesh, tmp_path: Path, stack: ExitStack) -> None:
    """8 MiB each way at once, and ends on either side."""
    stack.enter_context(TcpServer(echo, listener=pipes.listen(tmp_path / "echo")))
    admin, port = free_port(), free_port()
    chain = tls_config.chain(tls_config.tcp_proxy("up"))
    listener = tls_config.listener("in", port, chain)
    listener["additional_addresses"] = [{"address": pipes.pipe(tmp_path / "in")}]
    clusters = [pipes.cluster("up", tmp_path / "echo")]
    proxy = start(config.bootstrap(admin, [listener], clusters), admin)
    for conn in (pipes.connect(tmp_path / "in"), connect(port)):
        with conn:
            sender = threading.Thread(
                target=lambda c=conn: (c.sendall(_BIG), c.shutdown(socket.SHUT_WR))
            )
            sender.start()
            got = read_all(conn)
            sender.join()
        assert got == _BIG
    wait_for(lambda: proxy.stat("cluster.up.upstream_cx_active") == 0, "an end")
    listed = proxy.admin("GET", "/listeners")[1]
    assert listed == f"in::127.0.0.1:{port}\nin::{tmp_path / 'in'}\n"


def test_a_client_that_hangs_up_at_once(start: StartMesh, tmp_path: Path, up: Path) -> None:
    """Its bytes are there and nobody reads the answer: no connection is left behind."""
    path, admin = tmp_path / "in", free_port()
    proxy = start(config.bootstrap(admin, [http(path)], [pipes.cluster("up", up)]), admin)
    for _ in range(20):
        with pipes.connect(path) as conn:
            conn.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    wait_for(lambda: proxy.stat("http.web.downstream_cx_active") == 0, "an end")
    assert pipes.fetch(path).status == 200


def test_a_host_that_answers_and_ends(start: StartMesh, tmp_path: Path, stack: ExitStack) -> None:
    """What it said before its end is not lost."""
    body = b"x" * 200_000

    def serve(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + body)

    stack.enter_context(TcpServer(serve, listener=pipes.listen(tmp_path / "up")))
    path, admin = tmp_path / "in", free_port()
    start(config.bootstrap(admin, [http(path)], [pipes.cluster("up", tmp_path / "up")]), admin)
    for _ in range(10):
        assert pipes.fetch(path).body == body


def test_hosts_come_and_go(start: StartMesh, tmp_path: Path) -> None:
    """503 with the reason while nobody listens, and connected again when somebody does."""
    path, admin = tmp_path / "in", free_port()
    clusters = [pipes.cluster("up", tmp_path / "up")]
    proxy = start(config.bootstrap(admin, [http(path)], clusters), admin)
    assert pipes.fetch(path).status == 503
    with pipes.mirror_at(tmp_path / "up"):
        assert pipes.fetch(path).status == 200
    assert proxy.stat("cluster.up.upstream_cx_connect_fail") == 1
    assert proxy.stat("cluster.up.upstream_cx_total") == 2


def test_endpoints_that_change(start: StartMesh, tmp_path: Path, up: Path) -> None:
    """EDS: from a TCP host to a pipe and back to none."""
    eds, path, admin = tmp_path / "eds.yaml", tmp_path / "in", free_port()

    def say(*addresses: config.Tree) -> None:
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": each}} for each in addresses]}]
        assignment = {"cluster_name": "up", "endpoints": endpoints}
        config.move_in(eds, config.discovery(config.ENDPOINTS, [assignment]))

    with TcpServer(pipes.mirror) as tcp:
        say(config.address(tcp.port))
        clusters = [config.eds_cluster("up", eds)]
        proxy = start(config.bootstrap(admin, [http(path)], clusters), admin)
        assert pipes.fetch(path).status == 200
        say(pipes.pipe(up), pipes.pipe(up))
        wait_for(lambda: f"up::{up}::" in proxy.admin("GET", "/clusters")[1], "the pipe")
    assert pipes.fetch(path).status == 200
    assert proxy.stat("cluster.up.membership_total") == 1
    say()
    wait_for(lambda: pipes.fetch(path).status == 503, "no host")


def test_the_file(start: StartMesh, tmp_path: Path, up: Path) -> None:
    """Has its mode, replaces that of a process that is gone, stays when we go."""
    path, admin = tmp_path / "in", free_port()
    pipes.listen(path).close()
    text = config.bootstrap(admin, [http(path, mode=0o620)], [pipes.cluster("up", up)])
    proxy = start(text, admin)
    found = path.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert found.st_mode & 0o777 == 0o620
    assert pipes.fetch(path).status == 200
    proxy.terminate()
    assert proxy.wait_exit() == 0
    assert path.exists()
    with pytest.raises(ConnectionRefusedError):
        pipes.connect(path)


@pytest.mark.parametrize(
    ("where", "reason"),
    [("precious", "Address already in use"), ("no/such/in", "No such file or directory")],
)
def test_what_cannot_be_bound(where: str, reason: str, start: StartMesh, tmp_path: Path) -> None:
    """Is refused with its place; a file that is no socket is left alone."""
    (tmp_path / "precious").write_text("precious")
    admin = free_port()
    text = config.bootstrap(admin, [http(tmp_path / where)], [config.cluster("up", free_port())])
    with pytest.raises(RuntimeError) as refused:
        start(text, admin)
    assert "address" in str(refused.value)
    assert reason in str(refused.value)
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_listener_moves_and_goes(start: StartMesh, tmp_path: Path, up: Path) -> None:
    """A new version at another pipe; the same pipe with another mode; then none."""
    lds, admin = tmp_path / "lds.yaml", free_port()

    def say(*listeners: config.Tree) -> None:
        config.move_in(lds, config.discovery(config.LISTENER, list(listeners)))

    say(http(tmp_path / "a"))
    proxy = start(config.bootstrap(admin, lds, [pipes.cluster("up", up)]), admin)
    assert pipes.fetch(tmp_path / "a").status == 200
    say(http(tmp_path / "b"))
    wait_for((tmp_path / "b").exists, "the new pipe")
    assert pipes.fetch(tmp_path / "b").status == 200
    say(http(tmp_path / "b", mode=0o600))

    def changed() -> bool:
        # Between the old one and the new one there is none.
        found = tmp_path / "b"
        with contextlib.suppress(FileNotFoundError):
            return found.stat().st_mode & 0o777 == 0o600
        return False

    wait_for(changed, "the mode")
    assert pipes.fetch(tmp_path / "b").status == 200
    say()
    wait_for(lambda: proxy.admin("GET", "/listeners")[1] == "", "no listener")

    def is_refused() -> bool:
        try:
            pipes.connect(tmp_path / "b").close()
        except ConnectionRefusedError:
            return True
        return False

    wait_for(is_refused, "an end")


def test_two_listeners_of_one_pipe(start: StartMesh, tmp_path: Path, up: Path) -> None:
    """Are a mistake."""
    admin = free_port()
    listeners = [http(tmp_path / "in"), {**http(tmp_path / "in"), "name": "other"}]
    text = config.bootstrap(admin, listeners, [pipes.cluster("up", up)])
    with pytest.raises(RuntimeError, match="duplicate address"):
        start(text, admin)


def _per_worker(proxy: Proxy, address: str) -> list[int | None]:
    prefix = f"listener.{address.replace(':', '_')}."
    return [proxy.stat(f"{prefix}worker_{n}.downstream_cx_active") for n in (0, 1)]


@pytest.mark.parametrize("kind", ["pipe", "tcp", "tcp-one-socket"])
def test_exact_balance(kind: str, start: StartMesh, tmp_path: Path, stack: ExitStack) -> None:
    """Two workers have the same number of connections, whoever accepted them."""
    stack.enter_context(TcpServer(echo, listener=pipes.listen(tmp_path / "echo")))
    admin, port = free_port(), free_port()
    more: dict[str, Any] = {"connection_balance_config": {"exact_balance": {}}}
    if kind == "tcp-one-socket":
        more["enable_reuse_port"] = False
    listener = tls_config.listener("in", port, tls_config.chain(tls_config.tcp_proxy("up")), **more)
    if kind == "pipe":
        listener["address"] = pipes.pipe(tmp_path / "in")
    clusters = [pipes.cluster("up", tmp_path / "echo")]
    text = config.bootstrap(admin, [listener], clusters)
    proxy = start(text, admin, "--concurrency", "2")
    address = str(tmp_path / "in") if kind == "pipe" else f"127.0.0.1:{port}"
    open_now: list[socket.socket] = []
    for count in (10, 20, 40):
        while len(open_now) < count:
            conn = pipes.connect(tmp_path / "in") if kind == "pipe" else connect(port)
            stack.enter_context(conn)
            open_now.append(conn)
            conn.sendall(b"x")
            assert read_exactly(conn, 1) == b"x"
        assert _per_worker(proxy, address) == [count // 2, count // 2]
    for conn in open_now[:20]:
        conn.close()
    wait_for(lambda: sum(filter(None, _per_worker(proxy, address))) == 20, "their end")
    for _ in range(20):
        conn = pipes.connect(tmp_path / "in") if kind == "pipe" else connect(port)
        stack.enter_context(conn)
        conn.sendall(b"x")
        assert read_exactly(conn, 1) == b"x"
    assert _per_worker(proxy, address) == [20, 20]


def test_workers_share_a_pipe(start: StartMesh, tmp_path: Path, up: Path) -> None:
    """Whoever is free takes the next; none is lost."""
    path, admin = tmp_path / "in", free_port()
    text = config.bootstrap(admin, [http(path)], [pipes.cluster("up", up)])
    proxy = start(text, admin, "--concurrency", "2")
    statuses: list[int] = []

    def work() -> None:
        statuses.extend(pipes.fetch(path).status for _ in range(25))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 100
    prefix = f"listener.{path}."
    assert proxy.stat(f"{prefix}downstream_cx_total") == 100
