"""What both sides agree on: versions, cipher suites, ALPN."""

from __future__ import annotations

import contextlib
import socket
import ssl

from tests.integration.tls.sidecars import (
    TLS12,
    TLS13,
    Terminator,
    connected,
    der,
    is_taken,
    shake,
    version,
)
from tests.support.certs import Authority, client_context
from tests.support.client import DEADLINE
from tests.support.tls_config import downstream_tls, tls_params


def test_both_versions_are_served(terminate: Terminator, ca: Authority) -> None:
    server = ca.server()
    (port,) = terminate(downstream_tls(server))
    for only, name in ((TLS12, "TLSv1.2"), (TLS13, "TLSv1.3")):
        seen = shake(port, version(only, ca=ca.cert))
        assert (seen.version, seen.shown) == (name, der(server))
        assert seen.answer.endswith("\r\n\r\nok")
    assert terminate.counts(port, "ssl.handshake", 2)
    assert terminate.counts(port, "ssl.no_certificate", 2)
    assert terminate.stat(port, "ssl.connection_error") == 0


def test_a_goodbye_in_one_piece_with_the_last_of_the_handshake(
    terminate: Terminator, ca: Authority
) -> None:
    """It is a handshake as any other: counted, served, and answered with tickets and a goodbye."""
    (port,) = terminate(downstream_tls(ca.server()))
    context = version(TLS13)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        sock.sendall(outgoing.read())
        done = False
        while not done:
            incoming.write(sock.recv(1 << 16))
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                done = True
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()
        sock.sendall(outgoing.read())
        while more := sock.recv(1 << 16):
            incoming.write(more)
    incoming.write_eof()
    tls.unwrap()  # Raises unless the proxy has said goodbye.
    assert terminate.counts(port, "ssl.handshake", 1)
    assert terminate.stat(port, "ssl.connection_error") == 0
    assert terminate.proxy.stat("http.web.downstream_cx_total") == 1
    assert shake(port, context, session=tls.session).resumed


def test_what_was_agreed_on_is_counted(terminate: Terminator, ca: Authority) -> None:
    (port,) = terminate(downstream_tls(ca.server()))
    for only, name in ((TLS12, "TLSv1.2"), (TLS13, "TLSv1.3")):
        seen = shake(port, version(only))
        assert terminate.counts(port, f"ssl.versions.{name}", 1)
        assert terminate.counts(port, f"ssl.ciphers.{seen.cipher}", 1)
    assert terminate.counts(port, "ssl.curves.X25519", 2)


def test_versions_are_bounded(terminate: Terminator, ca: Authority) -> None:
    server = ca.server()
    only_12, only_13, default = terminate(
        downstream_tls(server, params=tls_params("TLSv1_2", "TLSv1_2")),
        downstream_tls(server, params=tls_params("TLSv1_3")),
        downstream_tls(server),
    )
    assert shake(only_12).version == "TLSv1.2"
    assert not is_taken(only_12, version(TLS13))
    assert shake(only_13).version == "TLSv1.3"
    assert not is_taken(only_13, version(TLS12))
    assert shake(default).version == "TLSv1.3"
    terminate.proxy.wait_stat(f"listener.127.0.0.1_{only_12}.ssl.connection_error", 1)


def test_cipher_suites_are_chosen(terminate: Terminator, ca: Authority) -> None:
    suite = "ECDHE-ECDSA-AES256-GCM-SHA384"
    params = tls_params("TLSv1_2", "TLSv1_2", cipher_suites=[suite])
    (port,) = terminate(downstream_tls(ca.server(), params=params))
    assert shake(port).cipher == suite
    assert not is_taken(port, version(TLS12, "ECDHE-ECDSA-AES128-GCM-SHA256"))


def test_alpn(terminate: Terminator, ca: Authority) -> None:
    server = ca.server()
    both, h1, none = terminate(
        downstream_tls(server),
        downstream_tls(server, alpn=["http/1.1"]),
        downstream_tls(server, alpn=()),
    )

    def agreed(port: int, *offer: str) -> str | None:
        return shake(port, client_context(alpn=offer)).alpn

    assert agreed(both, "http/1.1") == "http/1.1"
    assert agreed(both) is None
    assert agreed(h1, "h2", "http/1.1") == "http/1.1"
    assert agreed(none, "http/1.1") is None
    # The server's order counts, and who has nothing in common is served without (as Envoy does).
    with connected(both, client_context(alpn=["http/1.1", "h2"])) as sock:
        assert sock.selected_alpn_protocol() == "h2"
    assert agreed(h1, "spdy/9") is None
