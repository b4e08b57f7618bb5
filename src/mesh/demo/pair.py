"""Second part: two sidecars with mTLS between them, and every protocol through both."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from pathlib import Path

from mesh.demo import websocket
from mesh.demo.certificates import Authority, Workload, fingerprint
from mesh.demo.client import Client, Load
from mesh.demo.clock import TICKS, ClockService, identity
from mesh.demo.services import ChatService, LineService
from mesh.demo.show import wait_for
from mesh.demo.sidecar import Sidecar
from mesh.demo.stage import Stage

XFCC = "x-forwarded-client-cert"


def tour(stage: Stage) -> None:
    """Raises Failed. The service `users` is there already."""
    show, port = stage.show, stage.port
    show.step("Two more sidecars: plain in, mTLS between them, plain out")
    authority = Authority(stage.directory / "certificates")
    frontend, backend, stranger = map(authority.workload, ("frontend", "backend", "stranger"))
    clock = ClockService(port["clock"])
    for service in (clock, ChatService(port["chat"]), LineService(port["lines"])):
        stage.serve(service)
    inbound = stage.start("backend", port["backend admin"])
    stage.start("frontend", port["frontend admin"])
    show.check(True, f"{frontend.identity} -> {backend.identity}")
    _identities(stage, inbound, frontend)
    _refusals(stage, inbound, authority.certificate, stranger)
    _rotation(stage, frontend, backend, authority.certificate)
    _protocols(stage, clock, frontend)


def _identities(stage: Stage, inbound: Sidecar, frontend: Workload) -> None:
    show = stage.show
    show.step("A request: HTTP/1.1, then HTTP/2 within TLS 1.3, then HTTP/1.1")
    client = Client(stage.port["frontend HTTP"])
    status, _, body = client.get("/42")
    client.close()
    show.lines([f"GET /42 -> {status} {body.strip()}"])
    seen = json.loads(body) if status == 200 else {}
    show.check(identity(seen.get(XFCC, "")) == frontend.identity, f"the service gets {XFCC}")
    wait_for("the access log", lambda: bool(inbound.log_lines("stdout", "GET /42")))
    line = inbound.log_lines("stdout", "GET /42")[0]
    show.lines([line])
    wanted = f"HTTP/2 TLSv1.3 from {frontend.identity} -> 200"
    show.check(wanted in line, "so the second sidecar's access log names the caller")


def _refusals(stage: Stage, inbound: Sidecar, authority: Path, stranger: Workload) -> None:
    show = stage.show
    show.step("Nobody else gets in")
    port = stage.port["backend mTLS"]
    for who, workload, statistic in (
        ("a client without a certificate", None, "fail_verify_no_cert"),
        (stranger.identity, stranger, "fail_verify_san"),
    ):
        said = _refusal(port, authority, workload)
        name = f"listener.inbound.ssl.{statistic}"
        counted = inbound.stat(name)
        show.check(bool(said) and counted == "1", f"{who}: {said}; {name}: {counted}")
    client = Client(port)
    try:
        status = client.get("/42")[0]
        show.check(False, f"plain HTTP was answered with {status}")
    except (OSError, http.client.HTTPException) as error:
        name = "listener.inbound.no_filter_chain_match"
        counted = inbound.stat(name)
        show.check(counted == "1", f"plain HTTP: {type(error).__name__}; {name}: {counted}")
    finally:
        client.close()


def _rotation(stage: Stage, frontend: Workload, backend: Workload, authority: Path) -> None:
    show = stage.show
    show.step("Both certificates are replaced under load, by moving files into place")
    port = stage.port["backend mTLS"]
    old = frontend.fingerprint()
    load = Load(stage.port["frontend HTTP"], "/42", _certificate_of_caller)
    try:
        wait_for("some traffic", lambda: load.answers[old] > 200)
        frontend.rotate()
        backend.rotate()
        new = frontend.fingerprint()
        wait_for("the caller's new certificate", lambda: load.answers[new] > 200)
        wait_for(
            "the backend's new certificate",
            lambda: _shown(port, authority, frontend) == backend.fingerprint(),
        )
    finally:
        load.stop()
    show.check(not load.lost, f"{load.answers.total()} requests, {len(load.lost)} lost")
    show.lines(load.lost[:3])
    for name, count in load.answers.items():
        show.lines([f"{count} from certificate {name[:16]}..."])
    show.check(set(load.answers) == {old, new}, "all from the old certificate or the new one")
    show.check(True, "the second sidecar shows its new one")


def _protocols(stage: Stage, clock: ClockService, frontend: Workload) -> None:
    show = stage.show
    show.step("gRPC: a stream of answers through both sidecars")
    messages, status, trailer = clock.ask(stage.port["frontend HTTP"])
    show.lines(messages)
    wanted = [f"tick {number} for {frontend.identity}" for number in range(1, TICKS + 1)]
    show.check(messages == wanted, "each arrived before the next was made")
    show.check((status, trailer) == ("OK", str(TICKS)), f"grpc-status {status}, trailers too")

    show.step("WebSocket: an upgrade, HTTP/2's extended CONNECT between the sidecars, an upgrade")
    said = ["hello", "and once more"]
    status, answers = websocket.echo(stage.port["frontend HTTP"], "/chat", said)
    show.lines([status])
    show.check(answers == said, f"repeated: {answers}")

    show.step("TCP: bare bytes through both sidecars, mTLS between them")
    with socket.create_connection(("127.0.0.1", stage.port["frontend TCP"]), 10) as connection:
        connection.sendall(b"any protocol\nat all\n")
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()
    show.check(answer == b"ANY PROTOCOL\nAT ALL\n", f"answered: {answer.decode().split()}")


def _certificate_of_caller(seen: dict[str, str]) -> str:
    """The fingerprint in x-forwarded-client-cert."""
    parts = seen.get(XFCC, "").split(";")
    return next((part.removeprefix("Hash=") for part in parts if part.startswith("Hash=")), "")


def _refusal(port: int, authority: Path, workload: Workload | None) -> str:
    """Why the server ended it, as TLS says it; '' if it did not."""
    try:
        with _connect(port, authority, workload) as connection:
            # In TLS 1.3 a client's handshake is over before its certificate is looked at.
            connection.recv(1)
    except ssl.SSLError as error:
        return str(error.reason).lower().replace("_", " ")
    return ""


def _shown(port: int, authority: Path, workload: Workload) -> str:
    """Fingerprint of the certificate that a server shows."""
    with _connect(port, authority, workload) as connection:
        return fingerprint(connection.getpeercert(binary_form=True) or b"")


def _connect(port: int, authority: Path, workload: Workload | None) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # there are no host names in these certificates
    context.load_verify_locations(authority)
    context.set_alpn_protocols(["h2"])
    if workload is not None:
        context.load_cert_chain(workload.certificate, workload.key)
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(plain)
