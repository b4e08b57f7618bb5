"""Bootstraps that must be refused, and where the fault is: one change each to a good one."""

from __future__ import annotations

from dataclasses import dataclass

GOOD = """\
admin:
  address:
    socket_address: {address: 127.0.0.1, port_value: 0}
static_resources:
  listeners:
  - name: ingress
    address:
      socket_address: {address: 127.0.0.1, port_value: 10000}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route: {cluster: a, timeout: 15s}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: a
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: a
      endpoints:
      - lb_endpoints:
        - endpoint:
            address:
              socket_address: {address: 127.0.0.1, port_value: 8080}
"""


@dataclass(frozen=True)
class Bad:
    """`old` is replaced by `new` in the good one; `names` must occur in our error text."""

    id: str
    old: str
    new: str
    names: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The whole bootstrap."""
        assert GOOD.count(self.old) == 1, (self.id, GOOD.count(self.old))
        return GOOD.replace(self.old, self.new)

    @property
    def line(self) -> int:
        """1-based line where the fault begins."""
        before = GOOD[: GOOD.index(self.old)]
        same = 0
        for a, b in zip(self.old, self.new, strict=False):
            if a != b:
                break
            same += 1
        same += self.new[same : same + 1] == "\n"  # a line that was added
        return (before + self.new[:same]).count("\n") + 1


_ROUTE = "route: {cluster: a, timeout: 15s}"
_MATCH = "match: {prefix: /}"
_UPSTREAM_TLS = (
    "    transport_socket:\n      name: envoy.transport_sockets.tls\n      typed_config:\n        '@type': "
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n        "
)
_ROUTER = '"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router'

BAD = [
    Bad("unknown_top_field", "static_resources:", "bogus_field: 1\nstatic_resources:", ("bogus_field",)),
    Bad("unknown_listener_field", "  - name: ingress", "  - name: ingress\n    bogus: true", ("bogus",)),
    Bad("unknown_hcm_field", "stat_prefix: web", "stat_prefix: web\n          bogus: 1", ("bogus",)),
    Bad("unknown_route_field", _ROUTE, "route: {cluster: a, bogus: 1}", ("bogus",)),
    Bad("wrong_type_number", "port_value: 10000", "port_value: abc", ("port_value",)),
    Bad("wrong_type_string", "stat_prefix: web", "stat_prefix: [1]", ("stat_prefix",)),
    Bad("wrong_type_message", "match: {prefix: /}", "match: text", ("match",)),
    Bad("bad_duration", "connect_timeout: 1s", "connect_timeout: 1", ("connect_timeout",)),
    Bad("bad_duration_text", "connect_timeout: 1s", "connect_timeout: soon", ("connect_timeout",)),
    Bad("bad_enum", "type: STATIC", "type: STATICC", ("type", "STATICC")),
    Bad("pgv_stat_prefix_empty", "stat_prefix: web", 'stat_prefix: ""', ("stat_prefix",)),
    Bad("pgv_cluster_name_empty", "  - name: a\n    type", '  - name: ""\n    type', ("name",)),
    Bad("pgv_port_range", "port_value: 10000", "port_value: 70000", ("port_value",)),
    Bad("pgv_connect_timeout_zero", "connect_timeout: 1s", "connect_timeout: 0s", ("connect_timeout",)),
    Bad("pgv_no_match", _MATCH + "\n                " + _ROUTE, _ROUTE, ("match",)),
    Bad("pgv_no_action", _MATCH + "\n                " + _ROUTE, _MATCH, ("action",)),
    Bad("pgv_domains_empty", 'domains: ["*"]', "domains: []", ("domains",)),
    Bad("pgv_vhost_name_empty", "- name: all", '- name: ""', ("name",)),
    Bad("pgv_direct_status", _ROUTE, "direct_response: {status: 99}", ("status",)),
    Bad("pgv_path_specifier", _MATCH, "match: {}", ("match",)),
    Bad("pgv_address_missing",
        "    address:\n      socket_address: {address: 127.0.0.1, port_value: 10000}\n", "", ("address",)),
    Bad("pgv_endpoint_weight", "        - endpoint:", "        - load_balancing_weight: 0\n          endpoint:", ("load_balancing_weight",)),
    Bad("pgv_header_name", _MATCH, 'match: {prefix: /, headers: [{name: ""}]}', ("name",)),
    Bad("pgv_max_headers", "stat_prefix: web", "stat_prefix: web\n          max_request_headers_kb: 0", ("max_request_headers_kb",)),
    Bad("pgv_max_headers_high", "stat_prefix: web", "stat_prefix: web\n          max_request_headers_kb: 9000", ("max_request_headers_kb",)),
    Bad("unknown_http_filter", "- name: envoy.filters.http.router\n            typed_config:\n              " + _ROUTER,
        "- name: envoy.filters.http.no_such_filter\n            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.no_such.v3.Nothing", ("no_such",)),
    Bad("unknown_type_url", _ROUTER, '"@type": type.googleapis.com/bogus.Type', ("bogus.Type",)),
    Bad("missing_typed_config", "typed_config:\n              " + _ROUTER, "disabled: false", ("router",)),
    Bad("router_not_last",
        "          - name: envoy.filters.http.router\n            typed_config:\n              " + _ROUTER,
        "          - name: envoy.filters.http.router\n            typed_config:\n              " + _ROUTER
        + "\n          - name: second\n            typed_config:\n              " + _ROUTER, ("router",)),
    Bad("duplicate_cluster", "  clusters:\n", "  clusters:\n  - {name: a, type: STATIC, connect_timeout: 1s}\n", ("a",)),
    Bad("duplicate_listener_address", "  clusters:\n",
        "  - name: second\n    address: {socket_address: {address: 127.0.0.1, port_value: 10000}}\n"
        "    filter_chains: [{filters: [{name: hcm, typed_config: {'@type': "
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, "
        "stat_prefix: second, route_config: {name: none}, http_filters: [{name: router, typed_config: {"
        + _ROUTER + "}}]}}]}]\n  clusters:\n", ("127.0.0.1:10000",)),
    Bad("duplicate_domain", 'domains: ["*"]', 'domains: ["a.example", "a.example"]', ("a.example",)),
    Bad("duplicate_star", "            - name: all",
        "            - {name: other, domains: ['*']}\n            - name: all", ("wildcard",)),
    Bad("bad_regex", _MATCH, 'match: {safe_regex: {regex: "a("}}', ("regex",)),
    Bad("unknown_cluster_in_route", _ROUTE, "route: {cluster: nowhere}", ("nowhere",)),
    Bad("two_actions", _ROUTE, "route: {cluster: a}\n                direct_response: {status: 200}", ("direct_response",)),
    Bad("two_path_specifiers", _MATCH, "match: {prefix: /, path: /x}", ("path",)),
    Bad("modify_pseudo_header", _MATCH, 'match: {prefix: /}\n                request_headers_to_add: [{header: {key: ":path", value: x}}]', ("header",)),
    Bad("bad_operator", _MATCH, 'match: {prefix: /}\n                request_headers_to_add: [{header: {key: x, value: "%NO_SUCH_OPERATOR%"}}]', ("NO_SUCH_OPERATOR",)),
    Bad("unclosed_operator", _MATCH, 'match: {prefix: /}\n                request_headers_to_add: [{header: {key: x, value: "%PROTOCOL"}}]', ("PROTOCOL",)),
    Bad("hostname_in_static", "{address: 127.0.0.1, port_value: 8080}", "{address: localhost, port_value: 8080}", ("localhost",)),
    Bad("static_load_assignment_missing_endpoint", "        - endpoint:\n            address:\n              socket_address: {address: 127.0.0.1, port_value: 8080}", "        - {}", ()),
    Bad("weights_zero", _ROUTE, "route: {weighted_clusters: {clusters: [{name: a, weight: 0}]}}", ("weight",)),
    Bad("weights_empty", _ROUTE, "route: {weighted_clusters: {clusters: []}}", ("clusters",)),
    Bad("negative_timeout", _ROUTE, "route: {cluster: a, timeout: -1s}", ("timeout",)),
    Bad("empty_filter_chains", "    filter_chains:\n", "    bogus_chains:\n", ("bogus_chains",)),
    Bad("yaml_syntax", "    type: STATIC", "    type: [STATIC", ()),
    Bad("yaml_tab", "    type: STATIC", "\ttype: STATIC", ()),
    Bad("not_a_map", GOOD, "- a\n- b\n", ()),
    Bad("eds_without_config", "    type: STATIC", "    type: EDS", ("eds",)),
    Bad("direct_response_too_long", _ROUTE, 'direct_response: {status: 200, body: {inline_string: "' + "x" * 5000 + '"}}', ("4096",)),
    Bad("redirect_two_paths", _ROUTE, "redirect: {path_redirect: /a, prefix_rewrite: /b}", ("prefix_rewrite",)),
    Bad("prefix_and_regex_rewrite", _ROUTE, "route: {cluster: a, prefix_rewrite: /b, regex_rewrite: {pattern: {regex: x}, substitution: yy}}", ("prefix_rewrite",)),
    Bad("separated_prefix_slash", _MATCH, "match: {path_separated_prefix: /a/}", ("path_separated_prefix",)),
    Bad("bad_cidr", "stat_prefix: web", "stat_prefix: web\n          internal_address_config: {cidr_ranges: [{address_prefix: nope, prefix_len: 8}]}", ("nope",)),
    Bad("log_bad_path", "stat_prefix: web",
        "stat_prefix: web\n          access_log: [{name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /no/such/folder/log}}]", ("/no/such/folder/log",)),
    Bad("tls_ciphers", "    type: STATIC", "    type: STATIC\n" + _UPSTREAM_TLS + "common_tls_context: {tls_params: {cipher_suites: [BOGUS]}}", ("BOGUS",)),
    Bad("tls_curves", "    type: STATIC", "    type: STATIC\n" + _UPSTREAM_TLS + "common_tls_context: {tls_params: {ecdh_curves: [BOGUS]}}", ("BOGUS",)),
    Bad("tls_unknown_secret", "    type: STATIC", "    type: STATIC\n" + _UPSTREAM_TLS + "common_tls_context: {tls_certificate_sds_secret_configs: [{name: nowhere}]}", ("Unknown static secret: nowhere",)),
    Bad("tls_unknown_context", "    type: STATIC", "    type: STATIC\n" + _UPSTREAM_TLS + "common_tls_context: {validation_context_sds_secret_config: {name: nowhere}}", ("Unknown static certificate validation context: nowhere",)),
    Bad("tls_sans_without_ca", "    type: STATIC", "    type: STATIC\n" + _UPSTREAM_TLS + "common_tls_context: {validation_context: {match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}]}}", ("SAN-based verification",)),
    Bad("tls_bad_ca", "    type: STATIC", "    type: STATIC\n" + _UPSTREAM_TLS + "common_tls_context: {validation_context: {trusted_ca: {inline_string: hello}}}", ("trusted CA certificates from <inline>",)),
    Bad("tls_bad_chain", "    type: STATIC", "    type: STATIC\n" + _UPSTREAM_TLS + "common_tls_context: {tls_certificates: [{certificate_chain: {inline_string: hello}, private_key: {inline_string: hello}}]}", ("certificate chain from <inline>",)),
    Bad("tls_auto_san", "    type: STATIC", "    type: STATIC\n" + _UPSTREAM_TLS + "auto_sni_san_validation: true", ("auto_sni_san_validation",)),
    Bad("tls_long_sni", "    type: STATIC", "    type: STATIC\n" + _UPSTREAM_TLS + "sni: " + "a" * 256, ("sni",)),
    Bad("tls_socket_unknown", "    type: STATIC", "    type: STATIC\n    transport_socket: {name: envoy.transport_sockets.tls}", ("transport_socket",)),
    Bad("secret_without_type", "static_resources:", "static_resources:\n  secrets: [{name: a}]", ("secrets",)),
]  # fmt: skip

# Odd, but Envoy takes them.
ODD = [
    Bad("wrong_type_list", 'domains: ["*"]', 'domains: "*"', ("domains",)),
    Bad("no_http_filters",
        "          http_filters:\n          - name: envoy.filters.http.router\n            typed_config:\n              " + _ROUTER + "\n", "", ("http_filters",)),
    Bad("duplicate_vhost", "            - name: all",
        "            - {name: all, domains: [x]}\n            - name: all", ("all",)),
    Bad("bad_domain", 'domains: ["*"]', 'domains: ["a.*.b"]', ("a.*.b",)),
    Bad("yaml_duplicate_key", "    type: STATIC", "    type: STATIC\n    type: STATIC", ("type",)),
]  # fmt: skip
