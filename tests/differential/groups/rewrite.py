"""Path and host rewriting."""

from __future__ import annotations

from tests.differential.model import Case, Group, Listener, req

_ROUTES = r"""
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - name: prefix
    match: {prefix: /p/}
    route: {cluster: a, prefix_rewrite: /new/}
  - name: prefix_noslash
    match: {prefix: /ns}
    route: {cluster: a, prefix_rewrite: /}
  - name: prefix_case
    match: {prefix: /CaSe, case_sensitive: false}
    route: {cluster: a, prefix_rewrite: /c}
  - name: path
    match: {path: /whole}
    route: {cluster: a, prefix_rewrite: /other}
  - name: sep
    match: {path_separated_prefix: /sep}
    route: {cluster: a, prefix_rewrite: /moved}
  - name: regex_match_prefix
    match: {safe_regex: {regex: "/rm/.*"}}
    route: {cluster: a, prefix_rewrite: /all}
  - name: regex
    match: {prefix: /regex}
    route:
      cluster: a
      regex_rewrite: {pattern: {regex: "^/regex/([^/]+)/(.+)$"}, substitution: "/\\2/\\1/\\0"}
  - name: regex_all
    match: {prefix: /ra}
    route:
      cluster: a
      regex_rewrite: {pattern: {regex: "a"}, substitution: "bb"}
  - name: regex_q
    match: {prefix: /rq}
    route:
      cluster: a
      regex_rewrite: {pattern: {regex: "x=1"}, substitution: "y=2"}
  - name: regex_empty
    match: {prefix: /re}
    route:
      cluster: a
      regex_rewrite: {pattern: {regex: "^/re.*$"}, substitution: ""}
  - name: h_literal
    match: {prefix: /h/literal}
    route: {cluster: a, host_rewrite_literal: literal.example}
  - name: h_header
    match: {prefix: /h/header}
    route: {cluster: a, host_rewrite_header: x-new-host}
  - name: h_regex
    match: {prefix: /h/regex}
    route:
      cluster: a
      host_rewrite_path_regex: {pattern: {regex: "^/h/regex/([^/]+)/.*$"}, substitution: "\\1.example"}
  - name: h_auto
    match: {prefix: /h/auto}
    route: {cluster: dns, auto_host_rewrite: true}
  - name: h_auto_static
    match: {prefix: /h/sauto}
    route: {cluster: a, auto_host_rewrite: true}
  - name: h_auto_xfh
    match: {prefix: /h/xfh}
    route: {cluster: dns, auto_host_rewrite: true, append_x_forwarded_host: true}
  - name: h_literal_xfh
    match: {prefix: /h/lxfh}
    route: {cluster: a, host_rewrite_literal: literal.example, append_x_forwarded_host: true}
  - name: h_hostname
    match: {prefix: /h/hostname}
    route: {cluster: named, auto_host_rewrite: true}
  - name: h_logical
    match: {prefix: /h/logical}
    route: {cluster: logical, auto_host_rewrite: true}
  - name: both
    match: {prefix: /both}
    route: {cluster: a, prefix_rewrite: /x, host_rewrite_literal: both.example}
    request_headers_to_add:
    - {header: {key: x-path-seen, value: "%REQ(:PATH)%"}}
    - {header: {key: x-orig-seen, value: "%REQ(X-ENVOY-ORIGINAL-PATH)%"}}
    - {header: {key: x-host-seen, value: "%REQ(:AUTHORITY)%"}}
"""

_CLUSTERS = """
- name: dns
  type: STRICT_DNS
  dns_lookup_family: V4_ONLY
  connect_timeout: 1s
  load_assignment:
    cluster_name: dns
    endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: localhost, port_value: ${a}}}}}]}]
- name: logical
  type: LOGICAL_DNS
  dns_lookup_family: V4_ONLY
  connect_timeout: 1s
  load_assignment:
    cluster_name: logical
    endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: localhost, port_value: ${a}}}}}]}]
- name: named
  type: STATIC
  connect_timeout: 1s
  load_assignment:
    cluster_name: named
    endpoints: [{lb_endpoints: [{endpoint: {hostname: host.name.example, address: {socket_address: {address: 127.0.0.1, port_value: ${a}}}}}]}]
"""

_REQUESTS = {
    "prefix": "/p/rest?q=1",
    "prefix_exact": "/p/",
    "prefix_to_slash": "/nsrest/x",
    "prefix_to_slash_slash": "/ns/x",
    "prefix_case": "/cAsE/x",
    "path": "/whole?q=1",
    "separated": "/sep/x?y",
    "separated_itself": "/sep?y",
    "regex_match_prefix": "/rm/x?q",
    "regex": "/regex/one/two?q=1",
    "regex_unmatched": "/regex",
    "regex_global": "/ra/banana",
    "regex_query_untouched": "/rq?x=1",
    "regex_to_empty": "/re?x=1",
    "host_literal": "/h/literal",
    "host_regex": "/h/regex/name/rest?x=/y/",
    "host_regex_unmatched": "/h/regex",
    "host_auto": "/h/auto",
    "host_auto_static": "/h/sauto",
    "host_auto_xfh": "/h/xfh",
    "host_literal_xfh": "/h/lxfh",
    "host_auto_hostname": "/h/hostname",
    "host_auto_logical": "/h/logical",
    "path_and_host_with_formatters": "/both/1",
}

GROUP = Group(
    name="rewrite",
    listeners={
        "main": Listener(_ROUTES),
        "suppress": Listener(
            _ROUTES,
            """
http_filters:
- name: envoy.filters.http.router
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
    suppress_envoy_headers: true
""",
        ),
    },
    clusters=_CLUSTERS,
    cases=[
        *(Case(k, req(v)) for k, v in _REQUESTS.items()),
        Case("host_header", req("/h/header", "x-new-host: from.header")),
        Case("host_header_absent", req("/h/header")),
        Case("host_header_empty", req("/h/header", "x-new-host:")),
        Case("host_xfh_appends", req("/h/lxfh", "x-forwarded-host: first.example")),
        Case("host_literal_same_xfh", req("/h/lxfh", host="literal.example")),
        Case("client_original_path", req("/p/1", "x-envoy-original-path: /forged")),
        Case("client_original_path_no_rewrite", req("/h/literal", "x-envoy-original-path: /forged")),
        Case("suppressed_headers", req("/p/1"), "suppress"),
        Case("suppressed_host", req("/h/lxfh"), "suppress"),
    ],
)
