"""Envoy resources for TLS, HTTP/2 and TCP, as dicts, in the style of `config`.

`chain` makes a filter chain, `listener` a listener of several; `downstream_tls`, `upstream_tls` are
transport sockets; `http_options` says which HTTP a cluster speaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support import config
from tests.support.certs import Credential

Tree = config.Tree
_T = "type.googleapis.com/envoy.extensions."
_TLS = _T + "transport_sockets.tls.v3."
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
TCP_PROXY = _T + "filters.network.tcp_proxy.v3.TcpProxy"
H2, H1 = "h2", "http/1.1"


def pem(path: Path) -> Tree:
    """A data source: that file."""
    return {"filename": str(path)}


def tls_certificate(credential: Credential, *, inline: bool = False) -> Tree:
    """A TlsCertificate, by file or (inline) by value."""
    if inline:
        return {
            "certificate_chain": {"inline_string": credential.pem},
            "private_key": {"inline_string": credential.key_pem},
        }
    return {"certificate_chain": pem(credential.cert), "private_key": pem(credential.key)}


def san(kind: str, **matcher: Any) -> Tree:
    """A SubjectAltNameMatcher: san("URI", prefix="spiffe://a/")."""
    return {"san_type": kind, "matcher": matcher}


def validation(ca: Path | None, *sans: Tree, **more: Any) -> Tree:
    """A CertificateValidationContext."""
    tree: Tree = {}
    if ca is not None:
        tree["trusted_ca"] = pem(ca)
    if sans:
        tree["match_typed_subject_alt_names"] = list(sans)
    return {**tree, **more}


def tls_params(minimum: str | None = None, maximum: str | None = None, **more: Any) -> Tree:
    """TlsParameters: versions as TLSv1_2, TLSv1_3; `cipher_suites`, `ecdh_curves`."""
    tree: Tree = {}
    if minimum:
        tree["tls_minimum_protocol_version"] = minimum
    if maximum:
        tree["tls_maximum_protocol_version"] = maximum
    return {**tree, **more}


def common_tls(
    credentials: Sequence[Credential],
    trust: Tree | None,
    alpn: Sequence[str],
    params: Tree | None,
) -> Tree:
    """A CommonTlsContext."""
    tree: Tree = {}
    if credentials:
        tree["tls_certificates"] = [tls_certificate(each) for each in credentials]
    if trust is not None:
        tree["validation_context"] = trust
    if alpn:
        tree["alpn_protocols"] = list(alpn)
    if params is not None:
        tree["tls_params"] = params
    return tree


def downstream_tls(
    *credentials: Credential,
    client_ca: Path | None = None,
    trust: Tree | None = None,
    alpn: Sequence[str] = (H2, H1),
    params: Tree | None = None,
    common: Tree | None = None,
    **more: Any,
) -> Tree:
    """A transport socket that terminates TLS.

    `client_ca`: a client certificate of that CA is required (mTLS). `trust`: a validation context
    instead, with `require_client_certificate` left to `more`. `common`: further fields of the
    CommonTlsContext; `more`: of the DownstreamTlsContext.
    """
    if client_ca is not None:
        trust = validation(client_ca)
        more = {"require_client_certificate": True, **more}
    context = {**common_tls(credentials, trust, alpn, params), **(common or {})}
    return _socket({"@type": _TLS + "DownstreamTlsContext", "common_tls_context": context, **more})


def upstream_tls(
    ca: Path | None = None,
    credential: Credential | None = None,
    *,
    trust: Tree | None = None,
    alpn: Sequence[str] = (),
    params: Tree | None = None,
    common: Tree | None = None,
    **more: Any,
) -> Tree:
    """A transport socket that originates TLS: trusts `ca` (or `trust`), shows `credential`.

    `more`: further fields of the UpstreamTlsContext, as `sni`.
    """
    if trust is None and ca is not None:
        trust = validation(ca)
    shown = [] if credential is None else [credential]
    context = {**common_tls(shown, trust, alpn, params), **(common or {})}
    return _socket({"@type": _TLS + "UpstreamTlsContext", "common_tls_context": context, **more})


def network_filter(name: str, typed: Tree) -> Tree:
    """A network filter."""
    return {"name": name, "typed_config": typed}


def http_filter(manager: Tree) -> Tree:
    """The network filter of a connection manager made by `config.hcm`."""
    return network_filter("envoy.filters.network.http_connection_manager", manager)


def tcp_proxy(to: str | None = None, **more: Any) -> Tree:
    """The network filter that forwards bytes to a cluster."""
    tree: Tree = {"@type": TCP_PROXY, "stat_prefix": "tcp"}
    if to is not None:
        tree["cluster"] = to
    return network_filter("envoy.filters.network.tcp_proxy", {**tree, **more})


def chain(*filters: Tree, tls: Tree | None = None, match: Tree | None = None, **more: Any) -> Tree:
    """A filter chain of network filters; `match` is its FilterChainMatch."""
    tree: Tree = {"filters": list(filters)}
    if match is not None:
        tree["filter_chain_match"] = match
    if tls is not None:
        tree["transport_socket"] = tls
    return {**tree, **more}


def listener(
    name: str,
    port: int,
    *chains: Tree,
    default: Tree | None = None,
    inspect_tls: bool = False,
    **more: Any,
) -> Tree:
    """A listener of these chains; `inspect_tls` puts tls_inspector first."""
    tree: Tree = {"name": name, "address": config.address(port), "filter_chains": list(chains)}
    if default is not None:
        tree["default_filter_chain"] = default
    if inspect_tls:
        tree["listener_filters"] = [tls_inspector()]
    return {**tree, **more}


def https(name: str, port: int, manager: Tree, tls: Tree, **more: Any) -> Tree:
    """A listener that is TLS alone, with one connection manager."""
    return listener(name, port, chain(http_filter(manager), tls=tls), **more)


def tls_inspector(**more: Any) -> Tree:
    """The listener filter that reads SNI and ALPN from the ClientHello."""
    kind = _T + "filters.listener.tls_inspector.v3.TlsInspector"
    return {
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {"@type": kind, **more},
    }


def listener_filter(name: str, kind: str, **more: Any) -> Tree:
    """Any other listener filter: kind is `proxy_protocol.v3.ProxyProtocol`, say."""
    typed = {"@type": _T + "filters.listener." + kind, **more}
    return {"name": f"envoy.filters.listener.{name}", "typed_config": typed}


def http2(**options: Any) -> Tree:
    """Further fields of a cluster that speaks HTTP/2 (prior knowledge, or under TLS)."""
    return http_options(explicit_http_config={"http2_protocol_options": options})


def auto_http(http1: Tree | None = None, http2: Tree | None = None) -> Tree:
    """Further fields of a cluster under TLS whose ALPN decides the protocol."""
    tree = {"http_protocol_options": http1 or {}, "http2_protocol_options": http2 or {}}
    return http_options(auto_config=tree)


def http_options(**options: Any) -> Tree:
    """Further fields of a cluster: its HttpProtocolOptions."""
    typed = {"@type": f"type.googleapis.com/{HTTP_OPTIONS}", **options}
    return {"typed_extension_protocol_options": {HTTP_OPTIONS: typed}}


def direct_response(prefix: str, status: int = 200, body: str = "ok") -> Tree:
    """A route that the proxy answers itself."""
    answer = {"status": status, "body": {"inline_string": body}}
    return {"match": {"prefix": prefix}, "direct_response": answer}


def _socket(typed: Tree) -> Tree:
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed}
