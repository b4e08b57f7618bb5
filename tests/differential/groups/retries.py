"""Retries: what is tried again, what hosts and clients see of it, and what is given up."""

from __future__ import annotations

from tests.differential.model import Case, Group, Listener, ask, raw, reply, req, response
from tests.support.client import Pause
from tests.support.h2peer import Answer
from tests.support.upstream import Reply

_BACK_OFF = "retry_back_off: {base_interval: 0.002s, max_interval: 0.01s}"
_CONDITIONS = {
    "5xx": "5xx",
    "gateway": "gateway-error",
    "reset": "reset",
    "early": "reset-before-request",
    "connect": "connect-failure",
    "conflict": "retriable-4xx",
    "refused-stream": "refused-stream",
    "limited": "envoy-ratelimited",
    "codes": "retriable-status-codes",
    "headers": "retriable-headers",
    "grpc": "cancelled,deadline-exceeded,resource-exhausted,unavailable,internal",
    "istio": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
}
_MORE = {
    "codes": "retriable_status_codes: [404, 503]",
    "headers": "retriable_headers: [{name: x-again}, "
    '{name: ":status", string_match: {exact: "418"}}]',
    "istio": "retriable_status_codes: [503], num_retries: 2, "
    "host_selection_retry_max_attempts: 5",
}


def _routes() -> str:
    text = """
virtual_hosts:
- name: of_host
  domains: [of-host]
  retry_policy: {retry_on: 5xx, BACK_OFF}
  include_request_attempt_count: true
  include_attempt_count_in_response: true
  include_is_timeout_retry_header: true
  routes:
  - {name: own, match: {prefix: /own}, route: {cluster: a, timeout: 0s, retry_policy: {retry_on: reset}}}
  - {name: refused, match: {prefix: /refused}, route: {cluster: refused, timeout: 0s}}
  - {name: small, match: {prefix: /small}, request_body_buffer_limit: 3, route: {cluster: a, timeout: 0s}}
  - {name: rest, match: {prefix: /}, route: {cluster: a, timeout: 0s}}
- name: all
  domains: ["*"]
  include_request_attempt_count: true
  routes:
""".replace("BACK_OFF", _BACK_OFF)
    for name, on in _CONDITIONS.items():
        more = f", {_MORE[name]}" if name in _MORE else ""
        policy = f"{{retry_on: '{on}', {_BACK_OFF}{more}}}"
        text += (
            f"  - {{name: {name}, match: {{prefix: /{name}/refused}}, "
            f"route: {{cluster: refused, timeout: 0s, retry_policy: {policy}}}}}\n"
            f"  - {{name: {name}, match: {{prefix: /{name}/h2}}, "
            f"route: {{cluster: h2, timeout: 0s, retry_policy: {policy}}}}}\n"
            f"  - {{name: {name}, match: {{prefix: /{name}}}, "
            f"route: {{cluster: a, timeout: 0s, retry_policy: {policy}}}}}\n"
        )
    for name, policy in {
        "none": "retry_on: 5xx, num_retries: 0",
        "three": f"retry_on: 5xx, num_retries: 3, {_BACK_OFF}",
        "try": f"retry_on: 5xx, per_try_timeout: 0.15s, {_BACK_OFF}",
        "tryconnect": f"retry_on: connect-failure, per_try_timeout: 0.15s, {_BACK_OFF}",
        "idle": f"retry_on: 5xx, per_try_idle_timeout: 0.15s, {_BACK_OFF}",
        "asked": f"retry_on: 5xx, {_BACK_OFF}, retriable_request_headers: "
        "[{name: x-please, string_match: {exact: 'yes'}}]",
    }.items():
        text += (
            f"  - {{name: {name}, match: {{prefix: /{name}/}}, "
            f"route: {{cluster: a, timeout: 0s, retry_policy: {{{policy}}}}}}}\n"
        )
    text += f"""
  - name: global
    match: {{prefix: /global/}}
    route: {{cluster: a, timeout: 0.2s, retry_policy: {{retry_on: 5xx, num_retries: 5, {_BACK_OFF}}}}}
  - name: waiting
    match: {{prefix: /waiting/}}
    route:
      cluster: a
      timeout: 0.2s
      retry_policy: {{retry_on: 5xx, rate_limited_retry_back_off: {{reset_headers: [{{name: retry-after}}]}}}}
  - name: no_retries
    match: {{prefix: /no_retries/}}
    route: {{cluster: no_retries, timeout: 0s, retry_policy: {{retry_on: 5xx, {_BACK_OFF}}}}}
  - name: budget
    match: {{prefix: /budget/}}
    route: {{cluster: budget, timeout: 0s, retry_policy: {{retry_on: 5xx, {_BACK_OFF}}}}}
  - name: pair
    match: {{prefix: /pair/}}
    route:
      cluster: pair
      timeout: 0s
      retry_policy:
        retry_on: 5xx
        {_BACK_OFF}
        host_selection_retry_max_attempts: 5
        retry_host_predicate:
        - name: envoy.retry_host_predicates.previous_hosts
          typed_config: {{"@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}
  - name: limit
    match: {{prefix: /limit/}}
    per_request_buffer_limit_bytes: 10
    route: {{cluster: a, timeout: 0s, retry_policy: {{retry_on: 5xx, {_BACK_OFF}}}}}
  - {{name: rest, match: {{prefix: /}}, route: {{cluster: a, timeout: 0s}}}}
"""
    return text


def _cluster(name: str, ports: str, more: str = "") -> str:
    endpoints = ", ".join(
        f"{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}"
        for port in ports.split()
    )
    return f"""
- name: {name}
  type: STATIC
  connect_timeout: 1s
  load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{endpoints}]}}]}}
{more}
"""


_CLUSTERS = (
    _cluster("refused", "${refused}")
    + _cluster("pair", "${a} ${b}")
    + _cluster("no_retries", "${a}", "  circuit_breakers: {thresholds: [{max_retries: 0}]}")
    + _cluster(
        "budget",
        "${a}",
        "  circuit_breakers: {thresholds: [{retry_budget: {min_retry_concurrency: 0, "
        "budget_percent: {value: 100}}}]}",
    )
)
_503 = reply("503 Service Unavailable", body=b"busy")
_503_BARE = reply("503 Service Unavailable", body=b"")
_OK = reply()
_RESET = [Reply(("reset",))]
_CLOSE = [Reply(("close",))]
_HANG = raw("hang")
_LIMITED = reply("503 Service Unavailable", "x-envoy-ratelimited: true")


def _grpc(code: int) -> list[Reply]:
    return reply("200 OK", "content-type: application/grpc", f"grpc-status: {code}", body=b"")


_CHUNKED = (
    b"POST /5xx HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)
_HALF = b"POST /5xx HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabcde"
_H2_503 = Answer(([(":status", "503")], b"busy"))
_LOG = (
    "%RESPONSE_CODE%\t%RESPONSE_FLAGS%\t%RESPONSE_CODE_DETAILS%\t"
    "%UPSTREAM_REQUEST_ATTEMPT_COUNT%\t%ROUTE_NAME%\t%UPSTREAM_CLUSTER%\t%UPSTREAM_HOST%\t"
    "%BYTES_RECEIVED%\t%BYTES_SENT%\n"
)
_INTERNAL = (
    "internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}\n"
    "use_remote_address: true"
)

GROUP = Group(
    name="retries",
    listeners={
        "main": Listener(_routes(), log=_LOG),
        "internal": Listener(_routes(), _INTERNAL, log=_LOG),
        "h2": Listener(_routes(), "codec_type: HTTP2", log=_LOG),
    },
    clusters=_CLUSTERS,
    http2=("h2",),
    cases=[
        *(Case(f"{name}_503", req(f"/{name}"), script=_503 + _OK) for name in _CONDITIONS),
        *(Case(f"{name}_reset", req(f"/{name}"), script=_RESET + _OK) for name in _CONDITIONS),
        *(Case(f"{name}_refused", req(f"/{name}/refused")) for name in _CONDITIONS),
        Case("500", req("/5xx"), script=reply("500 Internal Server Error") + _OK),
        Case("500_is_no_gateway", req("/gateway"), script=reply("500 Internal Server Error")),
        Case("504_is_gateway", req("/gateway"), script=reply("504 Gateway Timeout") + _OK),
        Case("409", req("/conflict"), script=reply("409 Conflict") + _OK),
        Case("404_of_codes", req("/codes"), script=reply("404 Not Found") + _OK),
        Case("header", req("/headers"), script=reply("200 OK", "x-again: 1", body=b"no") + _OK),
        Case("status_as_header", req("/headers"), script=reply("418 Teapot") + _OK),
        Case("limited_by_5xx", req("/5xx"), script=_LIMITED + _OK),
        Case("limited", req("/limited"), script=_LIMITED + _OK),
        *(Case(f"grpc_{code}", req("/grpc"), script=_grpc(code) + _OK)
          for code in (0, 1, 2, 4, 8, 13, 14)),
        Case("closed_without_a_word", req("/reset"), script=_CLOSE + _OK),
        Case("half_a_head", req("/reset"), script=raw(b"HTTP/1.1 200 O", "close") + _OK),
        Case("garbage", req("/reset"), script=raw(b"hello\r\n\r\n") + _OK),
        Case("after_the_head", req("/reset"),
             script=raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", "reset")),
        Case("twice_503", req("/5xx"), script=_503 + _503),
        Case("twice_bare_503", req("/5xx"), script=_503_BARE + _503_BARE),
        Case("twice_reset", req("/5xx"), script=_RESET + _RESET),
        Case("none", req("/none/"), script=_503),
        Case("three", req("/three/"), script=_503 + _RESET + _503_BARE + _OK),
        Case("three_are_not_enough", req("/three/"), script=_503 * 4),
        Case("head", req("/5xx", method="HEAD"),
             script=raw(b"HTTP/1.1 503 x\r\ncontent-length: 4\r\n\r\n") * 2),
        Case("body", req("/5xx", method="POST", body=b"hello"), script=_503 + _OK),
        Case("body_reset", req("/5xx", method="POST", body=b"hello"), script=_RESET + _OK),
        Case("body_chunked", _CHUNKED, script=_503 + _OK),
        Case("body_early_answer", (_HALF, Pause(0.2), b"fghij"),
             script=[Reply((response("503 Busy", body=b""),), "head"), *_OK]),
        Case("body_on_its_way", (_HALF, Pause(0.2), b"fghij"),
             script=[Reply(("reset",), "head"), *_OK]),
        Case("body_over_the_limit", req("/limit/", method="POST", body=b"hello world"),
             script=_503 + _OK),
        Case("body_at_the_limit", req("/limit/", method="POST", body=b"0123456789"),
             script=_503 + _OK),
        Case("body_over_request_body_buffer_limit",
             req("/small", method="POST", body=b"1234", host="of-host"), script=_503 + _OK),
        Case("of_host", req("/", host="of-host"), script=_503 + _OK),
        Case("of_host_local_reply", req("/refused", host="of-host")),
        Case("own_instead_of_hosts", req("/own", host="of-host"), script=_503),
        Case("per_try", req("/try/"), script=_HANG + _OK),
        Case("per_try_twice", req("/try/"), script=_HANG + _HANG),
        Case("per_try_not_retriable", req("/tryconnect/"), script=_HANG),
        Case("per_try_after_the_head", req("/try/"),
             script=raw(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na", 0.3, b"bc")),
        Case("per_try_idle", req("/idle/"), script=_HANG + _OK),
        Case("per_try_idle_in_the_body", req("/idle/"),
             script=raw(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na", "hang")),
        Case("global", req("/global/"), script=_503 + _HANG, ignore=("upstream*",)),
        Case("global_while_waiting", req("/waiting/"), ignore=("upstream*",),
             script=reply("503 Service Unavailable", "retry-after: 60")),
        Case("asks_for_too_much", req("/waiting/"), ignore=("upstream*",),
             script=reply("503 Service Unavailable", "retry-after: 600") + _OK),
        Case("asked", req("/asked/", "x-please: yes"), script=_503 + _OK),
        Case("not_asked", req("/asked/"), script=_503),
        Case("no_retries", req("/no_retries/"), script=_503),
        Case("budget_without_requests", req("/budget/"), script=_503),
        # Which of the two comes first is chance.
        Case("another_host", req("/pair/"), script={"a": _503, "b": _503},
             ignore=("log*", "upstream.*.headers")),
        Case("external_cannot_ask", req("/rest", "x-envoy-retry-on: 5xx"), script=_503),
        Case("header_retry_on", req("/rest", "x-envoy-retry-on: 5xx, foo"), "internal",
             script=_503 + _OK),
        Case("header_max_retries",
             req("/rest", "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 2"), "internal",
             script=_503 + _503 + _OK),
        Case("header_max_retries_of_policy", req("/5xx", "x-envoy-max-retries: 0"), "internal",
             script=_503),
        Case("header_grpc_on", req("/rest", "x-envoy-retry-grpc-on: unavailable"), "internal",
             script=_grpc(14) + _OK),
        Case("header_codes",
             req("/rest", "x-envoy-retry-on: retriable-status-codes",
                 "x-envoy-retriable-status-codes: 404,418"), "internal",
             script=reply("418 Teapot") + _OK),
        Case("header_names",
             req("/rest", "x-envoy-retry-on: retriable-headers",
                 "x-envoy-retriable-header-names: X-Again, x-b"), "internal",
             script=reply("200 OK", "x-again: 1", body=b"no") + _OK),
        Case("header_per_try",
             req("/rest", "x-envoy-retry-on: 5xx", "x-envoy-upstream-rq-per-try-timeout-ms: 150"),
             "internal", script=_HANG + _OK),
        Case("http2_503", req("/5xx/h2"), script={"h2": [_H2_503, Answer()]}),
        Case("http2_body", req("/5xx/h2", method="POST", body=b"hello"),
             script={"h2": [_H2_503, Answer()]}),
        Case("http2_chunked", _CHUNKED.replace(b"/5xx", b"/5xx/h2"),
             script={"h2": [_H2_503, Answer()]}),
        Case("http2_refused", req("/refused-stream/h2"),
             script={"h2": [Answer((("reset", 7),)), Answer()]}),
        Case("http2_reset", req("/refused-stream/h2"), script={"h2": [Answer((("reset", 2),))]}),
        Case("http2_reset_retried", req("/reset/h2"), script={"h2": [Answer((("reset", 2),)), Answer()]}),
        Case("client2_503", ask("/5xx"), "h2", script=_503 + _OK),
        Case("client2_body", ask("/5xx", method="POST", body=b"hello"), "h2", script=_503 + _OK),
        Case("client2_trailers",
             ask("/5xx/h2", method="POST", body=b"hello", trailers=[("x-end", "1")]), "h2",
             script={"h2": [_H2_503, Answer()]}),
        Case("client2_trailers_alone",
             ask("/5xx/h2", method="POST", trailers=[("x-end", "1")]), "h2",
             script={"h2": [_H2_503, Answer()]}),
    ],
)
