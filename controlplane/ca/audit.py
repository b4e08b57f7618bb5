"""One line for every certificate, on disk before the certificate leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from controlplane import durable
from controlplane.ca.proofs import Proved, serial


class Audit:
    """A file of JSON lines. Certificates are public; keys never come here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def issued(self, certificate: x509.Certificate, proved: Proved, caller: str) -> None:
        """`caller`: the peer's address. Raises OSError, and then the certificate must not be given
        out."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": "issued",
            "identity": str(proved.identity),
            "serial": serial(certificate),
            "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
            "not_after": certificate.not_valid_after_utc.isoformat(),
            "caller": caller,
            "proof": proved.by,
            "grants": str(proved.grants),
        }
        durable.append(self._path, json.dumps(line).encode() + b"\n", 0o644)
