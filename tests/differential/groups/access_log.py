"""Access log: the default format, JSON, operators, filters."""

from __future__ import annotations

from tests.differential.model import TO_A, Case, Group, Listener, raw, reply, req, response

_DEFAULT = """[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %REQ(X-FORWARDED-FOR)% "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"
"""
_OPERATORS = [
    "%PROTOCOL%", "%RESPONSE_CODE%", "%RESPONSE_CODE_DETAILS%", "%RESPONSE_FLAGS%",
    "%RESPONSE_FLAGS_LONG%", "%BYTES_RECEIVED%", "%BYTES_SENT%", "%REQ(X-A)%", "%REQ(X-A):3%",
    "%REQ(X-NONE?X-A)%", "%REQ(X-NONE)%", "%RESP(X-UP)%", "%RESP(content-type)%", "%TRAILER(x)%",
    "%REQUEST_HEADERS_BYTES%", "%ROUTE_NAME%", "%UPSTREAM_CLUSTER%", "%UPSTREAM_CLUSTER_RAW%",
    "%UPSTREAM_HOST%", "%UPSTREAM_REMOTE_ADDRESS%", "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "%UPSTREAM_REMOTE_PORT%", "%UPSTREAM_PROTOCOL%", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "%DOWNSTREAM_LOCAL_ADDRESS%", "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
    "%DOWNSTREAM_LOCAL_PORT%", "%REQUESTED_SERVER_NAME%", "%FILTER_CHAIN_NAME%",
    "%VIRTUAL_CLUSTER_NAME%", "%GRPC_STATUS%", "%ACCESS_LOG_TYPE%",
    "%PATH%", "%PATH(NQ)%", "%QUERY_PARAM(q)%", "%CONNECTION_TERMINATION_DETAILS%",
    "%ENVIRONMENT(NOPE)%",
    "%RESPONSE_TRAILERS_BYTES%", "%UPSTREAM_WIRE_BYTES_SENT%", "%UPSTREAM_WIRE_BYTES_RECEIVED%",
    "%UPSTREAM_HEADER_BYTES_SENT%", "%UPSTREAM_HEADER_BYTES_RECEIVED%",
    "%DOWNSTREAM_WIRE_BYTES_SENT%", "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
    "%DOWNSTREAM_HEADER_BYTES_SENT%", "%DOWNSTREAM_HEADER_BYTES_RECEIVED%",
    "%RESPONSE_HEADERS_BYTES%", "%DOWNSTREAM_TLS_VERSION%", "%STREAM_ID%", "%TRACE_ID%",
    "%%",
]
# Each on a listener of its own: they are rare, and one that is refused must not hide the others.
_RARE = {
    "LOCAL_REPLY_BODY": "%LOCAL_REPLY_BODY%",
    "DYNAMIC_METADATA": "%DYNAMIC_METADATA(a)%",
    "FILTER_STATE": "%FILTER_STATE(a)%",
    "METADATA": "%METADATA(ROUTE:a:b)%",
    "UPSTREAM_HOSTS_ATTEMPTED": "%UPSTREAM_HOSTS_ATTEMPTED%",
}
# Byte counts of whole messages depend on the digits of ports and times.
_VOLATILE = ("WIRE_BYTES", "HEADER_BYTES", "HEADERS_BYTES", "STREAM_ID")
_OPERATORS = [o for o in _OPERATORS if not any(v in o for v in _VOLATILE)]
_ALL = "\t".join(o.strip("%").split("(")[0] + "=" + o for o in _OPERATORS) + "\n"

_FILE = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"


def _logger(format_yaml: str, filter_yaml: str = "") -> str:
    filter_line = f"  filter: {filter_yaml}\n" if filter_yaml else ""
    return (
        "access_log:\n- name: envoy.access_loggers.file\n" + filter_line
        + f"  typed_config: {{'@type': {_FILE}, path: $LOG, {format_yaml}}}\n"
    )


_PLAIN = 'log_format: {text_format_source: {inline_string: "%RESPONSE_CODE% %REQ(:PATH)%\\n"}}'
_ROUTES = TO_A + """
  - name: never
    match: {prefix: /never}
    route: {cluster: a}
"""

GROUP = Group(
    name="access_log",
    listeners={
        "default": Listener(TO_A, log=_DEFAULT),
        "built_in": Listener(
            TO_A,
            "access_log:\n- name: x\n"
            f"  typed_config: {{'@type': {_FILE}, path: $LOG}}\n",
            log="built-in",
        ),
        "operators": Listener(TO_A, log=_ALL),
        **{f"rare_{k}": Listener(TO_A, log=v + "\n") for k, v in _RARE.items()},
        "json": Listener(
            TO_A,
            _logger("log_format: {json_format: {code: '%RESPONSE_CODE%', mixed: 'c%RESPONSE_CODE%', missing: '%REQ(x-none)%', "
                    "bytes: '%BYTES_SENT%', text: plain, nested: {path: '%REQ(:PATH)%', flag: '%RESPONSE_FLAGS%'}, "
                    "quote: '%REQ(x-a)%', number: 5, truth: true, nothing: '-', list: ['%PROTOCOL%', 1]}}"),
            log="json",
        ),
        "json_omit": Listener(
            TO_A,
            _logger("log_format: {omit_empty_values: true, json_format: {code: '%RESPONSE_CODE%', missing: '%REQ(x-none)%'}}"),
            log="json",
        ),
        "text_omit": Listener(
            TO_A,
            _logger("log_format: {omit_empty_values: true, text_format_source: {inline_string: \"a=%REQ(x-none)% b=%RESPONSE_CODE% c=%UPSTREAM_TRANSPORT_FAILURE_REASON%\\n\"}}"),
            log="text",
        ),
        "old_format": Listener(TO_A, _logger("format: \"old %RESPONSE_CODE%\\n\""), log="text"),
        "no_newline": Listener(
            TO_A,
            _logger("log_format: {text_format_source: {inline_string: \"<%RESPONSE_CODE%>\\n\"}}"),
            log="text",
        ),
        "status": Listener(
            TO_A,
            _logger(_PLAIN, "{status_code_filter: {comparison: {op: GE, value: {default_value: 400, runtime_key: x}}}}"),
            log="text",
        ),
        "not_health": Listener(TO_A, _logger(_PLAIN, "{not_health_check_filter: {}}"), log="text"),
        "header": Listener(
            TO_A,
            _logger(_PLAIN, "{header_filter: {header: {name: x-log, string_match: {exact: 'yes'}}}}"),
            log="text",
        ),
        "flags": Listener(
            TO_A, _logger(_PLAIN, "{response_flag_filter: {flags: [UC, UF]}}"), log="text"
        ),
        "and_or": Listener(
            TO_A,
            _logger(_PLAIN, "{or_filter: {filters: [{header_filter: {header: {name: x-log, present_match: true}}}, "
                    "{and_filter: {filters: [{response_flag_filter: {}}, "
                    "{status_code_filter: {comparison: {op: EQ, value: {default_value: 503, runtime_key: x}}}}]}}]}}"),
            log="text",
        ),
        "duration": Listener(
            TO_A,
            _logger(_PLAIN, "{duration_filter: {comparison: {op: GE, value: {default_value: 0, runtime_key: x}}}}"),
            log="text",
        ),
        "runtime0": Listener(
            TO_A,
            _logger(_PLAIN, "{runtime_filter: {runtime_key: k, percent_sampled: {numerator: 0}}}"),
            log="text",
        ),
    },
    cases=[
        Case("default", req("/p?q", "user-agent: t", "x-forwarded-for: 1.2.3.4",
                            "x-request-id: 11111111-2222-4333-8444-555555555555"), "default"),
        Case("default_missing", req(), "default"),
        Case("default_bad_request", b"GET / HTTP/1.1\r\n\r\n", "default"),
        Case("default_post", req("/", method="POST", body=b"hello"), "default"),
        Case("built_in", req("/p?q", "user-agent: t", "x-forwarded-for: 1.2.3.4"), "built_in"),
        Case("built_in_local", b"GET / HTTP/1.1\r\n\r\n", "built_in"),
        Case("built_in_reset", req(), "built_in", script=raw("reset")),
        Case("operators", req("/p?q=1&r=2", "x-a: hello"), "operators",
             script=reply("201 Created", "x-up: u", "content-type: text/plain")),
        Case("operators_none", req("/"), "operators"),
        Case("operators_reset", req("/"), "operators", script=raw("reset")),
        Case("operators_bad_request", b"GET / HTTP/1.1\r\n\r\n", "operators"),
        *(Case(f"rare_{k}", req(), f"rare_{k}", script=raw("reset")) for k in _RARE),
        Case("json", req("/p", 'x-a: say "hi" \\ \t é'), "json"),
        Case("json_local", req("/p"), "json", script=raw("reset")),
        Case("json_omit", req(), "json_omit"),
        Case("text_omit", req(), "text_omit"),
        Case("old_format", req(), "old_format"),
        Case("no_newline", req(), "no_newline"),
        Case("status_below", req(), "status"),
        Case("status_above", req(), "status", script=raw(response("404 Not Found"))),
        Case("not_health", req(), "not_health"),
        Case("header_yes", req("/", "x-log: yes"), "header"),
        Case("header_no", req(), "header"),
        Case("flag_yes", req(), "flags", script=raw("reset")),
        Case("flag_no", req(), "flags"),
        Case("or_header", req("/", "x-log: 1"), "and_or"),
        Case("or_and", req("/"), "and_or", script=raw("reset")),
        Case("or_none", req("/"), "and_or"),
        Case("duration", req(), "duration"),
        Case("runtime_never", req(), "runtime0"),
        Case("value_with_control", req("/", "x-a: a\tb"), "operators"),
    ],
)
