"""Who is let in: client certificates, their names, pins, revocation, trust domains."""

from __future__ import annotations

from typing import Any

from tests.integration.tls.sidecars import TLS12, TLS13, Terminator, is_taken, version
from tests.support import config, tls_config
from tests.support.certs import EXPIRED, NOT_YET, Authority, client_context
from tests.support.tls_config import downstream_tls, san, validation


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
