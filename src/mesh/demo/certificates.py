"""An authority and SPIFFE identities, made with the `openssl` command; swapped as Kubernetes does.

A workload's folder has `tls.crt` and `tls.key`, symbolic links through `..data`, which is a link to
the current version: replacing that one link replaces both files at once.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import subprocess
from pathlib import Path

from mesh.demo.show import Failed

TRUST_DOMAIN = "spiffe://cluster.local/ns/demo/sa/"
_CURVE = ("-pkeyopt", "ec_paramgen_curve:P-256")
_NEW = ("req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", *_CURVE)


class Authority:
    """Its certificate is FOLDER/authority.pem."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "authority.pem"
        self._key = folder / "authority.key"
        folder.mkdir(parents=True)
        _openssl(
            *_NEW,
            *("-subj", "/CN=demo authority"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", str(self._key), "-out", str(self.certificate)),
        )

    def workload(self, name: str) -> Workload:
        """A workload with its first certificate."""
        workload = Workload(self, name)
        workload.rotate()
        return workload

    def issue(self, name: str, folder: Path) -> None:
        """Writes tls.crt and tls.key: both usages, the identity as its URI."""
        _openssl(
            *_NEW,
            *("-subj", f"/CN={name}"),
            *("-CA", str(self.certificate), "-CAkey", str(self._key)),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-addext", "keyUsage=critical,digitalSignature"),
            *("-addext", "extendedKeyUsage=serverAuth,clientAuth"),
            *("-addext", f"subjectAltName=URI:{TRUST_DOMAIN}{name}"),
            *("-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")),
        )


class Workload:
    """One identity; its certificates follow one another."""

    def __init__(self, authority: Authority, name: str) -> None:
        self._authority = authority
        self._name = name
        self._versions = 0
        self.identity = TRUST_DOMAIN + name
        self.folder = authority.folder / name
        self.certificate, self.key = self.folder / "tls.crt", self.folder / "tls.key"
        self.folder.mkdir()
        for link in (self.certificate, self.key):
            link.symlink_to(Path("..data", link.name))

    def rotate(self) -> None:
        """A new certificate with a new key, moved into place."""
        self._versions += 1
        version = self.folder / f"..{self._versions}"
        version.mkdir()
        self._authority.issue(self._name, version)
        fresh = self.folder / "..next"
        fresh.symlink_to(version.name)
        os.replace(fresh, self.folder / "..data")

    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hex."""
        return fingerprint(ssl.PEM_cert_to_DER_cert(self.certificate.read_text()))


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate, in hex, as x-forwarded-client-cert has it."""
    return hashlib.sha256(der).hexdigest()


def _openssl(*words: str) -> None:
    try:
        done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Failed("the command openssl is missing: apt-get install openssl") from None
    if done.returncode:
        raise Failed(f"openssl {words[0]}: {done.stderr.strip()}")
