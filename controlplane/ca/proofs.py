"""What somebody has proved who asks for a certificate, and how certificates are named."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509

from controlplane.ca.grants import NOTHING, Grants
from controlplane.xds.identity import Identity


class Invalid(Exception):
    """The proof proves nothing; `str()` says why, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Proved:
    """Who somebody is, and what was the proof."""

    identity: Identity
    #: For the audit log: `join token`, `service token`, `certificate 1a2b`.
    by: str
    grants: Grants = NOTHING
    #: For `limits`: a join token's hash, a certificate's serial number; "" is the identity alone.
    counted_as: str = field(default="", compare=False)

    @property
    def bearer(self) -> tuple[Identity, str]:
        """Whose share of certificates it uses."""
        return self.identity, self.counted_as


def serial(certificate: x509.Certificate) -> str:
    """Its serial number, as the audit log writes it."""
    return f"{certificate.serial_number:x}"


def uris(certificate: x509.Certificate) -> tuple[str, ...]:
    """The URIs that it names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(names.value.get_values_for_type(x509.UniformResourceIdentifier))
