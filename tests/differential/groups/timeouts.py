"""Timeouts: which one, what status, which flag. Durations are never looked at."""

from __future__ import annotations

from tests.differential.model import TO_A, Case, Group, Listener, raw, req, response
from tests.support.client import Pause

_ROUTES = """
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - name: short
    match: {prefix: /short}
    route: {cluster: a, timeout: 0.2s}
  - name: zero
    match: {prefix: /zero}
    route: {cluster: a, timeout: 0s}
  - name: idle
    match: {prefix: /idle}
    route: {cluster: a, timeout: 0s, idle_timeout: 0.2s}
  - name: idle_over
    match: {prefix: /both}
    route: {cluster: a, timeout: 5s, idle_timeout: 0.2s}
  - name: max_duration
    match: {prefix: /maxdur}
    route: {cluster: a, timeout: 0s, max_stream_duration: {max_stream_duration: 0.2s}}
  - name: flush
    match: {prefix: /default}
    route: {cluster: a}
"""
_HANG = raw("hang")
_HALF = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "hang")
_HALF_CHUNKED = raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "hang")
_PART = b"POST /short HTTP/1.1\r\nHost: host.example\r\nContent-Length: 10\r\n\r\nabc"

GROUP = Group(
    name="timeouts",
    listeners={
        "main": Listener(_ROUTES),
        "stream_idle": Listener(TO_A, "stream_idle_timeout: 0.3s"),
        "request": Listener(TO_A, "request_timeout: 0.3s"),
        "request_headers": Listener(TO_A, "request_headers_timeout: 0.3s"),
        "conn_idle": Listener(
            TO_A, "common_http_protocol_options: {idle_timeout: 0.3s}\ndrain_timeout: 0.1s"
        ),
        "max_conn": Listener(
            TO_A,
            "common_http_protocol_options: {max_connection_duration: 0.3s}\ndrain_timeout: 0.1s",
        ),
        "max_stream": Listener(TO_A, "common_http_protocol_options: {max_stream_duration: 0.3s}"),
        "max_requests": Listener(
            TO_A, "common_http_protocol_options: {max_requests_per_connection: 2}"
        ),
        "alt_trust": Listener(_ROUTES, "internal_address_config: {}\nuse_remote_address: true"),
        "internal": Listener(
            _ROUTES,
            "internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}\n"
            "use_remote_address: true",
        ),
    },
    cases=[
        Case("route_504", req("/short"), script=_HANG),
        Case("route_504_head", req("/short", method="HEAD"), script=_HANG),
        Case("route_504_post", req("/short", method="POST", body=b"body"), script=_HANG),
        Case("route_504_upload_unfinished", (_PART, Pause(1.0)), script=_HANG,
             note="the route timer starts only when the request has ended", responses=0,
             settle=0.3),
        Case("route_after_headers_length", req("/short"), script=_HALF),
        Case("route_after_headers_chunked", req("/short"), script=_HALF_CHUNKED),
        Case("route_zero_expected_header", req("/zero")),
        Case("route_in_time", req("/short"), script=raw(0.02, response())),
        Case("header_timeout_external_ignored",
             req("/default", "x-envoy-upstream-rq-timeout-ms: 100"), note="kept or dropped?"),
        Case("header_timeout_internal", req("/default", "x-envoy-upstream-rq-timeout-ms: 200"),
             "internal", script=_HANG),
        Case("header_timeout_internal_alt_response",
             req("/default", "x-envoy-upstream-rq-timeout-ms: 200",
                 "x-envoy-upstream-rq-timeout-alt-response: 1"), "internal", script=_HANG),
        Case("header_timeout_internal_bad", req("/default", "x-envoy-upstream-rq-timeout-ms: abc"),
             "internal"),
        Case("header_timeout_internal_zero", req("/default", "x-envoy-upstream-rq-timeout-ms: 0"),
             "internal"),
        Case("header_per_try_internal",
             req("/default", "x-envoy-upstream-rq-per-try-timeout-ms: 200"), "internal",
             script=_HANG),
        Case("header_expected_internal", req("/default", "x-envoy-expected-rq-timeout-ms: 200"),
             "internal"),
        Case("header_expected_external", req("/default", "x-envoy-expected-rq-timeout-ms: 200")),
        Case("stream_idle_before_response", req("/idle"), script=_HANG),
        Case("stream_idle_before_response_route", req("/both"), script=_HANG),
        Case("stream_idle_mid_response", req("/idle"), script=_HALF),
        Case("stream_idle_mid_upload",
             b"POST /idle HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc", script=_HANG),
        Case("stream_idle_hcm", req("/"), "stream_idle", script=_HANG),
        Case("stream_idle_hcm_partial_head", b"GET / HTTP/1.1\r\nHost: x\r\n", "stream_idle",
             responses=1),
        Case("max_duration_route", req("/maxdur"), script=_HANG),
        Case("max_duration_route_mid", req("/maxdur"), script=_HALF),
        Case("max_duration_hcm", req("/"), "max_stream", script=_HANG),
        Case("request_timeout_upload",
             b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc", "request",
             script=_HANG),
        Case("request_timeout_head", b"GET / HTTP/1.1\r\nHost: h\r\n", "request"),
        Case("request_timeout_not_for_response", req("/"), "request",
             script=raw(0.7, response())),
        Case("request_headers_timeout", b"GET / HTTP/1.1\r\nHost: h\r\n", "request_headers"),
        Case("request_headers_timeout_one_byte", b"G", "request_headers"),
        Case("request_headers_timeout_second",
             req("/") + b"GET /second HTTP/1.1\r\nHost: h\r\n", "request_headers", responses=2),
        Case("conn_idle", (req("/"), Pause(1.0)), "conn_idle"),
        Case("conn_idle_no_request", (Pause(1.0),), "conn_idle", responses=0),
        Case("max_connection_duration", (req("/1"), Pause(0.8), req("/2")), "max_conn",
             responses=1, settle=1.0, ignore=("log*", "upstream*", "responses*"),
             note="only: the connection is closed"),
        Case("max_requests_per_connection", req("/1") + req("/2") + req("/3"), "max_requests",
             responses=2, methods="GET GET GET"),
    ],
)
