"""TLS that a gateway's server, or a port of a Sidecar, ends with certificates of its own."""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    TlsParameters,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from controlplane.registry import mesh
from controlplane.resources.common.tls import ServerTLSSettings
from controlplane.resources.mesh_config.schema import TLSConfig
from controlplane.translation.tls import secret
from controlplane.world.view import View


def server_context(view: View, given: ServerTLSSettings, alpn: Sequence[str]) -> CommonTlsContext:
    """TLS that ends here for whoever connects. What a server leaves open, `tlsDefaults` of
    MeshConfig says."""
    defaults = mesh.config(view).tls_defaults or TLSConfig()
    least = given.min_protocol_version
    if least == "TLS_AUTO":
        least = defaults.min_protocol_version
    context = CommonTlsContext(
        alpn_protocols=given.alpn_protocols or alpn,
        tls_params=TlsParameters(
            tls_minimum_protocol_version=_version(least, "TLSV1_2"),
            tls_maximum_protocol_version=_version(given.max_protocol_version, "TLSV1_3"),
            cipher_suites=given.cipher_suites or defaults.cipher_suites,
            ecdh_curves=given.ecdh_curves or defaults.ecdh_curves,
        ),
    )
    names = given.credential_names or ((given.credential_name,) if given.credential_name else ())
    for name in names:
        context.tls_certificate_sds_secret_configs.append(secret(f"kubernetes://{name}"))
    if not names:
        for pair in given.tls_certificates or (given,):
            context.tls_certificates.add(
                certificate_chain=DataSource(filename=pair.server_certificate),
                private_key=DataSource(filename=pair.private_key),
            )
    if given.mode in {"MUTUAL", "OPTIONAL_MUTUAL"}:
        _client_certificates(context, given, names)
    return context


def _client_certificates(
    context: CommonTlsContext, given: ServerTLSSettings, names: tuple[str, ...]
) -> None:
    named = given.ca_cert_credential_name or (names[0] if names else "")
    if named:
        combined = context.combined_validation_context
        name = f"kubernetes://{named}-cacert"
        combined.validation_context_sds_secret_config.CopyFrom(secret(name))
        checks = combined.default_validation_context
        checks.SetInParent()
    else:
        checks = context.validation_context
        checks.trusted_ca.filename = given.ca_certificates
    if given.insecure_skip_verify:
        # Whoever signed it: SANs and pins are still looked at.
        checks.trust_chain_verification = CertificateValidationContext.ACCEPT_UNTRUSTED
    if given.ca_crl:
        checks.crl.filename = given.ca_crl
    checks.verify_certificate_spki.extend(given.verify_certificate_spki)
    checks.verify_certificate_hash.extend(given.verify_certificate_hash)
    for san in given.subject_alt_names:
        matcher = checks.match_typed_subject_alt_names.add()
        matcher.san_type = matcher.URI if "://" in san else matcher.DNS
        matcher.matcher.CopyFrom(StringMatcher(exact=san))


def _version(given: str, automatic: str) -> int:
    name = automatic if given == "TLS_AUTO" else given
    version: int = TlsParameters.TlsProtocol.Value(name.replace("TLSV", "TLSv"))
    return version
