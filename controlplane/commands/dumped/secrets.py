"""`proxy-config secrets`: certificates, by what they say of themselves. No key is ever shown."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from controlplane.commands.dumped.dump import Held, obj, text

_TITLES = [
    "RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE",
]  # fmt: skip


def rows(found: Iterable[Held], now: datetime) -> Iterator[list[str]]:
    """The titles first; a row for each certificate."""
    yield _TITLES
    for one in sorted(found, key=lambda held: held.name):
        kind, _ = _certificates(one.value)
        held = certificates(one)
        for certificate in held:
            begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            good = str(begin <= now <= end).lower()
            serial = f"{certificate.serial_number:x}"
            yield [one.name, kind, one.state, good, serial, _moment(end), _moment(begin)]
        if not held:
            yield [one.name, kind or "-", one.state, "false", "-", "-", "-"]


def chosen(found: Iterable[Held], *, name: str = "") -> list[Held]:
    """Those that the flags ask for."""
    return [one for one in found if name in {"", one.name}]


def certificates(one: Held) -> list[x509.Certificate]:
    """Those that are in it."""
    return _read(_certificates(one.value)[1])


def _certificates(secret: dict[str, Any]) -> tuple[str, bytes]:
    chain = obj(obj(secret.get("tls_certificate")).get("certificate_chain"))
    if chain:
        return "Cert Chain", _bytes(chain)
    roots = obj(obj(secret.get("validation_context")).get("trusted_ca"))
    return ("CA", _bytes(roots)) if roots else ("", b"")


def _bytes(source: dict[str, Any]) -> bytes:
    if "inline_string" in source:
        return text(source, "inline_string").encode()
    try:
        return base64.b64decode(text(source, "inline_bytes"), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _read(data: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        # In a file that the proxy reads itself, or none at all.
        return []


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
