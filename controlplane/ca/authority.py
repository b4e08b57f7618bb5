"""The key that signs, its chain up to the root, and the roots that everybody trusts.

Three ways to have one, looked for in this order in one directory:

| files | what it is |
|---|---|
| `ca-cert.pem ca-key.pem cert-chain.pem root-cert.pem` | yours, in Istio's `cacerts` layout |
| `tls.crt tls.key ca.crt` | yours, as cert-manager writes it |
| `root.pem root-key.pem` | our own root, made on the first start (ten years) |

Our own root rolls in three steps (`roll`), so that at no time somebody shows a certificate that
somebody else does not trust yet, or no longer:

    root-next.pem       everybody trusts it; nothing is signed with it yet
    root.pem            signs
    root-previous.pem   everybody still trusts it; what it signed is running out
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from controlplane import durable

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_ROOT_LIFE = timedelta(days=3650)
_PLUGGED = (
    ("ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"),
    ("tls.crt", "tls.key", "tls.crt", "ca.crt"),
)
_OWN = ("root.pem", "root-key.pem")
_NEXT = ("root-next.pem", "root-next-key.pem")
_PREVIOUS = "root-previous.pem"


class Unusable(Exception):
    """The files make no authority; `str()` says which one and why."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates. Holds the key; `repr` does not show it."""

    certificate: x509.Certificate
    key: SigningKey
    #: The certificates between the signing one and the root, the signing one first.
    chain: tuple[x509.Certificate, ...]
    #: All roots that workloads are to trust, the one above `chain` among them.
    roots: tuple[x509.Certificate, ...]
    #: Where it came from, for messages.
    origin: str

    def __repr__(self) -> str:
        return f"Authority({self.certificate.subject.rfc4514_string()}, from {self.origin})"

    def roots_pem(self) -> bytes:
        """All roots, one behind the other."""
        return b"".join(pem(one) for one in self.roots)

    def expires(self) -> datetime:
        """When the first of what a leaf is verified with ends."""
        return min(one.not_valid_after_utc for one in (*self.chain, *self.roots[:1]))


def pem(certificate: x509.Certificate) -> bytes:
    """The certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def load(directory: Path, organisation: str = "cluster.local") -> Authority:
    """The authority of a directory; a root of our own is made if there is none. `organisation`:
    the trust domain, which names the root. Raises Unusable."""
    for names in _PLUGGED:
        if (directory / names[0]).exists() or (directory / names[1]).exists():
            return _plugged(directory, *names)
    # While a root rolls its files do not fit each other for a moment, or until that is finished.
    if not (directory / _OWN[0]).exists() or (directory / _NEXT[0]).exists():
        with _alone(directory):
            if not (directory / _OWN[0]).exists():
                _write_root(directory, organisation, *_OWN)
            _finish_switch(directory)
    authority = _plugged(directory, _OWN[0], _OWN[1], "", _OWN[0])
    beside = [
        one
        for name in (_NEXT[0], _PREVIOUS)
        if (directory / name).exists()
        for one in _certificates(directory / name)
    ]
    return replace(authority, roots=(*authority.roots, *beside))


def roll(directory: Path, organisation: str = "cluster.local") -> str:
    """The next step of our own root's roll: what was done, for people. Steps are to be taken apart
    by at least the life of a certificate (`stepped`). Raises Unusable."""
    if any((directory / one[0]).exists() for one in _PLUGGED):
        raise Unusable(f"{directory}: the authority is yours; roll it by replacing its files")
    with _alone(directory):
        return _roll(directory, organisation)


def stepped(directory: Path) -> datetime | None:
    """When the last step of a roll was taken; None if no root rolls."""
    for name in (_PREVIOUS, _NEXT[0]):
        with contextlib.suppress(FileNotFoundError):
            return datetime.fromtimestamp((directory / name).stat().st_mtime, UTC)
    return None


def _roll(directory: Path, organisation: str) -> str:
    _finish_switch(directory)
    try:
        if (directory / _PREVIOUS).exists():
            (directory / _PREVIOUS).unlink()
            durable.sync_directory(directory)
            return "the previous root is no longer trusted; the roll is done"
        if (directory / _NEXT[0]).exists():
            _switch(directory)
            return "the next root signs now; the previous one is still trusted"
    except OSError as error:
        raise Unusable(f"{directory}: cannot roll the root: {error.strerror}") from error
    _write_root(directory, organisation, *_NEXT)
    return "a next root is trusted from now on; it signs nothing yet"


def _switch(directory: Path) -> None:
    # A kill between two of these is mended by `_finish_switch`: until the last step the next
    # root's files are there, and the previous root is trusted before the next one signs.
    previous = (directory / _OWN[0]).read_bytes()
    certificate, key = ((directory / name).read_bytes() for name in _NEXT)
    durable.write(directory / _PREVIOUS, previous, 0o644)
    durable.write(directory / _OWN[1], key, 0o600)
    durable.write(directory / _OWN[0], certificate, 0o644)
    for name in _NEXT:
        (directory / name).unlink()
    durable.sync_directory(directory)


def new_root(organisation: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A root that signs itself: P-256, ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            # Two roots of one name would be taken for each other while a root rolls.
            x509.NameAttribute(NameOID.COMMON_NAME, f"fastmesh root {secrets.token_hex(8)}"),
        ]
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of machines differ.
        .not_valid_before(now - timedelta(minutes=2))
        .not_valid_after(now + _ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_ca_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """For who writes: `mesh token` and `mesh control` may be started at once. Raises Unusable."""
    try:
        with durable.alone(directory):
            # A writer that was killed may have left a key.
            durable.sweep(directory)
            yield
    except OSError as error:
        raise Unusable(f"{directory}: cannot be written to: {error.strerror}") from error


def _finish_switch(directory: Path) -> None:
    """Takes up a switch that was cut off: there is a previous root already and a next one still,
    or the next root's files were not yet removed."""
    if not all((directory / name).exists() for name in (_NEXT[0], _NEXT[1], *_OWN)):
        return
    (signing,), (following,) = (_certificates(directory / one[0])[:1] for one in (_OWN, _NEXT))
    try:
        if signing == following:
            for name in _NEXT:
                (directory / name).unlink()
            durable.sync_directory(directory)
        elif (directory / _PREVIOUS).exists():
            _switch(directory)
    except OSError as error:
        raise Unusable(f"{directory}: cannot finish rolling the root: {error.strerror}") from error


def _write_root(directory: Path, organisation: str, certificate_name: str, key_name: str) -> None:
    certificate, key = new_root(organisation)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The key first: a certificate without its key would look like a plugged-in authority
        # that is broken.
        durable.write(directory / key_name, private, 0o600)
        durable.write(directory / certificate_name, pem(certificate), 0o644)
    except OSError as error:
        raise Unusable(f"{directory}: cannot write the new root: {error.strerror}") from error


def _plugged(
    directory: Path, certificate_name: str, key_name: str, chain_name: str, roots_name: str
) -> Authority:
    certificate = _certificates(directory / certificate_name)[0]
    key = _key(directory / key_name)
    roots = _certificates(directory / roots_name)
    between = _certificates(directory / chain_name) if chain_name else []
    chain = () if not chain_name else tuple(between) or (certificate,)
    if chain and chain[0] != certificate:
        chain = (certificate, *chain)
    # A chain may end in the root; workloads have it already.
    chain = tuple(one for one in chain if one not in roots)
    authority = Authority(certificate, key, chain, tuple(roots), str(directory))
    _check(authority, directory, certificate_name, key_name)
    return authority


def _check(authority: Authority, directory: Path, certificate_name: str, key_name: str) -> None:
    where = directory / certificate_name
    if authority.certificate.public_key() != authority.key.public_key():
        raise Unusable(f"{directory / key_name}: is not the key of {certificate_name}")
    try:
        constraints = authority.certificate.extensions.get_extension_for_class(
            x509.BasicConstraints
        )
    except x509.ExtensionNotFound:
        raise Unusable(f"{where}: has no basic constraints; it cannot sign") from None
    if not constraints.value.ca:
        raise Unusable(f"{where}: is no certificate of an authority (CA:FALSE)")
    now = datetime.now(UTC)
    for one in (authority.certificate, *authority.chain):
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            raise Unusable(
                f"{where}: {one.subject.rfc4514_string()} is valid from "
                f"{one.not_valid_before_utc:%Y-%m-%d} to {one.not_valid_after_utc:%Y-%m-%d} only"
            )
    _check_links(authority, where)


def _check_links(authority: Authority, where: Path) -> None:
    """Every certificate must be issued by the next, the last by one of the roots."""
    links = [authority.certificate, *authority.chain[1:]]
    for below, above in pairwise(links):
        _issued(below, (above,), where)
    _issued(links[-1], authority.roots, where)


def _issued(
    certificate: x509.Certificate, issuers: tuple[x509.Certificate, ...], where: Path
) -> None:
    for issuer in issuers:
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return
    raise Unusable(
        f"{where}: no certificate of the chain or the roots issued "
        f"{certificate.subject.rfc4514_string()}"
    )


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise Unusable(f"{path}: holds no certificate in PEM ({error})") from error


def _key(path: Path) -> SigningKey:
    try:
        body = path.read_bytes()
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
    try:
        key = serialization.load_pem_private_key(body, password=None)
    except (ValueError, TypeError):
        # The library's message may hold parts of the key.
        raise Unusable(f"{path}: holds no private key in PEM without a password") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < 2048:
        raise Unusable(f"{path}: RSA keys must have 2048 bits, this one has {key.key_size}")
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise Unusable(f"{path}: must be an ECDSA or RSA key")
    return key


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
