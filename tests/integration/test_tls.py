"""TLS on both sides: who is let in, what is shown, what is agreed on, what is passed on."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, tls_config
from tests.support.certs import EXPIRED, NOT_YET, Authority, Credential, client_context
from tests.support.client import DEADLINE, Connection
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tls_config import (
    chain,
    direct_response,
    downstream_tls,
    http_filter,
    san,
    tls_params,
    upstream_tls,
    validation,
)
from tests.support.upstream import Upstream

_GET = b"GET / HTTP/1.1\r\nHost: host.test\r\n\r\n"
_LAST = b"GET / HTTP/1.1\r\nHost: host.test\r\nConnection: close\r\n\r\n"
_OK = config.route_config("local", direct_response("/"))


@dataclass(frozen=True)
class Shaken:
    """What a handshake and one request brought."""

    version: str
    cipher: str
    alpn: str | None
    shown: bytes
    answer: str
    session: ssl.SSLSession | None
    resumed: bool


def shake(
    port: int,
    context: ssl.SSLContext | None = None,
    name: str = "localhost",
    session: ssl.SSLSession | None = None,
) -> Shaken:
    """A handshake and a request. Raises OSError if the proxy will not have it."""
    context = context or client_context()
    with _connected(port, context, name, session) as sock:
        sock.sendall(_LAST)
        answer = b""
        while data := sock.recv(1 << 16):
            answer += data
        if not answer:
            raise ConnectionError("closed without an answer")
        return Shaken(
            sock.version() or "",
            (sock.cipher() or ("",))[0],
            sock.selected_alpn_protocol(),
            sock.getpeercert(binary_form=True) or b"",
            answer.decode("latin-1"),
            sock.session,
            bool(sock.session_reused),
        )


def _connected(
    port: int,
    context: ssl.SSLContext,
    name: str = "localhost",
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), DEADLINE)
    try:
        return context.wrap_socket(plain, server_hostname=name, session=session)
    except BaseException:
        plain.close()
        raise


def is_taken(port: int, context: ssl.SSLContext, name: str = "localhost") -> bool:
    """Whether the proxy serves such a client."""
    try:
        return "200 OK" in shake(port, context, name).answer
    except OSError:
        return False


def der(credential: Credential) -> bytes:
    return ssl.PEM_cert_to_DER_cert(credential.leaf_pem)


def version(only: ssl.TLSVersion, ciphers: str | None = None, **more: Any) -> ssl.SSLContext:
    """A client of one version."""
    context = client_context(**more)
    context.minimum_version = context.maximum_version = only
    if ciphers:
        context.set_ciphers(ciphers)
    return context


TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Terminator:
    """A process whose listeners each have a transport socket of their own and answer 200."""

    def __init__(self, start: StartMesh, folder: Path) -> None:
        self._start = start
        self.folder = folder
        self.ca = Authority(folder / "ca")
        self.admin_port = free_port()
        self.proxy: Proxy

    def __call__(self, *sockets: config.Tree, **more: Any) -> list[int]:
        """Serve; returns the ports."""
        ports = [free_port() for _ in sockets]
        self.serve(
            [
                tls_config.https(f"l{i}", port, config.hcm(_OK), tls, **more)
                for i, (port, tls) in enumerate(zip(ports, sockets, strict=True))
            ]
        )
        return ports

    def serve(
        self, listeners: list[config.Tree], clusters: tuple[config.Tree, ...] = (), *flags: str
    ) -> Proxy:
        text = config.bootstrap(self.admin_port, listeners, list(clusters))
        self.proxy = self._start(text, self.admin_port, *flags)
        return self.proxy

    def stat(self, port: int, name: str) -> int:
        """A listener's counter; 0 if it has never counted."""
        return self.proxy.stat(f"listener.127.0.0.1_{port}.{name}") or 0

    def counts(self, port: int, name: str, times: int) -> bool:
        """Whether a counter comes to so many and no more; what a client knows of the end of its
        handshake may be ahead of it."""
        return self.proxy.wait_stat(f"listener.127.0.0.1_{port}.{name}", times) == times


@pytest.fixture
def terminate(start: StartMesh, tmp_path: Path) -> Terminator:
    return Terminator(start, tmp_path)


@pytest.fixture
def ca(terminate: Terminator) -> Authority:
    return terminate.ca


# -- versions, suites, ALPN -----------------------------------------------------------------------


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
    with _connected(both, client_context(alpn=["http/1.1", "h2"])) as sock:
        assert sock.selected_alpn_protocol() == "h2"
    assert agreed(h1, "spdy/9") is None


# -- which certificate ----------------------------------------------------------------------------


def test_names_choose_the_chain(terminate: Terminator, ca: Authority) -> None:
    """Exact before wildcard before the chain without names."""
    exact, wild, rest = (ca.server(name) for name in ("exact", "wild", "rest"))
    port = free_port()
    hcm = http_filter(config.hcm(_OK))
    terminate.serve(
        [
            tls_config.listener(
                "l",
                port,
                chain(hcm, tls=downstream_tls(exact), match={"server_names": ["a.one.test"]}),
                chain(hcm, tls=downstream_tls(wild), match={"server_names": ["*.one.test"]}),
                chain(hcm, tls=downstream_tls(rest)),
                inspect_tls=True,
            )
        ]
    )
    for name, shown in (
        ("a.one.test", exact),
        ("A.ONE.test", exact),
        ("b.one.test", wild),
        ("c.b.one.test", wild),
        ("one.test", rest),
        ("other.test", rest),
    ):
        assert shake(port, name=name).shown == der(shown), name


def test_certificates_of_one_context_are_chosen_by_name_and_key(
    terminate: Terminator, ca: Authority
) -> None:
    """By SNI among the names of the certificates; ECDSA before RSA where a client can do both."""
    a_ec = ca.issue("a-ec", dns=["a.test"])
    a_rsa = ca.issue("a-rsa", dns=["a.test"], key="rsa2048")
    b_wild = ca.issue("b-wild", dns=["*.b.test"])
    (port,) = terminate(downstream_tls(a_ec, a_rsa, b_wild))
    assert shake(port, name="a.test").shown == der(a_ec)
    rsa = version(TLS12, "ECDHE-RSA-AES128-GCM-SHA256")
    assert shake(port, rsa, "a.test").shown == der(a_rsa)
    assert shake(port, name="x.b.test").shown == der(b_wild)
    assert shake(port, name="unknown.test").shown == der(a_ec)


def test_the_chain_is_shown(terminate: Terminator, ca: Authority) -> None:
    """With its intermediate, a client that knows the root alone can verify."""
    leaf = ca.intermediate("middle").server("leaf")
    (port,) = terminate(downstream_tls(leaf))
    assert shake(port, client_context(ca.cert)).shown == der(leaf)


# -- client certificates --------------------------------------------------------------------------


def test_required_client_certificates(terminate: Terminator, ca: Authority) -> None:
    other = Authority(terminate.folder / "other", "other-ca")
    (port,) = terminate(downstream_tls(ca.server(), client_ca=ca.cert))
    both = [(only, c) for only in (TLS12, TLS13) for c in ("good", "middle")]
    good = {"good": ca.workload("good"), "middle": ca.intermediate("mid").workload("under")}
    for only, which in both:
        assert is_taken(port, version(only, credential=good[which])), (only, which)
    for only in (TLS12, TLS13):
        assert not is_taken(port, version(only))
        for bad in (
            other.workload("wrong-ca"),
            ca.workload("old", validity=EXPIRED),
            ca.workload("early", validity=NOT_YET),
        ):
            assert not is_taken(port, version(only, credential=bad)), (only, bad.cert)
    assert terminate.counts(port, "ssl.handshake", 4)
    assert terminate.counts(port, "ssl.fail_verify_no_cert", 2)
    assert terminate.counts(port, "ssl.fail_verify_error", 6)


def test_optional_client_certificates(terminate: Terminator, ca: Authority) -> None:
    """None is fine, a bad one is not."""
    other = Authority(terminate.folder / "other", "other-ca")
    (port,) = terminate(downstream_tls(ca.server(), trust=validation(ca.cert)))
    assert is_taken(port, client_context())
    assert terminate.counts(port, "ssl.no_certificate", 1)
    assert is_taken(port, client_context(credential=ca.workload("good")))
    assert terminate.counts(port, "ssl.no_certificate", 1)
    assert not is_taken(port, client_context(credential=other.workload("bad")))


def test_untrusted_certificates_can_be_accepted(terminate: Terminator, ca: Authority) -> None:
    """trust_chain_verification: ACCEPT_UNTRUSTED."""
    other = Authority(terminate.folder / "other", "other-ca")
    trust = validation(ca.cert, trust_chain_verification="ACCEPT_UNTRUSTED")
    (port,) = terminate(downstream_tls(ca.server(), trust=trust))
    assert is_taken(port, client_context(credential=other.workload("unknown")))


_SANS = {
    "dns exact": (san("DNS", exact="a.test"), {"dns": ["a.test"]}, {"dns": ["b.test"]}),
    "dns wildcard in the certificate": (
        san("DNS", exact="x.a.test"),
        {"dns": ["*.a.test"]},
        {"dns": ["*.b.test"]},
    ),
    "dns suffix": (san("DNS", suffix=".a.test"), {"dns": ["x.a.test"]}, {"dns": ["x.b.test"]}),
    "uri prefix": (
        san("URI", prefix="spiffe://a/"),
        {"uris": ["spiffe://a/ns/x"]},
        {"uris": ["spiffe://b/ns/x"]},
    ),
    "uri regex": (
        san("URI", safe_regex={"regex": "spiffe://a/ns/[a-z]+"}),
        {"uris": ["spiffe://a/ns/abc"]},
        {"uris": ["spiffe://a/ns/abc/d"]},
    ),
    "uri contains": (
        san("URI", contains="/ns/ok/"),
        {"uris": ["spiffe://a/ns/ok/sa/x"]},
        {"uris": ["spiffe://a/ns/no/sa/x"]},
    ),
    "email": (san("EMAIL", exact="a@a.test"), {"emails": ["a@a.test"]}, {"emails": ["b@a.test"]}),
    "ip": (san("IP_ADDRESS", exact="10.0.0.1"), {"ips": ["10.0.0.1"]}, {"ips": ["10.0.0.2"]}),
    "ip6": (san("IP_ADDRESS", exact="::1"), {"ips": ["::1"]}, {"ips": ["::2"]}),
    "ignoring case": (
        san("DNS", exact="A.test", ignore_case=True),
        {"dns": ["a.TEST"]},
        {"dns": ["aa.test"]},
    ),
    "the kind counts": (san("DNS", exact="a.test"), {"dns": ["a.test"]}, {"uris": ["a.test"]}),
}


def test_names_of_clients_are_matched(terminate: Terminator, ca: Authority) -> None:
    """Each kind of name and of matcher, one listener each."""
    server = ca.server()
    ports = terminate(
        *(
            downstream_tls(
                server, trust=validation(ca.cert, matcher), require_client_certificate=True
            )
            for matcher, _, _ in _SANS.values()
        )
    )
    wrong = []
    for number, (what, (_, good, bad)) in enumerate(_SANS.items()):
        port = ports[number]
        if not is_taken(port, client_context(credential=ca.issue(f"g{number}", **good))):
            wrong.append(f"{what}: the right one is refused")
        if is_taken(port, client_context(credential=ca.issue(f"b{number}", **bad))):
            wrong.append(f"{what}: the wrong one is taken")
        if is_taken(port, client_context(credential=ca.issue(f"n{number}"))):
            wrong.append(f"{what}: one without names is taken")
        if terminate.stat(port, "ssl.fail_verify_san") != 2:
            wrong.append(f"{what}: counted {terminate.stat(port, 'ssl.fail_verify_san')}")
    assert not wrong, wrong


def test_pins(terminate: Terminator, ca: Authority) -> None:
    """By public key, by certificate (with colons or without), by either."""
    one, two, three = (ca.workload(name) for name in ("one", "two", "three"))
    colons = ":".join(two.sha256[i : i + 2] for i in range(0, 64, 2)).upper()
    server = ca.server()

    def pinned(**pins: list[str]) -> config.Tree:
        trust = validation(ca.cert, **pins)
        return downstream_tls(server, trust=trust, require_client_certificate=True)

    spki, by_hash, either = terminate(
        pinned(verify_certificate_spki=[one.spki]),
        pinned(verify_certificate_hash=[one.sha256, colons]),
        pinned(verify_certificate_spki=[one.spki], verify_certificate_hash=[two.sha256]),
    )
    for port, good in ((spki, [one]), (by_hash, [one, two]), (either, [one, two])):
        for credential in (one, two, three):
            taken = is_taken(port, client_context(credential=credential))
            assert taken == (credential in good), (port, credential.cert)
    assert terminate.stat(spki, "ssl.fail_verify_cert_hash") == 2


def test_revoked_certificates(terminate: Terminator, ca: Authority) -> None:
    good, bad = ca.workload("good"), ca.workload("bad")
    trust = validation(ca.cert, crl=tls_config.pem(ca.revoke(bad)))
    (port,) = terminate(downstream_tls(ca.server(), trust=trust, require_client_certificate=True))
    assert is_taken(port, client_context(credential=good))
    assert not is_taken(port, client_context(credential=bad))
    assert terminate.counts(port, "ssl.fail_verify_error", 1)


def test_spiffe_trust_domains(terminate: Terminator, ca: Authority) -> None:
    """Each trust domain has its own authority; another's certificate is not taken for it."""
    other = Authority(terminate.folder / "other", "other-ca")
    spiffe = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
    validator = {
        "name": "envoy.tls.cert_validator.spiffe",
        "typed_config": {
            "@type": spiffe + "SPIFFECertValidatorConfig",
            "trust_domains": [
                {"name": "a.test", "trust_bundle": tls_config.pem(ca.cert)},
                {"name": "b.test", "trust_bundle": tls_config.pem(other.cert)},
            ],
        },
    }
    trust = {"custom_validator_config": validator}
    (port,) = terminate(downstream_tls(ca.server(), trust=trust, require_client_certificate=True))

    def taken(authority: Authority, name: str, *uris: str, **more: Any) -> bool:
        credential = authority.issue(name, uris=uris, **more)
        return is_taken(port, client_context(credential=credential))

    assert taken(ca, "a", "spiffe://a.test/x")
    assert taken(other, "b", "spiffe://b.test/x")
    assert not taken(ca, "ab", "spiffe://b.test/x")
    assert not taken(other, "ba", "spiffe://a.test/x")
    assert not taken(ca, "c", "spiffe://c.test/x")
    assert not taken(ca, "none")
    # Envoy takes it; the SPIFFE specification (X.509-SVID, section 2) does not.
    assert not taken(ca, "two", "spiffe://a.test/x", "spiffe://a.test/y")


# -- sessions -------------------------------------------------------------------------------------


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
    listener = tls_config.https("l", port, config.hcm(_OK), downstream_tls(ca.server()))
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
            config.bootstrap(admin, [tls_config.https("l", port, config.hcm(_OK), tls)], []), admin
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


# -- key log --------------------------------------------------------------------------------------


def test_key_log(terminate: Terminator, ca: Authority) -> None:
    """NSS's format, with the secrets of that connection; only of who was asked for."""
    path, other = terminate.folder / "keys.log", terminate.folder / "none.log"
    elsewhere = {"address_prefix": "10.0.0.0", "prefix_len": 8}
    logged, unlogged = terminate(
        downstream_tls(ca.server(), common={"key_log": {"path": str(path)}}),
        downstream_tls(
            ca.server(),
            common={"key_log": {"path": str(other), "remote_address_range": [elsewhere]}},
        ),
    )
    for only, labels in (
        (TLS12, {"CLIENT_RANDOM"}),
        (TLS13, {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}),
    ):
        ours = terminate.folder / f"client-{only}.log"
        context = version(only)
        context.keylog_filename = str(ours)
        shake(logged, context)
        lines = ours.read_text().splitlines()
        wanted = {line for line in lines if line.split(" ")[0] in labels}
        assert wanted
        shake(unlogged, context)
        _until(lambda wanted=wanted: wanted <= set(path.read_text().splitlines()))
    assert not other.exists() or other.read_text() == ""


def _until(holds: Callable[[], bool], deadline: float = 20.0) -> None:
    end = time.monotonic() + deadline
    while not holds():
        assert time.monotonic() < end, "it never did"
        time.sleep(0.02)


# -- origination ----------------------------------------------------------------------------------


class Originator:
    """A plain listener, clusters under TLS, and what the upstreams saw."""

    def __init__(self, terminate: Terminator) -> None:
        self._terminate = terminate
        self.port = free_port()
        self.log = terminate.folder / "access.log"
        self._asked = 0

    def serve(self, *clusters: config.Tree) -> Proxy:
        """Each cluster under a prefix of its name."""
        routes = [config.route(f"/{c['name']}", c["name"]) for c in clusters]
        fields = ("REQ(:PATH)", "RESPONSE_FLAGS", "UPSTREAM_TRANSPORT_FAILURE_REASON")
        kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
        text = {"inline_string": "\t".join(f"%{f}%" for f in fields) + "\n"}
        log = {"@type": kind, "path": str(self.log), "log_format": {"text_format_source": text}}
        manager = config.hcm(
            config.route_config("local", *routes),
            access_log=[{"name": "log", "typed_config": log}],
        )
        listener = config.listener("web", self.port, manager)
        return self._terminate.serve([listener], clusters)

    def ask(self, cluster: str, host: str = "host.test") -> int:
        """The status."""
        self._asked += 1
        with Connection(self.port) as conn:
            return conn.request(f"GET /{cluster} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status

    def logged(self) -> list[list[str]]:
        """What the log has of all that was asked: path, flags and reason."""
        _until(lambda: self.log.exists() and self.log.read_text().count("\n") >= self._asked)
        return [line.split("\t") for line in self.log.read_text().splitlines()]


@pytest.fixture
def originate(terminate: Terminator) -> Originator:
    return Originator(terminate)


@pytest.fixture
def secure(ca: Authority) -> Iterator[Upstream]:
    """A TLS upstream that wants a client certificate; it is host.test and localhost."""
    credential = ca.server("host")
    with Upstream(tls=credential.server_context(client_ca=ca.cert)) as up:
        yield up


def test_origination(originate: Originator, secure: Upstream, ca: Authority) -> None:
    """SNI as set, as the request says, as the endpoint is called; the certificate is shown."""
    client = ca.workload("client")
    other = Authority(ca.folder, "other-ca")

    def cluster(name: str, *args: Any, **more: Any) -> config.Tree:
        return config.cluster(name, secure.port, transport_socket=upstream_tls(*args, **more))

    def auto(name: str, tls: config.Tree, **upstream: bool) -> config.Tree:
        options = tls_config.http_options(
            upstream_http_protocol_options=upstream,
            explicit_http_config={"http_protocol_options": {}},
        )
        return config.cluster(name, secure.port, transport_socket=tls, **options)

    named = {"hostname": "endpoint.test", "address": config.address(secure.port)}
    by_host = config.cluster(
        "by_host",
        transport_socket=upstream_tls(ca.cert, client, auto_host_sni=True),
        load_assignment={
            "cluster_name": "by_host",
            "endpoints": [{"lb_endpoints": [{"endpoint": named}]}],
        },
    )
    proxy = originate.serve(
        cluster("plain_sni", ca.cert, client, sni="set.test"),
        cluster("no_sni", ca.cert, client),
        cluster("no_trust", None, client),
        auto("auto", upstream_tls(ca.cert, client), auto_sni=True),
        auto("valid", upstream_tls(ca.cert, client), auto_sni=True, auto_san_validation=True),
        by_host,
        cluster("good_san", None, client, trust=validation(ca.cert, san("DNS", exact="host.test"))),
        cluster("bad_san", None, client, trust=validation(ca.cert, san("DNS", exact="x.test"))),
        cluster("bad_ca", other.cert, client),
        cluster("no_cert", ca.cert),
    )
    for name, host, sni in (
        ("plain_sni", "host.test", "set.test"),
        ("no_sni", "host.test", None),
        ("no_trust", "host.test", None),
        ("auto", "wanted.test:8080", "wanted.test"),
        ("valid", "host.test", "host.test"),
        ("by_host", "host.test", "endpoint.test"),
        ("good_san", "host.test", None),
    ):
        assert originate.ask(name, host) == 200, name
        request = secure.requests[-1]
        assert request.sni == sni, name
        assert ("URI", "spiffe://cluster.local/ns/default/sa/client") in request.peer[
            "subjectAltName"
        ]  # type: ignore[operator]
    # Who is not whom we want gets nothing, and the log says why.
    count, reasons = len(secure.requests), {}
    for name, host, piece in (
        ("bad_san", "host.test", "SAN"),
        ("valid", "evil.test", "SAN"),
        ("bad_ca", "host.test", "CERTIFICATE_VERIFY_FAILED"),
    ):
        assert originate.ask(name, host) == 503, name
        reasons[f"/{name}"] = piece
    assert originate.ask("no_cert") == 503
    assert len(secure.requests) == count
    for path, flags, reason in originate.logged()[-4:-1]:
        assert flags == "UF", path
        assert reasons[path] in reason, path
    assert proxy.stat("cluster.bad_san.ssl.fail_verify_san") == 1
    assert proxy.stat("cluster.bad_ca.ssl.fail_verify_error") == 1
    assert proxy.stat("cluster.bad_ca.upstream_cx_connect_fail") == 1
    assert proxy.stat("cluster.auto.ssl.handshake") == 1


def test_origination_bounds_versions(originate: Originator, ca: Authority) -> None:
    """TLS 1.2 at most unless it is said otherwise, as Envoy's client has it."""
    old = ca.server("old").server_context()
    old.maximum_version = TLS12
    new = ca.server("new").server_context()
    new.minimum_version = TLS13
    with Upstream(tls=old) as up12, Upstream(tls=new) as up13:
        originate.serve(
            config.cluster("d12", up12.port, transport_socket=upstream_tls(ca.cert)),
            config.cluster("d13", up13.port, transport_socket=upstream_tls(ca.cert)),
            config.cluster(
                "x12",
                up12.port,
                transport_socket=upstream_tls(ca.cert, params=tls_params("TLSv1_3", "TLSv1_3")),
            ),
            config.cluster(
                "x13",
                up13.port,
                transport_socket=upstream_tls(ca.cert, params=tls_params(None, "TLSv1_3")),
            ),
        )
        got = {name: originate.ask(name) for name in ("d12", "d13", "x12", "x13")}
    assert got == {"d12": 200, "d13": 503, "x12": 503, "x13": 200}


def test_upstream_sessions_are_resumed(originate: Originator, ca: Authority) -> None:
    """The second connection goes on with the session of the first."""
    with Upstream(tls=ca.server().server_context()) as up:
        proxy = originate.serve(
            config.cluster("up", up.port, transport_socket=upstream_tls(ca.cert, sni="localhost"))
        )
        for _ in range(3):
            assert originate.ask("up") == 200
            up.drop_connections()
            _until(lambda: proxy.stat("cluster.up.upstream_cx_active") == 0)
        assert proxy.wait_stat("cluster.up.ssl.session_reused", 2) == 2


def test_metadata_of_endpoints_chooses_the_socket(
    originate: Originator, secure: Upstream, ca: Authority
) -> None:
    """transport_socket_matches: the first that fits, else the cluster's own."""
    client = ca.workload("client")
    with Upstream() as plain:
        metadata = {"filter_metadata": {"envoy.transport_socket_match": {"tls": "yes"}}}
        endpoints = [
            {"endpoint": {"address": config.address(plain.port)}},
            {"endpoint": {"address": config.address(secure.port)}, "metadata": metadata},
        ]
        matches = [
            {
                "name": "tls",
                "match": {"tls": "yes"},
                "transport_socket": upstream_tls(ca.cert, client, sni="host.test"),
            }
        ]
        assignment = {"cluster_name": "up", "endpoints": [{"lb_endpoints": endpoints}]}
        originate.serve(
            config.cluster("up", transport_socket_matches=matches, load_assignment=assignment)
        )
        for _ in range(6):
            assert originate.ask("up") == 200
        assert (len(plain.requests), len(secure.requests)) == (3, 3)
        assert {r.sni for r in secure.requests} == {"host.test"}


# -- what is passed on ----------------------------------------------------------------------------

_DETAILS = {"subject": True, "cert": True, "chain": True, "dns": True, "uri": True}


@pytest.fixture
def plain() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def test_client_certificates_are_forwarded(
    terminate: Terminator, ca: Authority, plain: Upstream
) -> None:
    """x-forwarded-client-cert in its five modes, with and without one that came in."""
    middle = ca.intermediate("middle")
    server = ca.issue("server", dns=["localhost"], uris=["spiffe://cluster.local/server"])
    client = middle.issue(
        "client", dns=["a.test", "b.test"], uris=["spiffe://cluster.local/client"]
    )
    tls = downstream_tls(server, client_ca=ca.cert)
    modes = ("SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY")
    ports = {mode: free_port() for mode in modes}
    port_bare = free_port()

    def manager(mode: str, details: config.Tree) -> config.Tree:
        return config.hcm(
            config.route_config("local", config.route("/", "up")),
            forward_client_cert_details=mode,
            set_current_client_cert_details=details,
        )

    terminate.serve(
        [
            *(
                tls_config.https(mode, port, manager(mode, _DETAILS), tls)
                for mode, port in ports.items()
            ),
            tls_config.https("bare", port_bare, manager("SANITIZE_SET", {}), tls),
        ],
        (config.cluster("up", plain.port),),
    )
    context = client_context(credential=client)

    def forwarded(port: int, *came: str) -> list[str]:
        lines = [f"x-forwarded-client-cert: {value}\r\n" for value in came]
        head = "GET / HTTP/1.1\r\nHost: h\r\n" + "".join(lines) + "\r\n"
        with Connection(port, tls=context) as conn:
            assert conn.request(head.encode()).status == 200
        request = plain.requests[-1]
        assert request.get("x-forwarded-proto") == "https"
        return request.all("x-forwarded-client-cert")

    uri = "By=spiffe://cluster.local/server"
    digest = f"Hash={client.sha256}"
    encoded = {
        "Cert": _encoded(client.leaf_pem),
        "Chain": _encoded(client.pem),
    }
    subject = 'Subject="CN=client,O=fastmesh tests"'
    full = ";".join(
        [
            uri,
            digest,
            f'Cert="{encoded["Cert"]}"',
            f'Chain="{encoded["Chain"]}"',
            subject,
            "URI=spiffe://cluster.local/client",
            "DNS=a.test",
            "DNS=b.test",
        ]
    )
    came = "By=spiffe://x;Hash=1234"
    assert forwarded(ports["SANITIZE"], came) == []
    assert forwarded(ports["FORWARD_ONLY"], came) == [came]
    assert forwarded(ports["FORWARD_ONLY"]) == []
    assert forwarded(ports["ALWAYS_FORWARD_ONLY"], came) == [came]
    assert forwarded(ports["SANITIZE_SET"], came) == [full]
    assert forwarded(ports["APPEND_FORWARD"], came) == [f"{came},{full}"]
    assert forwarded(ports["APPEND_FORWARD"]) == [full]
    assert forwarded(port_bare, came) == [f"{uri};{digest}"]


def _encoded(pem: str) -> str:
    """As Envoy writes PEM into the header: percent-encoded."""
    table = {"\n": "%0A", " ": "%20", "+": "%2B", "/": "%2F", "=": "%3D"}
    return "".join(table.get(c, c) for c in pem)


# -- secrets that change --------------------------------------------------------------------------


def _write(folder: Path, credential: Credential) -> None:
    """A new version of the pair, moved in as Kubernetes does."""
    number = len(list(folder.parent.iterdir()))
    fresh = folder.parent / f"v{number}"
    fresh.mkdir()
    (fresh / "tls.crt").write_bytes(credential.cert.read_bytes())
    (fresh / "tls.key").write_bytes(credential.key.read_bytes())
    link = folder.parent / "link"
    link.symlink_to(fresh)
    os.rename(link, folder)


def test_rotation_under_load_loses_nothing(terminate: Terminator, ca: Authority) -> None:
    """Twenty certificates while clients connect and ask: every handshake, every request is fine.

    Then a pair that does not fit is refused, and the last good one is still shown.
    """
    folder = terminate.folder / "mount" / "current"
    folder.parent.mkdir()
    credentials = [ca.server(f"s{i}") for i in range(21)]
    _write(folder, credentials[0])
    sds = terminate.folder / "sds.yaml"
    secret = {
        "name": "s",
        "tls_certificate": {
            "certificate_chain": tls_config.pem(folder / "tls.crt"),
            "private_key": tls_config.pem(folder / "tls.key"),
            "watched_directory": {"path": str(folder.parent)},
        },
    }
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    config.move_in(sds, config.discovery(kind, [secret]))
    source = {**config.from_file(sds), "initial_fetch_timeout": "0s"}
    common = {"tls_certificate_sds_secret_configs": [{"name": "s", "sds_config": source}]}
    (port,) = terminate(downstream_tls(common=common))
    context = client_context(ca.cert, alpn=["http/1.1"])
    load = subprocess.Popen(
        ["h2load", "-t1", "-c4", "-D30", "--h1", f"https://127.0.0.1:{port}/"],
        stdout=subprocess.PIPE,
        text=True,
    )
    shown = set()
    try:
        with Connection(port, tls=context) as old:
            for credential in credentials[1:]:
                _write(folder, credential)

                def is_new(credential: Credential = credential) -> bool:
                    seen = shake(port, context).shown
                    shown.add(seen)
                    return seen == der(credential)

                _until(is_new)
                assert old.request(_GET).status == 200
                old.raw, old.methods = b"", []
    finally:
        load.terminate()
        said = load.communicate()[0]
    assert shown >= {der(c) for c in credentials[1:]}
    assert load.returncode in (0, -15), said
    mixed = terminate.folder / "mixed"
    mixed.mkdir()
    broken = Credential(credentials[1].cert, credentials[2].key, credentials[1].leaf)
    _write(folder, broken)
    terminate.proxy.wait_stat("sds.s.key_rotation_failed", 1)
    assert shake(port, context).shown == der(credentials[-1])
    assert terminate.stat(port, "ssl.connection_error") == 0
    assert terminate.stat(port, "ssl.fail_verify_error") == 0


def test_certs_are_shown(terminate: Terminator, ca: Authority) -> None:
    """/certs: paths, serial numbers, names, days."""
    server = ca.server("server", uris=["spiffe://a/b"])
    terminate(downstream_tls(server, client_ca=ca.cert))
    (shown,) = json.loads(terminate.proxy.admin("GET", "/certs")[1])["certificates"]
    (leaf,) = shown["cert_chain"]
    assert leaf["path"] == str(server.cert)
    assert int(leaf["serial_number"], 16) == server.leaf.serial_number
    names = {"dns": "localhost"}, {"dns": "server.test"}, {"uri": "spiffe://a/b"}
    assert all(name in leaf["subject_alt_names"] for name in names)
    assert int(leaf["days_until_expiration"]) in (199, 200)
    (authority,) = shown["ca_cert"]
    assert authority["path"] == str(ca.cert)
