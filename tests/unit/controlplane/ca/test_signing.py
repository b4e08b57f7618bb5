"""What is signed, for whom, for how long; what is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from controlplane.ca import grants as granted
from controlplane.ca.authority import Authority, load
from controlplane.ca.grants import Grants
from controlplane.ca.signing import DEFAULT_LIFE, MAX_LIFE, Rejected, Request, sign
from controlplane.xds.identity import Identity
from tests.support.requests import key, key_pem, request

WHO = Identity("cluster.local", "default", "reviews")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return load(tmp_path_factory.mktemp("ca"))


def test_the_name_is_what_was_proved_not_what_was_asked(authority: Authority) -> None:
    private = key()
    signed = sign(authority, Request(request(private)), WHO, timedelta(0))
    certificate = signed.certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [one.value for one in names.value] == [str(WHO)]
    assert names.critical
    assert certificate.public_key() == private.public_key()
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_others_verify_it(authority: Authority) -> None:
    signed = sign(authority, Request(request(key())), WHO, timedelta(0))
    verifier = PolicyBuilder().store(Store(list(authority.roots))).build_client_verifier()
    verified = verifier.verify(signed.certificate, [])
    assert [one.value for one in verified.subjects or []] == [str(WHO)]


def test_the_chain_ends_with_all_roots(authority: Authority) -> None:
    signed = sign(authority, Request(request(key())), WHO, timedelta(0))
    assert x509.load_pem_x509_certificate(signed.chain[0].encode()) == signed.certificate
    assert signed.chain[-1].encode() == authority.roots_pem()


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (timedelta(0), DEFAULT_LIFE),
        (timedelta(seconds=-5), DEFAULT_LIFE),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(seconds=1), timedelta(minutes=1)),
        (timedelta(days=1000), MAX_LIFE),
    ],
)
def test_how_long_it_lives(authority: Authority, asked: timedelta, given: timedelta) -> None:
    signed = sign(authority, Request(request(key())), WHO, asked)
    left = signed.certificate.not_valid_after_utc - datetime.now(UTC)
    assert abs(left - given) < timedelta(seconds=30)


def test_serial_numbers_differ(authority: Authority) -> None:
    private = key()
    serials = {
        sign(authority, Request(request(private)), WHO, timedelta(0)).certificate.serial_number
        for _ in range(50)
    }
    assert len(serials) == 50


def test_other_keys(authority: Authority) -> None:
    for private in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        assert sign(authority, Request(request(private)), WHO, timedelta(0)).certificate


def tampered() -> bytes:
    body = request(key()).splitlines()
    body[-2] = body[-2][::-1] if body[-2][::-1] != body[-2] else b"AAAA"
    return b"\n".join(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is no PKCS #10"),
        (b"x" * 20000, "has 20000 bytes"),
        (key_pem(key()), "is no PKCS #10"),
        (request(ec.generate_private_key(ec.SECP521R1())), "curve secp521r1 is not allowed"),
        (request(rsa.generate_private_key(65537, 1024)), "2048 to 4096 bits, not 1024"),
        (request(rsa.generate_private_key(3, 2048)), "exponent of RSA keys must be 65537"),
        (request(ed25519.Ed25519PrivateKey.generate()), "must be ECDSA"),
        (request(key()) * 2, "must be one block of PEM"),
        (request(key()) + key_pem(key()), "must be one block of PEM"),
        ("\ud800".encode(errors="surrogatepass"), "is no PKCS #10"),
    ],
    ids=["empty", "large", "a key", "curve", "short", "weak", "ed25519", "two", "more", "bytes"],
)
def test_what_is_not_signed(body: bytes, message: str) -> None:
    with pytest.raises(Rejected, match=message):
        Request(body)


def test_a_request_that_its_key_has_not_signed() -> None:
    with pytest.raises(Rejected):
        Request(tampered())


def test_what_a_request_asks_for_is_not_given(authority: Authority) -> None:
    """Neither an authority, nor other names, usages or extensions."""
    private = key()
    hostile = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "*")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("*.example.com"), x509.DNSName("istiod")]),
            critical=True,
        )
        .add_extension(granted.extension(Grants((("app", "ratings"),))), critical=False)
        .sign(private, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    grants = Grants((("app", "reviews"),))
    signed = sign(authority, Request(hostile), WHO, timedelta(0), grants).certificate
    plain = sign(authority, Request(request(private)), WHO, timedelta(0), grants).certificate
    assert [one.oid for one in signed.extensions] == [one.oid for one in plain.extensions]
    for one, other in zip(signed.extensions, plain.extensions, strict=True):
        assert (one.critical, one.value) == (other.critical, other.value)
    assert signed.subject == x509.Name([])
    assert granted.of_certificate(signed) == grants


def test_nothing_outlives_the_authority(tmp_path: Path, authority: Authority) -> None:
    signed = sign(authority, Request(request(key())), WHO, timedelta(days=80))
    assert signed.certificate.not_valid_after_utc <= authority.expires()
