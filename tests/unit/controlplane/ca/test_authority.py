"""Loading, making and rolling the authority; what each broken directory is told."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from controlplane import durable
from controlplane.ca import authority
from controlplane.ca.authority import Unusable, load, new_root, pem, roll
from tests.support.requests import key, key_pem


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def intermediate(
    root: x509.Certificate, root_key: ec.EllipticCurvePrivateKey, *, ca: bool = True, days: int = 30
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    private, now = key(), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name("intermediate"))
        .issuer_name(root.subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    return certificate, private


def plug(directory: Path, **changed: bytes) -> Path:
    """Istio's `cacerts` with an intermediate."""
    root, root_key = new_root("corp")
    certificate, private = intermediate(root, root_key)
    written = {
        "ca-cert.pem": pem(certificate),
        "ca-key.pem": key_pem(private),
        "cert-chain.pem": pem(certificate) + pem(root),
        "root-cert.pem": pem(root),
    }
    for file, body in {
        **written,
        **{k.replace("_", "-") + ".pem": v for k, v in changed.items()},
    }.items():
        (directory / file).write_bytes(body)
    return directory


def test_the_first_start_makes_a_root_that_the_next_one_finds(tmp_path: Path) -> None:
    first = load(tmp_path / "ca", "example.org")
    again = load(tmp_path / "ca", "example.org")
    assert first.certificate == again.certificate
    assert first.roots == (first.certificate,)
    assert first.chain == ()
    assert (os.stat(tmp_path / "ca" / "root-key.pem").st_mode & 0o777) == 0o600
    assert "example.org" in first.certificate.subject.rfc4514_string()


def test_the_key_does_not_show(tmp_path: Path) -> None:
    shown = repr(load(tmp_path)).replace(str(tmp_path), "")
    assert "PRIVATE" not in shown
    assert "key" not in shown


def test_an_intermediate_of_the_user(tmp_path: Path) -> None:
    held = load(plug(tmp_path))
    assert [one.subject for one in held.chain] == [name("intermediate")]
    assert len(held.roots) == 1
    assert held.expires() == held.certificate.not_valid_after_utc


def test_cert_managers_names(tmp_path: Path) -> None:
    plug(tmp_path)
    (tmp_path / "ca-cert.pem").rename(tmp_path / "tls.crt")
    (tmp_path / "ca-key.pem").rename(tmp_path / "tls.key")
    (tmp_path / "root-cert.pem").rename(tmp_path / "ca.crt")
    assert [one.subject for one in load(tmp_path).chain] == [name("intermediate")]


def test_several_roots_are_all_trusted(tmp_path: Path) -> None:
    plug(tmp_path)
    other, _ = new_root("other")
    with (tmp_path / "root-cert.pem").open("ab") as file:
        file.write(pem(other))
    assert load(tmp_path).roots[1] == other
    assert load(tmp_path).roots_pem().count(b"BEGIN CERTIFICATE") == 2


def broken(directory: Path, what: str) -> None:
    root, root_key = new_root("corp")
    match what:
        case "no key":
            (directory / "ca-key.pem").unlink()
        case "another key":
            (directory / "ca-key.pem").write_bytes(key_pem(key()))
        case "no PEM":
            (directory / "ca-cert.pem").write_bytes(b"hello")
        case "bad key":
            (directory / "ca-key.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\ns3cret\n")
        case "another root":
            (directory / "root-cert.pem").write_bytes(pem(root))
            (directory / "cert-chain.pem").write_bytes((directory / "ca-cert.pem").read_bytes())
        case "a leaf" | "expired":
            one, private = intermediate(
                root, root_key, ca=what != "a leaf", days=-1 if what == "expired" else 1
            )
            plug(
                directory,
                ca_cert=pem(one),
                ca_key=key_pem(private),
                cert_chain=pem(one),
                root_cert=pem(root),
            )


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no key", "ca-key.pem: No such file or directory"),
        ("another key", "ca-key.pem: is not the key of ca-cert.pem"),
        ("no PEM", "ca-cert.pem: holds no certificate in PEM"),
        ("bad key", "ca-key.pem: holds no private key in PEM"),
        ("another root", "no certificate of the chain or the roots issued CN=intermediate"),
        ("a leaf", "is no certificate of an authority (CA:FALSE)"),
        ("expired", "is valid from"),
    ],
)
def test_what_is_broken_is_named(tmp_path: Path, what: str, message: str) -> None:
    broken(plug(tmp_path), what)
    with pytest.raises(Unusable) as raised:
        load(tmp_path)
    assert message in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_roll_trusts_before_it_signs_and_after(tmp_path: Path) -> None:
    before = load(tmp_path)
    roll(tmp_path)
    trusted = load(tmp_path)
    assert trusted.certificate == before.certificate
    assert set(before.roots) < set(trusted.roots)
    roll(tmp_path)
    switched = load(tmp_path)
    assert switched.certificate != before.certificate
    assert set(switched.roots) == set(trusted.roots)
    roll(tmp_path)
    done = load(tmp_path)
    assert done.roots == (switched.certificate,)


@pytest.mark.parametrize("step", range(8))
def test_a_roll_that_was_cut_off_is_taken_up(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before any of its writes, the directory still loads, and trusts both roots."""
    before = load(tmp_path)
    roll(tmp_path)
    trusted = set(load(tmp_path).roots)
    count = 0

    def die(*_: object, **__: object) -> None:
        nonlocal count
        count += 1
        if count > step:
            raise InterruptedError

    real_write, real_unlink = durable.write, Path.unlink

    def write(*given: object, **named: object) -> None:
        die()
        real_write(*given, **named)  # type: ignore[arg-type]

    def unlink(*given: object, **named: object) -> None:
        die()
        real_unlink(*given, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(authority.durable, "write", write)
        patch.setattr(Path, "unlink", unlink)
        try:
            roll(tmp_path)
        except Unusable:
            pass
    held = load(tmp_path)
    assert set(held.roots) == trusted
    if held.certificate == before.certificate:
        roll(tmp_path)
    assert load(tmp_path).certificate != before.certificate


def test_who_starts_at_once_finds_one_root(tmp_path: Path) -> None:
    """`mesh token create` beside `mesh control`, both for the first time."""
    for number in range(10):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(load, [tmp_path / str(number)] * 4))
        assert len({one.certificate for one in found}) == 1


def test_a_key_that_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".root-key.pem.1a2b3c4d.mesh-write"
    left.write_bytes(key_pem(key()))
    load(tmp_path)
    assert not left.exists()


def test_the_users_authority_is_not_rolled(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="replacing its files"):
        roll(plug(tmp_path))


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unusable, match="cannot be written to: Not a directory"):
        load(tmp_path / "file" / "ca")
    shutil.rmtree(tmp_path)
