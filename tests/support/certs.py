"""Certificates for tests: authorities, leaves with any names, revocation lists, all as PEM files.

Keys are P-256 unless asked otherwise. Nothing is cached between runs: an authority lives in the
folder it is given.
"""

from __future__ import annotations

import base64
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

# (begin, end) of validity, relative to now.
VALID = (timedelta(days=-1), timedelta(days=200))
EXPIRED = (timedelta(days=-30), timedelta(days=-1))
NOT_YET = (timedelta(days=1), timedelta(days=30))


@dataclass(frozen=True)
class Credential:
    """A certificate and its key, as files. `cert` holds the intermediates too, leaf first."""

    cert: Path
    key: Path
    leaf: x509.Certificate

    @property
    def pem(self) -> str:
        """The chain as PEM text."""
        return self.cert.read_text()

    @property
    def key_pem(self) -> str:
        """The key as PEM text."""
        return self.key.read_text()

    @property
    def leaf_pem(self) -> str:
        """The leaf alone as PEM text."""
        return self.leaf.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def sha256(self) -> str:
        """Fingerprint of the leaf: lower-case hex, as verify_certificate_hash and XFCC have it."""
        return self.leaf.fingerprint(hashes.SHA256()).hex()

    @property
    def spki(self) -> str:
        """Base64 of the SHA-256 of the public key, as verify_certificate_spki has it."""
        digest = hashes.Hash(hashes.SHA256())
        digest.update(
            self.leaf.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return base64.b64encode(digest.finalize()).decode()

    @property
    def serial(self) -> str:
        """Serial number, lower-case hex."""
        return f"{self.leaf.serial_number:x}"

    def server_context(
        self, *, alpn: Sequence[str] = (), client_ca: Path | None = None
    ) -> ssl.SSLContext:
        """To serve with this certificate; with `client_ca`, clients must show one of that CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        return context


def client_context(
    ca: Path | None = None, credential: Credential | None = None, *, alpn: Sequence[str] = ()
) -> ssl.SSLContext:
    """To connect: verifies against `ca` (if none, nothing), shows `credential` if there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(ca)
    if credential is not None:
        context.load_cert_chain(credential.cert, credential.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class Authority:
    """A certificate authority; `cert` is its PEM file, what a validation context trusts."""

    def __init__(
        self, folder: Path, name: str = "test-ca", *, parent: Authority | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = name
        self.parent = parent
        self._key: PrivateKey = ec.generate_private_key(ec.SECP256R1())
        signer = parent or self
        self.certificate = (
            _builder(name, self._key, signer._subject() if parent else _name(name), VALID)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(_key_id(self._key), critical=False)
            .sign(signer._key, hashes.SHA256())
        )
        self.cert = folder / f"{name}.pem"
        self.cert.write_text(_pem(self.certificate))

    def intermediate(self, name: str) -> Authority:
        """An authority that this one vouches for; its leaves carry its certificate along."""
        return Authority(self.folder, name, parent=self)

    def issue(
        self,
        name: str,
        *,
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
        uris: Sequence[str] = (),
        emails: Sequence[str] = (),
        validity: tuple[timedelta, timedelta] = VALID,
        key: str = "p256",
        usages: Sequence[x509.ObjectIdentifier] = (
            ExtendedKeyUsageOID.SERVER_AUTH,
            ExtendedKeyUsageOID.CLIENT_AUTH,
        ),
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> Credential:
        """A leaf with these alternative names; `name` is its common name and names the files."""
        private = _new_key(key)
        names: list[x509.GeneralName] = [x509.DNSName(value) for value in dns]
        names += [x509.IPAddress(ipaddress.ip_address(value)) for value in ips]
        names += [x509.UniformResourceIdentifier(value) for value in uris]
        names += [x509.RFC822Name(value) for value in emails]
        builder = (
            _builder(name, private, self._subject(), validity)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        leaf = builder.sign(self._key, hashes.SHA256())
        cert, key_path = self.folder / f"{name}.crt.pem", self.folder / f"{name}.key.pem"
        cert.write_text(_pem(leaf) + self._chain())
        key_path.write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return Credential(cert, key_path, leaf)

    def server(self, name: str = "server", **more: Any) -> Credential:
        """A leaf for the loopback: localhost, NAME.test and 127.0.0.1."""
        names = {"dns": ["localhost", f"{name}.test"], "ips": ["127.0.0.1"]}
        return self.issue(name, **{**names, **more})

    def workload(self, account: str, namespace: str = "default", **more: Any) -> Credential:
        """A leaf with a SPIFFE identity, as a mesh gives its workloads."""
        uri = f"spiffe://cluster.local/ns/{namespace}/sa/{account}"
        return self.issue(account, **{"uris": [uri], **more})

    def revoke(
        self,
        *revoked: Credential | Authority,
        name: str = "revoked",
        validity: tuple[timedelta, timedelta] = (timedelta(days=-1), timedelta(days=30)),
        number: int = 1,
    ) -> Path:
        """A revocation list (PEM) that names these leaves and authorities."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._subject())
            .last_update(now + validity[0])
            .next_update(now + validity[1])
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for each in revoked:
            certificate = each.leaf if isinstance(each, Credential) else each.certificate
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(now - timedelta(hours=1))
                .build()
            )
        path = self.folder / f"{name}.crl.pem"
        listed = builder.sign(self._key, hashes.SHA256())
        path.write_bytes(listed.public_bytes(serialization.Encoding.PEM))
        return path

    def _subject(self) -> x509.Name:
        return _name(self.name)

    def _chain(self) -> str:
        return "" if self.parent is None else _pem(self.certificate) + self.parent._chain()


def _name(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fastmesh tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _builder(
    name: str, key: PrivateKey, issuer: x509.Name, validity: tuple[timedelta, timedelta]
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + validity[0])
        .not_valid_after(now + validity[1])
    )


def _new_key(kind: str) -> PrivateKey:
    match kind:
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "rsa2048":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            raise ValueError(f"unknown kind of key: {kind}")


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _key_id(key: PrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
