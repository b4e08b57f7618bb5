"""Sessions are resumed where they may be."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from tests.integration.conftest import StartMesh
from tests.integration.tls.sidecars import OK, TLS12, TLS13, Terminator, shake, version
from tests.support import config, tls_config
from tests.support.certs import Authority
from tests.support.ports import free_port
from tests.support.tls_config import downstream_tls


def resumes(port: int, other: int, context: ssl.SSLContext) -> bool:
    """Whether a session begun at one port goes on at another."""
    begun = shake(port, context)
    assert not begun.resumed
    return shake(other, context, session=begun.session).resumed


@pytest.mark.parametrize("only", [TLS12, TLS13], ids=["1.2", "1.3"])
def test_sessions_are_resumed(terminate: Terminator, ca: Authority, only: ssl.TLSVersion) -> None:
    port, none = terminate(
        downstream_tls(ca.server()),
        downstream_tls(ca.server(), disable_stateless_session_resumption=True,
                       disable_stateful_session_resumption=True),
    )  # fmt: skip
    assert resumes(port, port, version(only))
    assert terminate.counts(port, "ssl.session_reused", 1)
    assert not resumes(none, none, version(only))


def test_sessions_are_resumed_on_every_worker(terminate: Terminator, ca: Authority) -> None:
    """A ticket of one worker is good at all of them."""
    port = free_port()
    listener = tls_config.https("l", port, config.hcm(OK), downstream_tls(ca.server()))
    terminate.serve([listener], (), "--concurrency", "4")
    context = version(TLS13)
    session = shake(port, context).session
    resumed = []
    for _ in range(16):
        seen = shake(port, context, session=session)
        session = seen.session
        resumed.append(seen.resumed)
    assert all(resumed)


def test_ticket_keys_are_shared(start: StartMesh, tmp_path: Path, ca: Authority) -> None:
    """Two processes with the same keys take each other's tickets; a third one with others not."""
    server = ca.server()
    keys = [os.urandom(80), os.urandom(80), os.urandom(80)]
    paths = []
    for number, key in enumerate(keys):
        paths.append(tmp_path / f"ticket{number}.key")
        paths[-1].write_bytes(key)

    def serve(*numbers: int) -> int:
        ticket_keys = {"keys": [tls_config.pem(paths[n]) for n in numbers]}
        tls = downstream_tls(server, session_ticket_keys=ticket_keys)
        port, admin = free_port(), free_port()
        start(
            config.bootstrap(admin, [tls_config.https("l", port, config.hcm(OK), tls)], []), admin
        )
        return port

    one, rotated, stranger = serve(0), serve(1, 0), serve(2)
    for only in (TLS12, TLS13):
        assert resumes(one, rotated, version(only))
        assert not resumes(one, stranger, version(only))
        # The first key encrypts: who does not have it cannot go on.
        assert not resumes(rotated, one, version(only))


def test_a_session_does_not_outlive_its_trust(terminate: Terminator, ca: Authority) -> None:
    """Two listeners with the same ticket keys and other authorities: no way around the second."""
    other = Authority(terminate.folder / "other", "other-ca")
    key = terminate.folder / "ticket.key"
    key.write_bytes(os.urandom(80))
    tickets = {"session_ticket_keys": {"keys": [tls_config.pem(key)]}}
    server, client = ca.server(), ca.workload("client")
    first, second = terminate(
        downstream_tls(server, client_ca=ca.cert, **tickets),
        downstream_tls(server, client_ca=other.cert, **tickets),
    )
    for only in (TLS12, TLS13):
        context = version(only, credential=client)
        begun = shake(first, context)
        assert shake(first, context, session=begun.session).resumed
        with pytest.raises(OSError):
            shake(second, context, session=begun.session)
