"""docs/parity.md has a row for everything that Istio has: its kinds and their fields' homes, what
istiod sends, its security; and every test that a row names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controlplane.resources.kinds import KINDS

ROOT = Path(__file__).parents[2]
_PARITY = (ROOT / "docs/parity.md").read_text()
_SECTIONS = dict(re.findall(r"(?ms)^## (.+?)\n(.*?)(?=^## |\Z)", _PARITY))

#: Names of Istio 1.32: what it calls the things that it sends, and that it reads of proxies.
_SENT = """
CDS LDS RDS EDS SDS ECDS NDS NameTable PCDS HealthInformation WDS WADS istio.io/debug grpc api event
15010 15012 15014 15017 8080 9876 controlz webhooks /debug debounce delta
virtualOutbound useOriginalDst PassthroughCluster BlackHoleCluster <VIP>_<port> 0.0.0.0_<port> /32
http_inspector h2c virtualInbound original_dst original_src 1337 TPROXY tls_inspector 127.0.0.6 ::6
15090 15021 15000 HBONE connect_terminate main_internal connect_originate inner_connect_originate
outer_connect_originate
istio.metadata_exchange CUSTOM ext_authz jwt_authn rbac AUDIT DENY ALLOW ext_proc grpc_web
grpc_stats istio.alpn fault cors istio.stats stateful_session dynamic_forward_proxy router websocket
stream_idle_timeout normalize_path APPEND_FORWARD uuid istio-envoy tcp_proxy mongo redis mysql wasm
sni_dynamic_forward_proxy open_telemetry CEL header_mutation lua set_filter_state proxy_protocol cel
req_without_query override_host round_robin cares uri_template previous_hosts previous_priorities
zipkin datadog skywalking opentelemetry tls raw_buffer quic internal_upstream upstreams
preserve_case cryptomb qat
outbound\\|PORT\\|SUBSET\\|HOST inbound\\|PORT\\|\\| outbound_.PORT_.SUBSET_.HOST DNAT host:port
http.PORT https.PORT.NAME.GW.NS inbound\\|http\\|PORT allow_any block_all default ROOTCA
kubernetes:// kubernetes-gateway:// builtin:// sds:// -cacert file-cert: file-root:
extensions.istio.io/trafficextension
LEAST_REQUEST tlsMode-istio istio-peer-exchange connect-failure refused-stream unavailable cancelled
retriable-status-codes reset-before-request
internal_listener inclusion xds-grpc sds-grpc prometheus_stats lightstep local_cluster sidecar
waypoint ztunnel
PROXY_CONFIG ISTIO_VERSION ISTIO_REVISION LABELS ANNOTATIONS INSTANCE_IPS NAMESPACE NAME OWNER
WORKLOAD_NAME SERVICE_ACCOUNT NODE_NAME CLUSTER_ID NETWORK MESH_ID REQUESTED_NETWORK_VIEW
INTERCEPTION_MODE POD_PORTS APP_CONTAINERS PILOT_SAN GENERATOR DNS_CAPTURE DNS_AUTO_ALLOCATE
ENABLE_HBONE AUTO_REGISTER_GROUP WORKLOAD_ENTRY HTTP10 IDLE_TIMEOUT UNPRIVILEGED_POD TLS_ ENVOY_
x-envoy-peer-metadata x-envoy-peer-metadata-id
""".split()
_SECURITY = """
CreateCertificate OIDC TokenReview XFCC CA_TRUSTED_NODE_ACCOUNTS spiffe://TD/ns/NS/sa/SA
cluster.local aliases ECDSA RSA istio-ca-secret cacerts ISTIO_MULTIROOT_MESH istio-ca-root-cert
ClusterTrustBundle istio-csr SPIRE SubjectAccessReview tls.crt tls.key ca.crt ca.crl cert key cacert
crl PeerAuthentication UNSET PERMISSIVE AuthorizationPolicy CUSTOM DENY ALLOW AUDIT {*} {**}
istio.io/dry-run request.headers[] source.ip remote.ip source.namespace source.serviceAccount
source.trustDomain source.principal request.auth.principal request.auth.audiences
request.auth.presenter request.auth.claims[] destination.ip destination.port connection.sni
experimental.envoy.filters.* PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS
PILOT_JWT_ENABLE_REMOTE_JWKS 401 preflight iss/sub
""".split()
_KINDS = [
    *(one.name for one in KINDS.values() if "istio.io" in one.group),
    *("MeshConfig", "MeshNetworks", "Gateway API", "Ingress", "MCS"),
]


@pytest.mark.parametrize(
    ("section", "names"),
    [("Translation", _KINDS), ("What proxies are sent", _SENT), ("Security", _SECURITY)],
)
def test_everything_has_a_row(section: str, names: list[str]) -> None:
    said = "\n".join("|".join(row) for row in _rows(section))
    absent = [one for one in names if not re.search(rf"(?<!\w){re.escape(one)}", said)]
    assert absent == []


@pytest.mark.parametrize("section", ["Translation", "What proxies are sent", "Security"])
def test_what_works_names_a_test_that_is_there(section: str) -> None:
    tests = [str(one.relative_to(ROOT)) for one in (ROOT / "tests").rglob("test_*.py")]
    cases = {one.name for one in (ROOT / "tests/golden/translation").iterdir()}
    for row in _rows(section):
        works = row[1] if section == "Translation" else row[2] if row[1] in {"✓", "part"} else ""
        if not works.strip():
            continue
        text = "|".join(row)
        files = re.findall(r"`([\w./]*test_\w+\.py)`", text)
        # "goldens a, b", up to a word that is none.
        said = re.findall(r"goldens? ([a-z_]+(?:, [a-z_]+(?= *[,;|):.]|$| and))*)", text)
        golden = {one for names in said for one in names.split(", ")}
        linked = "](#" in text or re.search(r"`tests/[\w/]+`", text) or "above" in text
        assert files or golden or linked or "goldens" in text, text
        for one in files:
            assert any(f"/{path}".endswith(f"/{one}") for path in tests), text
        assert golden <= cases, text


def _rows(section: str) -> list[list[str]]:
    """Of the section's first table; cells may have bars in them, which are escaped."""
    lines = [line for line in _SECTIONS[section].splitlines() if line.startswith("| ")]
    end = next((i for i, line in enumerate(lines) if line.startswith("| kind | fields ")), None)
    found = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines[1:end]]
    return [[cell.strip() for cell in row] for row in found]
