"""One line for every certificate, on disk before the certificate leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from controlplane import durable
from controlplane.xds.identity import Identity


class Audit:
    """A file of JSON lines. Certificates are public; keys never come here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def issued(
        self, certificate: x509.Certificate, identity: Identity, caller: str, proof: str
    ) -> None:
        """`caller`: the peer's address; `proof`: how it proved who it is. Raises OSError, and
        then the certificate must not be given out."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": "issued",
            "identity": str(identity),
            "serial": f"{certificate.serial_number:x}",
            "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
            "not_after": certificate.not_valid_after_utc.isoformat(),
            "caller": caller,
            "proof": proof,
        }
        durable.append(self._path, json.dumps(line).encode() + b"\n", 0o644)
