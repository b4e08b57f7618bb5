"""TLS towards clients and towards hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ServerTLSMode = Literal[
    "PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"
]
TLSProtocol = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]
ClientTLSMode = Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]


@dataclass(frozen=True, slots=True)
class TLSCertificate:
    """Files of one certificate of a server."""

    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""


@dataclass(frozen=True, slots=True)
class ServerTLSSettings:
    """How a gateway, or a sidecar's ingress listener, ends TLS."""

    https_redirect: bool = False
    mode: ServerTLSMode = "PASSTHROUGH"
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    #: Secret of the gateway's namespace.
    credential_name: str = ""
    #: Two at most, RSA and ECDSA.
    credential_names: tuple[str, ...] = ()
    #: Secret with the CA alone.
    ca_cert_credential_name: str = ""
    #: Two at most, RSA and ECDSA.
    tls_certificates: tuple[TLSCertificate, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    #: base64 SHA-256 of the client certificate's SPKI.
    verify_certificate_spki: tuple[str, ...] = ()
    #: hexadecimal SHA-256 of the client certificate.
    verify_certificate_hash: tuple[str, ...] = ()
    min_protocol_version: TLSProtocol = "TLS_AUTO"
    max_protocol_version: TLSProtocol = "TLS_AUTO"
    cipher_suites: tuple[str, ...] = ()
    #: None is Envoy's list.
    ecdh_curves: tuple[str, ...] = ()
    #: Replaces what the port's protocol offers.
    alpn_protocols: tuple[str, ...] = ()
    insecure_skip_verify: bool | None = None


@dataclass(frozen=True, slots=True)
class ClientTLSSettings:
    """How a sidecar or gateway begins TLS towards a host."""

    mode: ClientTLSMode = "DISABLE"
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    credential_name: str = ""
    #: Secret or ConfigMap with the CA alone.
    ca_cert_credential_name: str = ""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    insecure_skip_verify: bool | None = None
    ca_crl: str = ""
