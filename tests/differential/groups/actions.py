"""What a route does: weighted clusters, cluster_header, redirect, direct response, failures to route."""

from __future__ import annotations

from tests.differential.model import Case, Group, Listener, reply, req

_ROUTES = r"""
validate_clusters: false
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - name: w100
    match: {prefix: /w100}
    route:
      weighted_clusters:
        clusters:
        - {name: b, weight: 0}
        - name: a
          weight: 100
          request_headers_to_add: [{header: {key: x-weighted, value: "a"}}]
          response_headers_to_add: [{header: {key: x-weighted-back, value: "a"}}]
          request_headers_to_remove: [x-drop]
          response_headers_to_remove: [x-up]
  - name: w_b
    match: {prefix: /w_b}
    route:
      weighted_clusters:
        clusters: [{name: a, weight: 0}, {name: b, weight: 1}]
  - name: w_host
    match: {prefix: /w_host}
    route:
      weighted_clusters:
        clusters: [{name: a, weight: 1, host_rewrite_literal: weighted.example}]
  - name: by_header
    match: {prefix: /by_header}
    route: {cluster_header: x-cluster}
  - name: unknown
    match: {prefix: /unknown}
    route: {cluster: nowhere}
  - name: unknown404
    match: {prefix: /u404}
    route: {cluster: nowhere, cluster_not_found_response_code: NOT_FOUND}
  - name: unknown500
    match: {prefix: /u500}
    route: {cluster: nowhere, cluster_not_found_response_code: INTERNAL_SERVER_ERROR}
  - name: r_host
    match: {prefix: /r/host}
    redirect: {host_redirect: new.example}
  - name: r_path
    match: {prefix: /r/path}
    redirect: {path_redirect: /new/path}
  - name: r_path_query
    match: {prefix: /r/pq}
    redirect: {path_redirect: "/new/path?fixed=1"}
  - name: r_pathstrip
    match: {prefix: /r/strip}
    redirect: {path_redirect: /new, strip_query: true}
  - name: r_hoststrip
    match: {prefix: /r/hstrip}
    redirect: {host_redirect: new.example, strip_query: true}
  - name: r_prefix
    match: {prefix: /r/prefix/}
    redirect: {prefix_rewrite: /fresh/}
  - name: r_regex
    match: {prefix: /r/regex}
    redirect: {regex_rewrite: {pattern: {regex: "/r/regex/([^/]+)/(.*)"}, substitution: "/x/\\2/\\1"}}
  - name: r_https
    match: {prefix: /r/https}
    redirect: {https_redirect: true}
  - name: r_scheme
    match: {prefix: /r/scheme}
    redirect: {scheme_redirect: ftp}
  - name: r_port
    match: {prefix: /r/port}
    redirect: {port_redirect: 8443}
  - name: r_httpsport
    match: {prefix: /r/hp}
    redirect: {https_redirect: true, port_redirect: 443}
  - name: r_302
    match: {prefix: /r/302}
    redirect: {path_redirect: /z, response_code: FOUND}
  - name: r_303
    match: {prefix: /r/303}
    redirect: {path_redirect: /z, response_code: SEE_OTHER}
  - name: r_307
    match: {prefix: /r/307}
    redirect: {path_redirect: /z, response_code: TEMPORARY_REDIRECT}
  - name: r_308
    match: {prefix: /r/308}
    redirect: {path_redirect: /z, response_code: PERMANENT_REDIRECT}
  - name: r_headers
    match: {prefix: /r/headers}
    redirect: {path_redirect: /z}
    response_headers_to_add: [{header: {key: x-added, value: "yes"}}]
  - name: r_empty
    match: {prefix: /r/empty}
    redirect: {}
  - name: d_body
    match: {prefix: /d/body}
    direct_response: {status: 200, body: {inline_string: "hello"}}
  - name: d_nobody
    match: {prefix: /d/none}
    direct_response: {status: 404}
  - name: d_bytes
    match: {prefix: /d/bytes}
    direct_response: {status: 418, body: {inline_bytes: aGk=}}
  - name: d_204
    match: {prefix: /d/204}
    direct_response: {status: 204}
  - name: d_204body
    match: {prefix: /d/b204}
    direct_response: {status: 204, body: {inline_string: "oops"}}
  - name: d_304
    match: {prefix: /d/304}
    direct_response: {status: 304}
  - name: d_type
    match: {prefix: /d/type}
    direct_response: {status: 200, body: {inline_string: "{}"}}
    response_headers_to_add:
    - {header: {key: content-type, value: application/json}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
  - name: d_format
    match: {prefix: /d/format}
    direct_response:
      status: 200
      body_format:
        text_format_source: {inline_string: "%PROTOCOL% %REQ(x-in)% %RESPONSE_CODE%"}
  - name: d_599
    match: {prefix: /d/599}
    direct_response: {status: 599, body: {inline_string: "x"}}
  - name: nonforward
    match: {prefix: /nonforward}
    non_forwarding_action: {}
"""

_REDIRECTS = {
    "host": "/r/host/x?q=1",
    "path": "/r/path/x?q=1",
    "path_own_query": "/r/pq?q=1",
    "path_strip_query": "/r/strip?q=1",
    "host_strip_query": "/r/hstrip/a?q=1",
    "prefix": "/r/prefix/a/b?q=1",
    "regex": "/r/regex/one/two?q=1",
    "https": "/r/https/a?q",
    "scheme": "/r/scheme/a",
    "port": "/r/port/a",
    "https_port": "/r/hp/a",
    "302": "/r/302",
    "303": "/r/303",
    "307": "/r/307",
    "308": "/r/308",
    "headers": "/r/headers",
    "empty": "/r/empty?x",
}

GROUP = Group(
    name="actions",
    listeners={
        "main": Listener(_ROUTES),
        "tls": Listener(
            """
virtual_hosts:
- name: all
  domains: ["tls.example"]
  require_tls: ALL
  routes: [{name: t, match: {prefix: /}, route: {cluster: a}}]
- name: ext
  domains: ["ext.example"]
  require_tls: EXTERNAL_ONLY
  routes: [{name: e, match: {prefix: /}, route: {cluster: a}}]
- name: novhroutes
  domains: ["empty.example"]
"""
        ),
    },
    clusters="""
- name: empty
  type: STATIC
  connect_timeout: 1s
""",
    cases=[
        Case("weighted_100", req("/w100", "x-drop: 1"), script=[]),
        Case(
            "weighted_headers_back",
            req("/w100"),
            script=reply("200 OK", "x-up: 1"),
        ),
        Case("weighted_other", req("/w_b")),
        Case("weighted_host_rewrite", req("/w_host")),
        Case("cluster_header", req("/by_header", "x-cluster: b")),
        Case("cluster_header_absent", req("/by_header")),
        Case("cluster_header_empty", req("/by_header", "x-cluster:")),
        Case("cluster_header_unknown", req("/by_header", "x-cluster: zzz")),
        Case("cluster_header_two", req("/by_header", "x-cluster: b", "x-cluster: a")),
        Case("cluster_empty_uh", req("/by_header", "x-cluster: empty")),
        Case("cluster_unknown", req("/unknown")),
        Case("cluster_unknown_post", req("/unknown", method="POST", body=b"xyz")),
        Case("cluster_unknown_404", req("/u404")),
        Case("cluster_unknown_500", req("/u500")),
        *(Case(f"redirect_{k}", req(v)) for k, v in _REDIRECTS.items()),
        Case("redirect_host_keeps_port", req("/r/host/x", host="old.example:8080")),
        Case("redirect_https_host_port", req("/r/https/x", host="old.example:8080")),
        Case("redirect_https_port_80", req("/r/https/x", host="old.example:80")),
        Case("redirect_port_host_port", req("/r/port/x", host="old.example:8080")),
        Case("redirect_http_443", req("/r/path", host="old.example:443")),
        Case("redirect_post_body", req("/r/path", method="POST", body=b"12345")),
        Case("redirect_head", req("/r/path", method="HEAD")),
        Case("redirect_ipv6", req("/r/port/x", host="[::1]:80")),
        Case("redirect_xfp_https", req("/r/path", "x-forwarded-proto: https")),
        Case("direct_body", req("/d/body")),
        Case("direct_head", req("/d/body", method="HEAD")),
        Case("direct_post", req("/d/body", method="POST", body=b"ignored")),
        Case("direct_no_body", req("/d/none")),
        Case("direct_bytes", req("/d/bytes")),
        Case("direct_204", req("/d/204")),
        Case("direct_204_body", req("/d/b204")),
        Case("direct_304", req("/d/304")),
        Case("direct_content_type", req("/d/type")),
        Case("direct_format", req("/d/format", "x-in: 7")),
        Case("direct_599", req("/d/599")),
        Case("direct_post_chunked_unfinished",
             req("/d/body", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n",
             note="answered before the request has ended"),
        Case("non_forwarding", req("/nonforward")),
        Case("no_route", req("/nothing")),
        Case("no_route_post", req("/nothing", method="POST", body=b"x")),
        Case("no_route_options_star", req("*", method="OPTIONS")),
        Case("require_tls_get", req("/a?b=c", host="tls.example"), "tls"),
        Case("require_tls_post", req("/a", method="POST", host="tls.example", body=b"x"), "tls"),
        Case("require_tls_xfp", req("/a", "x-forwarded-proto: https", host="tls.example"), "tls"),
        Case("require_tls_external", req("/a", host="ext.example"), "tls"),
        Case("require_tls_external_internal",
             req("/a", "x-forwarded-for: 10.0.0.1", host="ext.example"), "tls"),
        Case("vhost_without_routes", req("/a", host="empty.example"), "tls"),
    ],
)
