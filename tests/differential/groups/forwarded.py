"""x-forwarded-*, scheme, via, external address, internal or not, x-envoy-* sanitising."""

from __future__ import annotations

from tests.differential.model import Case, Group, Listener, req

_LOOP = "internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}\n"
_EDGE = "use_remote_address: true\n"

_ENVOY_HEADERS = [
    "x-envoy-retry-on: 5xx",
    "x-envoy-retry-grpc-on: cancelled",
    "x-envoy-max-retries: 0",
    "x-envoy-retriable-status-codes: 555",
    "x-envoy-retriable-header-names: x-q",
    "x-envoy-upstream-rq-timeout-ms: 9000",
    "x-envoy-upstream-rq-per-try-timeout-ms: 8000",
    "x-envoy-upstream-rq-timeout-alt-response: 1",
    "x-envoy-expected-rq-timeout-ms: 7000",
    "x-envoy-hedge-on-per-try-timeout: false",
    "x-envoy-force-trace: 1",
    "x-envoy-ip-tags: t",
    "x-envoy-upstream-alt-stat-name: s",
    "x-envoy-original-url: u",
    "x-envoy-original-path: /o",
    "x-envoy-original-host: oh",
    "x-envoy-internal: true",
    "x-envoy-external-address: 1.2.3.4",
    "x-envoy-decorator-operation: op",
    "x-envoy-downstream-service-cluster: dc",
    "x-envoy-downstream-service-node: dn",
    "x-envoy-attempt-count: 9",
    "x-envoy-is-timeout-retry: true",
    "x-envoy-upstream-stream-duration-ms: 1000",
    "x-envoy-overloaded: true",
    "x-envoy-immediate-health-check-fail: 1",
    "x-envoy-unknown-thing: 1",
    "x-envoy-retry-on-me: 1",
]

_INTERNAL_ONLY = """
internal_only_headers: [x-secret]
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - {name: all, match: {prefix: /}, route: {cluster: a}}
"""

GROUP = Group(
    name="forwarded",
    listeners={
        "main": Listener(_INTERNAL_ONLY),
        "internal": Listener(_INTERNAL_ONLY, _LOOP),
        "rfc1918": Listener(_INTERNAL_ONLY, "internal_address_config: {}"),
        "edge": Listener(_INTERNAL_ONLY, _EDGE),
        "edge_internal": Listener(_INTERNAL_ONLY, _EDGE + _LOOP),
        "edge_rfc1918": Listener(_INTERNAL_ONLY, _EDGE + "internal_address_config: {}"),
        "edge_hops1": Listener(_INTERNAL_ONLY, _EDGE + "xff_num_trusted_hops: 1"),
        "hops1": Listener(_INTERNAL_ONLY, "xff_num_trusted_hops: 1\n" + _LOOP),
        "hops2": Listener(_INTERNAL_ONLY, "xff_num_trusted_hops: 2"),
        "skip_append": Listener(_INTERNAL_ONLY, _EDGE + "skip_xff_append: true"),
        "port": Listener(_INTERNAL_ONLY, "append_x_forwarded_port: true"),
        "port_edge": Listener(_INTERNAL_ONLY, _EDGE + "append_x_forwarded_port: true"),
        "via": Listener(_INTERNAL_ONLY, "via: fast-via"),
        "scheme": Listener(
            _INTERNAL_ONLY, "scheme_header_transformation: {scheme_to_overwrite: https}"
        ),
        "user_agent": Listener(_INTERNAL_ONLY, "add_user_agent: true"),
        "user_agent_edge": Listener(_INTERNAL_ONLY, "add_user_agent: true\n" + _EDGE + _LOOP),
        "represent": Listener(
            _INTERNAL_ONLY, _EDGE + "represent_ipv4_remote_address_as_ipv4_mapped_ipv6: true"
        ),
        "xff_ext": Listener(
            _INTERNAL_ONLY,
            """
original_ip_detection_extensions:
- name: envoy.http.original_ip_detection.xff
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig
    xff_num_trusted_hops: 1
""",
        ),
    },
    cases=[
        Case("plain", req()),
        Case("xff_one", req("/", "x-forwarded-for: 1.2.3.4")),
        Case("xff_list", req("/", "x-forwarded-for: 1.2.3.4, 10.0.0.1")),
        Case("xff_two_lines", req("/", "x-forwarded-for: 1.2.3.4", "x-forwarded-for: 5.6.7.8")),
        Case("xff_garbage", req("/", "x-forwarded-for: not-an-ip")),
        Case("xff_empty", req("/", "x-forwarded-for:")),
        Case("xff_with_port", req("/", "x-forwarded-for: 1.2.3.4:5678")),
        Case("xff_ipv6", req("/", "x-forwarded-for: 2001:db8::1")),
        Case("xff_internal_address", req("/", "x-forwarded-for: 127.0.0.9"), "internal"),
        Case("xff_internal_two", req("/", "x-forwarded-for: 127.0.0.9, 127.0.0.8"), "internal"),
        Case("xff_rfc1918", req("/", "x-forwarded-for: 192.168.1.1"), "rfc1918"),
        Case("xff_172", req("/", "x-forwarded-for: 172.16.1.1"), "rfc1918"),
        Case("xff_fd00", req("/", "x-forwarded-for: fd00::1"), "rfc1918"),
        Case("xff_public", req("/", "x-forwarded-for: 8.8.8.8"), "rfc1918"),
        Case("rfc1918_no_xff", req(), "rfc1918"),
        Case("edge_plain", req(), "edge"),
        Case("edge_xff", req("/", "x-forwarded-for: 1.2.3.4"), "edge"),
        Case("edge_xff_two_lines",
             req("/", "x-forwarded-for: 1.2.3.4", "x-forwarded-for: 5.6.7.8"), "edge"),
        Case("edge_internal_plain", req(), "edge_internal"),
        Case("edge_internal_xff", req("/", "x-forwarded-for: 1.2.3.4"), "edge_internal"),
        Case("edge_rfc1918_plain", req(), "edge_rfc1918"),
        Case("edge_hops_xff", req("/", "x-forwarded-for: 1.2.3.4, 5.6.7.8"), "edge_hops1"),
        Case("edge_hops_no_xff", req(), "edge_hops1"),
        Case("hops1", req("/", "x-forwarded-for: 1.2.3.4, 5.6.7.8, 9.10.11.12"), "hops1"),
        Case("hops1_short", req("/", "x-forwarded-for: 1.2.3.4"), "hops1"),
        Case("hops2", req("/", "x-forwarded-for: 1.2.3.4, 5.6.7.8, 9.10.11.12"), "hops2"),
        Case("hops2_too_many", req("/", "x-forwarded-for: 1.2.3.4"), "hops2"),
        Case("skip_append", req("/", "x-forwarded-for: 1.2.3.4"), "skip_append"),
        Case("skip_append_none", req(), "skip_append"),
        Case("xff_extension", req("/", "x-forwarded-for: 1.2.3.4, 5.6.7.8"), "xff_ext"),
        Case("xfp_https", req("/", "x-forwarded-proto: https")),
        Case("xfp_upper", req("/", "x-forwarded-proto: HTTPS")),
        Case("xfp_garbage", req("/", "x-forwarded-proto: gopher")),
        Case("xfp_empty", req("/", "x-forwarded-proto:")),
        Case("xfp_twice", req("/", "x-forwarded-proto: http", "x-forwarded-proto: https")),
        Case("xfp_edge_replaced", req("/", "x-forwarded-proto: https"), "edge"),
        Case("xfp_edge_hops_kept", req("/", "x-forwarded-proto: https"), "edge_hops1"),
        Case("port", req(), "port"),
        Case("port_client", req("/", "x-forwarded-port: 99"), "port"),
        Case("port_edge", req("/", "x-forwarded-port: 99"), "port_edge"),
        Case("port_client_default", req("/", "x-forwarded-port: 99")),
        Case("via", req(), "via"),
        Case("via_appends", req("/", "via: 1.0 fred"), "via"),
        Case("scheme_overwrite", req(), "scheme"),
        Case("user_agent", req(), "user_agent"),
        Case("user_agent_present", req("/", "user-agent: curl"), "user_agent"),
        Case("user_agent_edge_internal", req("/", "user-agent: curl"), "user_agent_edge"),
        Case("ipv4_mapped", req(), "represent"),
        Case("external_address_client", req("/", "x-envoy-external-address: 6.6.6.6"), "edge"),
        Case("sanitise_external", req("/", *_ENVOY_HEADERS, "x-secret: s")),
        Case("sanitise_internal",
             req("/", *_ENVOY_HEADERS, "x-secret: s", "x-forwarded-for: 127.0.0.1"), "internal"),
        Case("sanitise_edge", req("/", *_ENVOY_HEADERS, "x-secret: s"), "edge"),
        Case("sanitise_edge_internal", req("/", *_ENVOY_HEADERS, "x-secret: s"), "edge_internal"),
        Case("xfcc_dropped", req("/", "x-forwarded-client-cert: By=x")),
        Case("referer_valid", req("/", "referer: http://a.example/b")),
        Case("referer_bad", req("/", "referer: foo bar")),
        Case("referer_relative", req("/", "referer: /path")),
        Case("referer_two", req("/", "referer: http://a/", "referer: http://b/")),
        Case("early_data", req("/", "early-data: 1")),
        Case("forwarded_header_passes", req("/", "forwarded: for=1.2.3.4", "x-real-ip: 5.5.5.5")),
    ],
)
