"""mesh.demo: its parts; `make demo ARGS=--once` is the whole."""

from __future__ import annotations

import io
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mesh import demo
from mesh.demo import stage, websocket
from mesh.demo.certificates import Authority, fingerprint
from mesh.demo.client import Client, Load
from mesh.demo.clock import TICKS, ClockService, identity
from mesh.demo.services import ChatService, HttpService, LineService, Service
from mesh.demo.show import Failed, Show, wait_for
from mesh.demo.sidecar import Sidecar
from mesh.demo.stage import PORTS, Stage
from tests.support.ports import free_port

EXAMPLES = Path(__file__).parents[3] / "examples"
Start = Callable[[Service], None]


@pytest.fixture
def running() -> Iterator[Start]:
    """Starts a service; ends it with the test."""
    started: list[Service] = []

    def start(service: Service) -> None:
        service.start()
        started.append(service)

    yield start
    for service in started:
        service.stop()


def test_needs_the_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--once", "--examples", str(tmp_path)]) == 1
    assert "--examples DIRECTORY" in capsys.readouterr().err


def test_a_failed_check_counts() -> None:
    out = io.StringIO()
    show = Show(out)
    show.check(True, "good")
    show.check(False, "bad")
    assert show.failures == 1
    assert out.getvalue() == "   ok     good\n   FAILED bad\n"


def test_a_proxy_that_is_not_there_is_a_failed_demo(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot start envoy"):
        Sidecar("envoy", [str(tmp_path / "none")], tmp_path, 1)


def test_a_proxy_that_ends_is_quoted(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo bad flag >&2; exit 3"]
    sidecar = Sidecar("envoy", command, tmp_path, free_port())
    with pytest.raises(Failed, match=r"exit code 3:\nbad flag"):
        sidecar.wait_ready()


def test_a_taken_port_is_replaced_in_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_is_free", lambda port: port != PORTS["backend mTLS"])
    out = io.StringIO()
    made = Stage(tmp_path, [], Show(out))
    made.set_up(EXAMPLES)
    chosen = made.port["backend mTLS"]
    assert chosen != PORTS["backend mTLS"]
    assert f"port {PORTS['backend mTLS']} (backend mTLS) is taken" in out.getvalue()
    for name in ("frontend.yaml", "backend.yaml"):
        assert f"port_value: {chosen}}}" in (tmp_path / "examples" / name).read_text()
    made.move_into_place("routes-2.yaml", "routes.yaml")
    folder = tmp_path / "examples"
    assert (folder / "routes.yaml").read_text() == (folder / "routes-2.yaml").read_text()


def test_is_free_sees_a_listener() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert not stage._is_free(taken.getsockname()[1])
    assert stage._is_free(stage._free_port())


def test_examples_name_the_ports_that_the_demo_replaces() -> None:
    text = "".join(path.read_text() for path in EXAMPLES.glob("*.yaml"))
    named = {int(port) for port in re.findall(r"port_value: (\d+)", text)}
    assert named == set(PORTS.values())


def test_route_files_differ_where_they_say() -> None:
    first, second, bad = (
        yaml.safe_load((EXAMPLES / f"routes{suffix}.yaml").read_text())
        for suffix in ("", "-2", "-bad")
    )
    assert len({first["version_info"], second["version_info"], bad["version_info"]}) == 3
    del first["version_info"], second["version_info"]
    assert first != second
    assert "safe_regex" in str(bad)


def test_the_http_service_keeps_its_connections(running: Start) -> None:
    service = HttpService("users", 0)
    running(service)
    client = Client(service.server_address[1])
    for path in ("/1", "/2"):
        status, headers, body = client.get(path)
        assert status == 200
        assert "connection" not in headers
        assert path in body
    client.close()


def test_load_counts_and_loses_nothing_in_silence(running: Start) -> None:
    service = HttpService("users", 0)
    running(service)
    load = Load(service.server_address[1], "/", lambda seen: seen["service"], connections=1)
    wait_for("an answer", lambda: load.answers["users"] > 0)
    load.stop()
    assert load.lost == []
    refused = Load(free_port(), "/", lambda seen: seen["service"], connections=1)
    wait_for("a loss", lambda: bool(refused.lost))
    refused.stop()
    assert "ConnectionRefusedError" in refused.lost[0]


def test_websocket_echo(running: Start) -> None:
    service = ChatService(0)
    running(service)
    port = service.server_address[1]
    said = ["", "hello", "ö" * 60]
    assert websocket.echo(port, "/", said) == ("HTTP/1.1 101 Switching Protocols", said)
    assert Client(port).get("/")[0] == 400
    with pytest.raises(ValueError, match="short"):
        websocket.echo(port, "/", ["x" * 126])


def test_websocket_handshake_is_checked(running: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 6455 §1.3 has the pair of key and answer."""
    answer = websocket._answer_to(b"dGhlIHNhbXBsZSBub25jZQ==")
    assert answer == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    service = ChatService(0)
    running(service)
    answers = iter((b"of the server", b"of the client"))
    monkeypatch.setattr(websocket, "_answer_to", lambda _key: next(answers))
    with pytest.raises(ValueError, match="sec-websocket-key"):
        websocket.echo(service.server_address[1], "/", [])


def test_lines(running: Start) -> None:
    service = LineService(0)
    running(service)
    with socket.create_connection(service.server_address, 10) as connection:
        connection.sendall(b"a\nb")
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read() == b"A\nB"


def test_clock_ticks_only_when_the_last_has_arrived(running: Start) -> None:
    port = free_port()
    clock = ClockService(port)
    running(clock)
    messages, status, trailer = clock.ask(port)
    assert messages == [f"tick {number} for " for number in range(1, TICKS + 1)]
    assert (status, trailer) == ("OK", str(TICKS))
    messages, status, trailer = clock.ask(free_port())
    assert (messages, status, trailer) == ([], "UNAVAILABLE", "")


def test_identity_of_xfcc() -> None:
    uri = "spiffe://cluster.local/ns/demo/sa/frontend"
    assert identity(f'By=spiffe://x;Hash=ab;Subject="CN=a";URI={uri}') == uri
    assert identity("") == ""


def test_certificates_are_swapped_in_pairs(tmp_path: Path) -> None:
    workload = Authority(tmp_path / "certificates").workload("frontend")
    first = workload.fingerprint()
    before = (workload.certificate.resolve(), workload.key.resolve())
    workload.rotate()
    assert workload.fingerprint() != first
    assert first == fingerprint(ssl.PEM_cert_to_DER_cert(before[0].read_text()))
    assert workload.certificate.resolve().parent == workload.key.resolve().parent
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(workload.certificate, workload.key)


def test_openssl_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failed, match="apt-get install openssl"):
        Authority(tmp_path / "certificates")
