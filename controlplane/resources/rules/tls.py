"""TLS settings: what each mode needs and excludes."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.common.tls import ClientTLSSettings, ServerTLSSettings
from controlplane.resources.rules import names

_CIPHERS = frozenset(
    {
        "AES128-GCM-SHA256",
        "AES128-SHA",
        "AES256-GCM-SHA384",
        "AES256-SHA",
        "DES-CBC3-SHA",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-SHA",
        "ECDHE-RSA-CHACHA20-POLY1305",
    }
)
_CURVES = frozenset(
    {"P-224", "P-256", "P-384", "P-521", "X25519", "X25519Kyber768Draft00", "X25519MLKEM768"}
)
_VERSIONS = ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")


def server_tls(tls: ServerTLSSettings | None, path: str) -> Iterator[Problem]:
    """TLS that a gateway or an ingress listener ends or passes on."""
    if tls is None:
        return
    yield from _ciphers(tls, path)
    yield from _curves_and_alpn(tls, path)
    if 0 < _VERSIONS.index(tls.max_protocol_version) < _VERSIONS.index(tls.min_protocol_version):
        reason = f"is below minProtocolVersion {tls.min_protocol_version}; raise it"
        yield Problem(f"{path}.maxProtocolVersion", reason)
    sources = _certificate_sources(tls)
    if tls.mode == "ISTIO_MUTUAL":
        for name in (*sources, *(["caCertificates"] if tls.ca_certificates else [])):
            reason = "ISTIO_MUTUAL uses the mesh's certificates; remove it or choose MUTUAL"
            yield Problem(f"{path}.{name}", reason)
        return
    for name in ("credentialNames", "tlsCertificates"):
        if len(sources.get(name, ())) > 2:
            yield Problem(f"{path}.{name}", "has more than two entries; keep one RSA and one ECDSA")
    if tls.mode in {"PASSTHROUGH", "AUTO_PASSTHROUGH"}:
        unused = (*sources, *(["caCertificates"] if tls.ca_certificates else []))
        for name in (*unused, *(["caCrl"] if tls.ca_crl else [])):
            reason = f"{tls.mode} does not end TLS, so this has no effect; remove it"
            yield Problem(f"{path}.{name}", reason, warning=True)
    complete: list[str] = [
        name for name in ("credentialName", "credentialNames", "tlsCertificates") if name in sources
    ]
    if tls.server_certificate and tls.private_key:
        complete.append("serverCertificate with privateKey")
    if len(complete) > 1:
        yield Problem(path, f"{', '.join(complete)} exclude each other; keep one")
    if tls.mode not in {"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"}:
        return
    if tls.credential_name and tls.ca_crl:
        reason = "has no effect with credentialName; put it into the secret, as key ca.crl"
        yield Problem(f"{path}.caCrl", reason, warning=True)
    if tls.credential_name or tls.credential_names:
        return
    yield from _files(tls, path)


def _certificate_sources(tls: ServerTLSSettings) -> dict[str, tuple[object, ...]]:
    """The fields that say which certificate to show, as far as they are given."""
    fields: dict[str, tuple[object, ...]] = {
        "serverCertificate": (tls.server_certificate,) if tls.server_certificate else (),
        "privateKey": (tls.private_key,) if tls.private_key else (),
        "tlsCertificates": tls.tls_certificates,
        "credentialName": (tls.credential_name,) if tls.credential_name else (),
        "credentialNames": tls.credential_names,
    }
    return {name: values for name, values in fields.items() if values}


def _files(tls: ServerTLSSettings, path: str) -> Iterator[Problem]:
    """What must be there when certificates are files."""
    if tls.mode == "SIMPLE":
        if tls.ca_crl:
            yield Problem(f"{path}.caCrl", "SIMPLE asks for no client certificate; choose MUTUAL")
    elif not tls.ca_certificates:
        reason = f"is required: {tls.mode} checks client certificates against it"
        yield Problem(f"{path}.caCertificates", reason)
    pairs = [(path, tls.server_certificate, tls.private_key)]
    if tls.tls_certificates:
        pairs = [
            (f"{path}.tlsCertificates[{index}]", one.server_certificate, one.private_key)
            for index, one in enumerate(tls.tls_certificates)
        ]
    for at, certificate, key in pairs:
        if not certificate:
            reason = f"is required by {tls.mode} without credentialName"
            yield Problem(f"{at}.serverCertificate", reason)
        if not key:
            yield Problem(f"{at}.privateKey", f"is required by {tls.mode} without credentialName")


def _ciphers(tls: ServerTLSSettings, path: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, cipher in enumerate(tls.cipher_suites):
        at = f"{path}.cipherSuites[{index}]"
        # What begins with + - ! [ is an expression of BoringSSL's.
        plain = cipher[:1].isalnum() and cipher != "ALL"
        if plain and cipher not in _CIPHERS:
            yield Problem(at, f"{shown(cipher)} is no cipher of ours, it is left out", warning=True)
        elif cipher in seen:
            yield Problem(at, f"{shown(cipher)} is there already; remove it", warning=True)
        seen.add(cipher)
    if tls.min_protocol_version in {"TLSV1_0", "TLSV1_1"} and not tls.cipher_suites:
        reason = "the default ciphers need TLS 1.2; list cipherSuites that the old versions know"
        yield Problem(f"{path}.minProtocolVersion", reason, warning=True)


def _curves_and_alpn(tls: ServerTLSSettings, path: str) -> Iterator[Problem]:
    for index, curve in enumerate(tls.ecdh_curves):
        if curve not in _CURVES:
            reason = f"{shown(curve)} is no curve; use one of {', '.join(sorted(_CURVES))}"
            yield Problem(f"{path}.ecdhCurves[{index}]", reason)
    for index, protocol in enumerate(tls.alpn_protocols):
        # The length is one byte on the wire.
        if not 1 <= len(protocol.encode(errors="replace")) <= 255:
            yield Problem(f"{path}.alpnProtocols[{index}]", "must have 1 to 255 bytes")


def client_tls(tls: ClientTLSSettings | None, path: str, namespace: str) -> Iterator[Problem]:
    """TLS towards hosts."""
    if tls is None:
        return
    yield from _config_map(tls.credential_name, f"{path}.credentialName", namespace)
    if tls.insecure_skip_verify and tls.mode in {"SIMPLE", "MUTUAL"}:
        checks: dict[str, object] = {
            "caCertificates": tls.ca_certificates,
            "caCertCredentialName": tls.ca_cert_credential_name,
            "subjectAltNames": tls.subject_alt_names,
        }
        if tls.mode == "SIMPLE":
            checks["credentialName"] = tls.credential_name
        for name in (name for name, value in checks.items() if value):
            yield Problem(f"{path}.{name}", "checks nothing with insecureSkipVerify; keep one")
    ca_name = tls.ca_cert_credential_name
    yield from _config_map(ca_name, f"{path}.caCertCredentialName", namespace)
    if ca_name and tls.mode not in {"SIMPLE", "MUTUAL"}:
        reason = f"has no effect with mode {tls.mode}; remove it or choose SIMPLE or MUTUAL"
        yield Problem(f"{path}.caCertCredentialName", reason)
    if ca_name and tls.ca_certificates:
        yield Problem(f"{path}.caCertificates", "is what caCertCredentialName names; keep one")
    if tls.mode not in {"SIMPLE", "MUTUAL"}:
        return
    if tls.credential_name:
        files = {
            "clientCertificate": tls.client_certificate,
            "privateKey": tls.private_key,
            "caCertificates": tls.ca_certificates,
            "caCrl": tls.ca_crl,
        }
        for name in (name for name, value in files.items() if value):
            yield Problem(f"{path}.{name}", "is in the secret of credentialName; keep one of them")
        return
    if tls.mode == "MUTUAL":
        for name, value in (
            ("clientCertificate", tls.client_certificate),
            ("privateKey", tls.private_key),
        ):
            if not value:
                reason = "is required by MUTUAL without credentialName (ISTIO_MUTUAL needs none)"
                yield Problem(f"{path}.{name}", reason)


def _config_map(name: str, path: str, namespace: str) -> Iterator[Problem]:
    if not name.startswith("configmap://"):
        return
    parts = name.removeprefix("configmap://").split("/")
    if len(parts) != 2 or not all(names.is_dns_label(one.replace(".", "-")) for one in parts):
        yield Problem(path, f"{shown(name)} must be configmap://namespace/name")
    elif parts[0] != namespace:
        yield Problem(path, f"must name a ConfigMap of its own namespace, {namespace}")
