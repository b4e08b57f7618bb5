"""The transport sockets of the Envoy bootstrap. Envoy's clients stop at TLS 1.2 unless told
otherwise; BoringSSL picks TLS_AES_128_GCM_SHA256 by itself where there is AES in hardware."""

from typing import Any

from bench.certificates import AUTHORITY, CLIENT, SERVER, SERVER_NAME, Leaf
from bench.site import Wire

TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
PARAMETERS = {
    "tls_minimum_protocol_version": "TLSv1_3",
    "tls_maximum_protocol_version": "TLSv1_3",
    "ecdh_curves": ["X25519"],
}


def downstream(wire: Wire) -> dict[str, Any]:
    context: dict[str, Any] = {"common_tls_context": _common(wire, SERVER)}
    if wire.mutual:
        context["require_client_certificate"] = True
        context["common_tls_context"]["validation_context"] = _validation(CLIENT)
    return _socket("DownstreamTlsContext", context)


def upstream(wire: Wire) -> dict[str, Any]:
    common = _common(wire, CLIENT if wire.mutual else None)
    common["validation_context"] = _validation(SERVER)
    return _socket("UpstreamTlsContext", {"sni": SERVER_NAME, "common_tls_context": common})


def _common(wire: Wire, leaf: Leaf | None) -> dict[str, Any]:
    common: dict[str, Any] = {"tls_params": PARAMETERS, "alpn_protocols": [wire.alpn]}
    if leaf is not None:
        common["tls_certificates"] = [
            {
                "certificate_chain": {"filename": str(leaf.certificate)},
                "private_key": {"filename": str(leaf.key)},
            }
        ]
    return common


def _validation(peer: Leaf) -> dict[str, Any]:
    """The authority, and the identity that the other side must have."""
    return {
        "trusted_ca": {"filename": str(AUTHORITY)},
        "match_typed_subject_alt_names": [
            {"san_type": "URI", "matcher": {"exact": peer.identity}},
        ],
    }


def _socket(kind: str, context: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": f"{TYPE}.{kind}", **context},
    }
