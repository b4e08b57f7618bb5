"""Who a client has proved to be, and how the discovery server asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

_SCHEME = "spiffe://"


class Identity(NamedTuple):
    """A workload: Istio's SPIFFE ID in parts."""

    trust_domain: str
    namespace: str
    service_account: str

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


class Unauthenticated(Exception):
    """No identity was proved. The text goes to the client: it names the reason, no secret."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What a connection brings along as proof."""

    address: str
    #: URIs of the certificate that TLS has verified; empty without one.
    uris: tuple[str, ...] = ()
    #: Its PEM text.
    certificate: bytes = field(default=b"", repr=False)
    #: Of `authorization: Bearer`; "" without.
    token: str = field(default="", repr=False)
    secure: bool = False


class Authenticator(Protocol):
    """Turns proofs into an identity."""

    async def authenticate(self, peer: Peer) -> Identity:
        """Raises `Unauthenticated`."""


class CertificateAuthenticator:
    """The identity is that of the verified client certificate; tokens are not taken."""

    def __init__(self, trust_domains: frozenset[str]) -> None:
        self._trust_domains = trust_domains

    async def authenticate(self, peer: Peer) -> Identity:
        if not peer.uris:
            raise Unauthenticated("a client certificate with a SPIFFE ID is needed; none was shown")
        if len(peer.uris) > 1:
            raise Unauthenticated(
                f"the client certificate has {len(peer.uris)} URIs; a SPIFFE certificate has one"
            )
        identity = parse(peer.uris[0])
        if identity.trust_domain not in self._trust_domains:
            known = ", ".join(sorted(self._trust_domains))
            raise Unauthenticated(f"{identity} is of another trust domain than {known}")
        return identity


def parse(uri: str) -> Identity:
    """The identity that a SPIFFE ID names. Raises `Unauthenticated`."""
    if uri.startswith(_SCHEME):
        match uri.removeprefix(_SCHEME).split("/"):
            case [domain, "ns", namespace, "sa", account] if domain and namespace and account:
                return Identity(domain, namespace, account)
    raise Unauthenticated(f"{uri[:200]!r} is not spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT")
