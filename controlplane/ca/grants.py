"""What a workload may call itself besides the identity that it has proved: the labels by which
services, subsets and policies select it.

A join token says it, the certificate carries it in an extension of its own, and whatever is renewed
with that certificate carries it on. So it needs no state, and outlives restarts on either side.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509

from controlplane.resources.rules import labels

#: Not critical: who does not know it can still verify the certificate. We have no number of our
#: own at IANA; this one (RFC 5612) is nobody's, and only certificates of this mesh are asked for
#: it. Its parts are small, because Go cannot read certificates with an OID whose parts are not.
_OID = x509.ObjectIdentifier("1.3.6.1.4.1.32473.7.1")
#: A value that stands for every value.
ANY = "*"
_MOST, _LONGEST = 32, 4096
_UTF8 = 0x0C


class Unreadable(ValueError):
    """The text grants nothing that could be understood; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Grants:
    """Labels, sorted; a label may have several values, or `*` for any."""

    pairs: tuple[tuple[str, str], ...] = ()

    def allow(self, key: str, value: str) -> bool:
        """Whether the workload may have this label."""
        return (key, value) in self.pairs or (key, ANY) in self.pairs

    def __str__(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self.pairs)


NOTHING = Grants()


def of_pairs(pairs: Iterable[tuple[str, str]]) -> Grants:
    """Raises Unreadable for what is no label, or too much."""
    found = tuple(sorted(set(pairs)))
    if len(found) > _MOST:
        raise Unreadable(f"{len(found)} labels are too many; {_MOST} are the most")
    for key, value in found:
        for problem in labels.labels({key: "" if value == ANY else value}, ""):
            raise Unreadable(problem.reason)
    if len(str(Grants(found))) > _LONGEST:
        raise Unreadable(f"the labels have more than {_LONGEST} characters; use fewer")
    return Grants(found)


def parse(text: str) -> Grants:
    """The inverse of `str`. Raises Unreadable."""
    if len(text) > _LONGEST:
        raise Unreadable(f"the labels have more than {_LONGEST} characters; use fewer")
    pairs = []
    for one in text.split(",") if text else ():
        key, separator, value = one.partition("=")
        if not separator:
            raise Unreadable(f"{one[:100]!r} is no label; write KEY=VALUE")
        pairs.append((key, value))
    return of_pairs(pairs)


def flags(pairs: Iterable[tuple[str, str]]) -> str:
    """As `mesh token create` takes them."""
    words = {"app": "--service ", "version": "--version "}
    return " ".join(
        words[key] + shlex.quote(value)
        if key in words
        else "--label " + shlex.quote(f"{key}={value}")
        for key, value in sorted(pairs)
    )[:1000]


def extension(grants: Grants) -> x509.UnrecognizedExtension:
    """For a certificate: a UTF8String (X.690)."""
    body = str(grants).encode()
    return x509.UnrecognizedExtension(_OID, bytes([_UTF8]) + _length(len(body)) + body)


def of_certificate(certificate: x509.Certificate) -> Grants:
    """What it carries; nothing where it carries none. Only for certificates that somebody has
    verified. Raises Unreadable."""
    try:
        found = certificate.extensions.get_extension_for_oid(_OID).value
    except x509.ExtensionNotFound:
        return NOTHING
    except ValueError as error:
        raise Unreadable(f"the certificate's extensions cannot be read: {error}") from None
    assert isinstance(found, x509.UnrecognizedExtension)
    for head in (2, 3, 4):
        text = found.value[head:]
        if found.value[:head] == bytes([_UTF8]) + _length(len(text)):
            # All of a label is ASCII; what is not fails as a label.
            return parse(text.decode("ascii", errors="replace"))
    raise Unreadable("the certificate's labels are no UTF8String")


def _length(size: int) -> bytes:
    """As DER has it: the shortest form."""
    if size < 0x80:
        return bytes([size])
    return b"\x81" + size.to_bytes(1) if size < 0x100 else b"\x82" + size.to_bytes(2)
