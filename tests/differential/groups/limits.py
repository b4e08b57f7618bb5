"""Limits on the head of a request and other small options of the HCM."""

from __future__ import annotations

from tests.differential.model import TO_A, Case, Group, Listener, raw, reply, req, response


def _many(count: int) -> list[str]:
    return [f"x-{i}: 1" for i in range(count)]


_ROUTER = "http_filters: [{name: envoy.filters.http.router, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, %s}}]"
_LOCAL = """
local_reply_config:
  mappers:
  - filter: {status_code_filter: {comparison: {op: EQ, value: {default_value: 404, runtime_key: k}}}}
    status_code: 410
    body: {inline_string: "gone: %REQ(:PATH)%"}
    headers_to_add: [{header: {key: x-mapped, value: "yes"}}]
  body_format: {json_format: {status: "%RESPONSE_CODE%", text: "%LOCAL_REPLY_BODY%", path: "%REQ(:PATH)%"}}
"""
_SOME = """
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - name: gone
    match: {prefix: /refused}
    route: {cluster: refused}
  - name: found
    match: {prefix: /found}
    route: {cluster: a}
  - name: direct
    match: {prefix: /direct}
    direct_response: {status: 404, body: {inline_string: direct}}
"""

GROUP = Group(
    name="limits",
    listeners={
        "main": Listener(TO_A),
        "kb": Listener(TO_A, "max_request_headers_kb: 1"),
        "count": Listener(TO_A, "common_http_protocol_options: {max_headers_count: 10}"),
        "server_append": Listener(TO_A, "server_header_transformation: APPEND_IF_ABSENT"),
        "server_pass": Listener(TO_A, "server_header_transformation: PASS_THROUGH"),
        "server_name": Listener(TO_A, "server_name: mine"),
        "server_pass_local": Listener(_SOME, "server_header_transformation: PASS_THROUGH"),
        "suppress": Listener(TO_A, _ROUTER % "suppress_envoy_headers: true"),
        "strict": Listener(TO_A, _ROUTER % "strict_check_headers: [x-envoy-upstream-rq-timeout-ms]"),
        "no_dynamic": Listener(TO_A, _ROUTER % "dynamic_stats: false"),
        "local_reply": Listener(_SOME, _LOCAL),
        "invalid_messages": Listener(TO_A, "stream_error_on_invalid_http_message: true"),
        "override_invalid": Listener(
            TO_A, "http_protocol_options: {override_stream_error_on_invalid_http_message: true}"
        ),
        "proxy_status": Listener(_SOME, "proxy_status_config: {}"),
    },
    clusters="""
- name: refused
  type: STATIC
  connect_timeout: 1s
  load_assignment:
    cluster_name: refused
    endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${refused}}}}}]}]
""",
    cases=[
        Case("head_50k", req("/", "x-big: " + "a" * 50_000)),
        Case("head_61k", req("/", "x-big: " + "a" * 62_000)),
        Case("head_many_small_61k", req("/", *[f"x-{i}: " + "a" * 900 for i in range(70)])),
        Case("target_8k", req("/" + "a" * 8_000)),
        Case("target_61k", req("/" + "a" * 62_000)),
        Case("name_61k", req("/", "x" * 62_000 + ": 1")),
        Case("line_61k_unfinished", b"GET /" + b"a" * 62_000),
        Case("kb_fits", req("/", "x-big: " + "a" * 800), "kb"),
        Case("kb_over", req("/", "x-big: " + "a" * 1_100), "kb"),
        Case("count_99", req("/", *_many(97))),
        Case("count_100", req("/", *_many(99)), note="100 with Host"),
        Case("count_101", req("/", *_many(100)), note="101 with Host"),
        Case("count_10_fits", req("/", *_many(9)), "count"),
        Case("count_10_over", req("/", *_many(10)), "count"),
        Case("server_overwrite", req(), script=reply("200 OK", "server: up")),
        Case("server_append_absent", req(), "server_append"),
        Case("server_append_present", req(), "server_append", script=reply("200 OK", "server: up")),
        Case("server_pass_absent", req(), "server_pass"),
        Case("server_pass_present", req(), "server_pass", script=reply("200 OK", "server: up")),
        Case("server_pass_local", req("/none"), "server_pass_local"),
        Case("server_name", req(), "server_name"),
        Case("suppress", req(), "suppress"),
        Case("suppress_upstream_sends", req(), "suppress",
             script=reply("200 OK", "x-envoy-upstream-service-time: 5", "x-envoy-foo: 1")),
        Case("strict_bad", req("/", "x-envoy-upstream-rq-timeout-ms: abc"), "strict"),
        Case("no_dynamic_stats", req(), "no_dynamic"),
        Case("local_reply_mapped", req("/none"), "local_reply"),
        Case("local_reply_upstream", req("/refused"), "local_reply"),
        Case("local_reply_not_for_upstream", req("/found"), "local_reply",
             script=reply("404 Not Found")),
        Case("local_reply_direct", req("/direct"), "local_reply"),
        Case("local_reply_bad_request", b"GET / HTTP/1.1\r\n\r\n", "local_reply"),
        Case("invalid_message_open", b"GET / HTTP/1.1\r\n\r\n", "invalid_messages"),
        Case("invalid_message_again", b"GET /1 HTTP/1.1\r\n\r\n" + req("/2"), "invalid_messages", responses=2),
        Case("invalid_message_body", b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "invalid_messages"),
        Case("invalid_message_no_host_override", b"GET / HTTP/1.1\r\n\r\n", "override_invalid"),
        Case("invalid_message_name", b"GET / HTTP/1.1\r\nHost: a\r\nx y: b\r\n\r\n", "invalid_messages"),
        Case("invalid_message_override", b"GET / HTTP/1.1\r\nHost: a\r\nx : b\r\n\r\n",
             "override_invalid"),
        Case("proxy_status_404", req("/none"), "proxy_status"),
        Case("proxy_status_refused", req("/refused"), "proxy_status"),
        Case("proxy_status_ok", req("/found"), "proxy_status"),
        Case("retry_not_configured", req("/"), script=[*raw("reset"), *raw(response())],
             note="one attempt only"),
        Case("retry_header_external_ignored", req("/", "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 3"),
             script=[*raw(response("503 Service Unavailable")), *raw(response())]),
    ],
)
