"""What both proxies are asked with `ext_authz` before them: a filter each, and what the authorization
server says."""

from __future__ import annotations

import grpc

from tests.differential.ext_authz import Case, Scene, denied, get, header, http, ok, post

_BODY = "with_request_body: {max_request_bytes: 8"
_SERVER = "{server_uri: {uri: 'http://authz.test/x', cluster: authz_http, timeout: 10s}"
_ALL = "patterns: [{safe_regex: {regex: '.*'}}]"


def routes(*said: str) -> str:
    """Routes `/r0`, `/r1`, … with what each says of the filter, and one for the rest."""
    each = [
        f"{{name: r{n}, match: {{prefix: /r{n}}}, route: {{cluster: up}},"
        f" typed_per_filter_config: {{envoy.filters.http.ext_authz: {text}}}}}"
        for n, text in enumerate(said)
    ]
    return f"[{', '.join([*each, '{name: rest, match: {prefix: /}, route: {cluster: up}}'])}]"


def tried(name: str, *said: str) -> tuple[Case, ...]:
    """A case per answer."""
    return tuple(Case(f"{name}_{n}", each) for n, each in enumerate(said))


_CHANGES = (
    Case(
        "overwrite",
        ok(f"headers: [{header('x-user', 'anna', 'append: false')}]"),
        get("x-user: liar\r\n"),
    ),
    Case(
        "append",
        ok(f"headers: [{header('x-user', 'anna', 'append: true')}]"),
        get("x-user: liar\r\n"),
    ),
    Case("append_absent", ok(f"headers: [{header('x-user', 'anna', 'append: true')}]")),
    Case("default", ok(f"headers: [{header('x-user', 'anna')}]"), get("x-user: liar\r\n")),
    Case("default_absent", ok(f"headers: [{header('x-user', 'anna')}]")),
    *(
        Case(
            f"{action.lower()}_{there}",
            ok(f"headers: [{header('x-user', 'anna', f'append_action: {action}')}]"),
            get("x-user: liar\r\n" if there else ""),
        )
        for action in (
            "APPEND_IF_EXISTS_OR_ADD",
            "ADD_IF_ABSENT",
            "OVERWRITE_IF_EXISTS_OR_ADD",
            "OVERWRITE_IF_EXISTS",
        )
        for there in (True, False)
    ),
    Case("twice", ok(f"headers: [{header('x-user', 'a')}, {header('x-user', 'b')}]")),
    Case(
        "twice_there",
        ok(f"headers: [{header('x-user', 'a')}, {header('x-user', 'b')}]"),
        get("x-user: c\r\nx-user: d\r\n"),
    ),
    Case("empty_value", ok(f"headers: [{header('x-user', '')}]"), get("x-user: c\r\n")),
    Case(
        "upper", ok(f"headers: [{header('X-User', 'anna', 'append: false')}]"), get("x-user: c\r\n")
    ),
    Case("raw", ok("headers: [{header: {key: x-user, raw_value: YW5uYQ==}, append: false}]")),
    Case("remove", ok("headers_to_remove: [x-user, x-none]"), get("x-user: c\r\nx-other: d\r\n")),
    Case("remove_host", ok("headers_to_remove: [host, ':path', ':authority']")),
    Case("set_host", ok(f"headers: [{header('host', 'other.test', 'append: false')}]")),
    Case("set_authority", ok(f"headers: [{header(':authority', 'other.test', 'append: false')}]")),
    Case("set_path", ok(f"headers: [{header(':path', '/other', 'append: false')}]")),
    Case("set_method", ok(f"headers: [{header(':method', 'PUT', 'append: false')}]")),
    Case("default_path", ok(f"headers: [{header(':path', '/other')}]")),
    Case("to_client", ok(f"response_headers_to_add: [{header('x-seen', 'by authz')}]")),
    Case(
        "to_client_all",
        ok(
            "response_headers_to_add: ["
            f"{header('x-add', '2', 'append: true')}, {header('x-set', '2', 'append: false')},"
            f"{header('x-set-there', '2', 'append_action: OVERWRITE_IF_EXISTS')},"
            f"{header('x-set-not', '2', 'append_action: OVERWRITE_IF_EXISTS')},"
            f"{header('x-absent-there', '2', 'append_action: ADD_IF_ABSENT')},"
            f"{header('x-absent', '2', 'append_action: ADD_IF_ABSENT')}]"
        ),
        reply=http("200 OK", "x-add: 1", "x-set: 1", "x-set-there: 1", "x-absent-there: 1"),
    ),
    Case("query_set", ok("query_parameters_to_set: [{key: k, value: v}, {key: a, value: z}]")),
    Case("query_remove", ok("query_parameters_to_remove: [b, none]")),
    Case(
        "query_both",
        ok("query_parameters_to_set: [{key: b, value: v}], query_parameters_to_remove: [b, z]"),
        get(path="/a?z=1&b=2&b=3&k"),
    ),
    Case("nothing_said", "{}"),
)
_REFUSALS = (
    Case("plain", denied()),
    Case("nothing_said", "{status: {code: 7}}"),
    Case("other_code", "{status: {code: 16}}"),
    Case("no_code", denied(code=0)),
    Case(
        "ok_response", "{status: {code: 7}, ok_response: {headers: [{header: {key: a, value: b}}]}}"
    ),
    Case("status", denied("status: {code: 401}")),
    Case(
        "redirect",
        denied(f"status: {{code: 302}}, headers: [{header('location', 'https://login.test/')}]"),
    ),
    Case("body", denied("status: {code: 403}, body: 'go away'")),
    Case(
        "head",
        denied("status: {code: 403}, body: 'go away'"),
        b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
    ),
    Case(
        "headers",
        denied(
            f"headers: [{header('x-a', '1')}, {header('x-a', '2')}, {header('set-cookie', 'a=b', 'append: true')}, {header('set-cookie', 'c=d', 'append: true')}]"
        ),
    ),
    Case(
        "content_type",
        denied(f"body: '{{}}', headers: [{header('content-type', 'application/json')}]"),
    ),
    Case(
        "content_type_append",
        denied(
            f"body: '{{}}', headers: [{header('content-type', 'application/json', 'append: true')}]"
        ),
    ),
    Case(
        "content_length",
        denied(f"body: 'abc', headers: [{header('content-length', '1', 'append: false')}]"),
    ),
    Case(
        "overwrites",
        denied(f"headers: [{header('x-a', '1')}, {header('x-a', '2', 'append: false')}]"),
    ),
    Case(
        "if_absent",
        denied(
            f"headers: [{header('x-a', '1')}, {header('x-a', '2', 'append_action: ADD_IF_ABSENT')}]"
        ),
    ),
    Case(
        "if_exists",
        denied(f"headers: [{header('x-a', '1', 'append_action: OVERWRITE_IF_EXISTS')}]"),
    ),
    Case("with_body", denied("status: {code: 429}"), post(b"hello")),
    Case(
        "grpc_client",
        denied("body: 'no'"),
        get("content-type: application/grpc\r\nte: trailers\r\n"),
    ),
    Case(
        "grpc_client_401", denied("status: {code: 401}"), get("content-type: application/grpc\r\n")
    ),
)
_METADATA = "{text: hi, tree: {a: {b: [1, true, null, 1.5]}}}"
_TELLS = (
    Case("ok", f"{{dynamic_metadata: {_METADATA}}}"),
    Case("ok_older", ok(f"dynamic_metadata: {_METADATA}")),
    Case("ok_both", ok("dynamic_metadata: {text: older}", "dynamic_metadata: {text: newer}")),
    Case("denied", denied(more=f"dynamic_metadata: {_METADATA}")),
)
_FAILURES = (
    Case("unavailable", grpc.StatusCode.UNAVAILABLE),
    Case("denied", grpc.StatusCode.PERMISSION_DENIED),
    Case("nonsense", b"\xff\xff\xff"),
    Case(
        "error_headers",
        "{status: {code: 14}, error_response: {headers: [{header: {key: x-a, value: b}}]}}",
    ),
    Case(
        "error_response", "{status: {code: 14}, error_response: {status: {code: 503}, body: down}}"
    ),
)
_HTTP_OK = Case("ok", http("200 OK"))
_HTTP_NO = Case("no", http("403 Forbidden", "x-why: because", body="no"))
_RBAC_SHADOW = (
    "{rbac.v3.RBAC: {shadow_rules_stat_prefix: 'dry_', shadow_rules: {action: ALLOW, policies:"
    " {p: {permissions: [{any: true}], principals: [{any: true}]}}}}}"
)
_RBAC_SAID = (
    "{rbac.v3.RBAC: {rules: {action: ALLOW, policies: {p: {principals: [{any: true}], permissions:"
    " [{metadata: {filter: envoy.filters.http.ext_authz, path: [{key: tree}, {key: a}, {key: b}],"
    " value: {list_match: {one_of: {double_match: {exact: 1.5}}}}}}]}}}}}"
)

SCENES = [
    # -- what it is asked --
    Scene(
        "asked",
        "{}",
        (
            Case("get", request=get("x-a: 1\r\nx-a: 2\r\ncookie: a=b\r\nuser-agent: t\r\n")),
            Case("post", request=post(b"hello")),
            Case("http10", request=b"GET /a HTTP/1.0\r\nhost: a\r\n\r\n"),
            Case("h2", request=get("x-a: 1\r\nx-a: 2\r\n"), is_h2=True),
            Case("h2_cookies", request=get("cookie: a=b\r\ncookie: c=d\r\n"), is_h2=True),
            Case("not_text", request=get("x-a: \xff\xfe\r\n").decode().encode("latin-1")),
            Case("service", request=get("x-envoy-downstream-service-cluster: web\r\n")),
            Case("fragment", request=get(path="/a%20b?c=d%26")),
            Case("absolute", request=b"GET http://b.test/x HTTP/1.1\r\nhost: c.test\r\n\r\n"),
            Case(
                "forwarded", request=get("x-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: https\r\n")
            ),
            Case("said_partial", request=get("x-envoy-auth-partial-body: true\r\n")),
            Case("options", request=b"OPTIONS * HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ),
    ),
    Scene(
        "trusts_xff",
        "{}",
        (Case("xff", request=get("x-forwarded-for: 1.2.3.4, 5.6.7.8\r\n")),),
        more="{use_remote_address: false, xff_num_trusted_hops: 0}",
    ),
    Scene(
        "edge",
        "{}",
        (
            Case(
                "xff",
                request=get(
                    "x-forwarded-for: 1.2.3.4\r\nx-envoy-downstream-service-cluster: web\r\n"
                ),
            ),
        ),
        more="{use_remote_address: true}",
    ),
    Scene(
        "raw_headers",
        "{encode_raw_headers: true}",
        (
            Case("lines", request=get("x-a: 1\r\nx-a: 2\r\n")),
            Case("not_text", request=get("x-a: \xff\xfe\r\n").decode().encode("latin-1")),
        ),
    ),
    Scene(
        "allowed",
        "{allowed_headers: {patterns: [{exact: x-a}, {prefix: x-b, ignore_case: true}]}}",
        (Case("ok", request=get("x-a: 1\r\nX-B1: 2\r\nx-c: 3\r\nauthorization: x\r\n")),),
    ),
    Scene(
        "disallowed",
        "{disallowed_headers: {patterns: [{exact: x-a}, {exact: ':path'}]}}",
        (Case("ok", request=get("x-a: 1\r\nx-b: 2\r\n")),),
    ),
    Scene(
        "both_lists",
        "{allowed_headers: {patterns: [{prefix: x-}]}, disallowed_headers: {patterns: [{exact: x-a}]}}",
        (Case("ok", request=get("x-a: 1\r\nx-b: 2\r\n")),),
    ),
    Scene(
        "certificate", "{include_peer_certificate: true, include_tls_session: true}", is_tls=True
    ),
    Scene("tls", "{include_tls_session: true}", is_tls=True),
    Scene("plain_session", "{include_tls_session: true, include_peer_certificate: true}"),
    Scene(
        "context",
        "{metadata_context_namespaces: [envoy.filters.http.rbac, none]}",
        before=_RBAC_SHADOW,
    ),
    Scene(
        "initial_metadata",
        "{}",
        grpc="{envoy_grpc: {cluster_name: authz, authority: authz.test}, timeout: 10s, initial_metadata: [{key: x-a, value: b}]}",
    ),
    Scene(
        "plain_call",
        "{}",
        grpc="{envoy_grpc: {cluster_name: authz, skip_envoy_headers: true}, timeout: 10s}",
    ),
    Scene("no_timeout", "{}", grpc="{envoy_grpc: {cluster_name: authz}, timeout: 0s}"),
    Scene(
        "default_timeout",
        "{}",
        (Case("hangs", hang=True),),
        grpc="{envoy_grpc: {cluster_name: authz}}",
    ),
    # -- permissions --
    Scene("changes", "{}", _CHANGES),
    Scene("validated", "{validate_mutations: true}", _CHANGES),
    Scene(
        "ruled",
        "{decoder_header_mutation_rules: {allow_envoy: true, disallow_expression: {regex: x-no.*}}}",
        (
            *_CHANGES,
            Case("envoys", ok(f"headers: [{header('x-envoy-a', '1')}]")),
            Case("disallowed", ok(f"headers: [{header('x-no', '1')}, {header('x-yes', '1')}]")),
            Case(
                "disallowed_remove",
                ok("headers_to_remove: [x-no, x-yes]"),
                get("x-no: 1\r\nx-yes: 1\r\n"),
            ),
        ),
    ),
    Scene(
        "ruled_strictly",
        "{decoder_header_mutation_rules: {disallow_is_error: {value: true}}}",
        (
            Case("envoys", ok(f"headers: [{header('x-envoy-a', '1')}]")),
            Case("remove_envoys", ok("headers_to_remove: [x-envoy-a]"), get("x-envoy-a: 1\r\n")),
            Case("host", ok(f"headers: [{header('host', 'b')}]")),
            Case("remove_host", ok("headers_to_remove: [host]")),
            Case("other", ok(f"headers: [{header('x-a', 'b')}]")),
        ),
    ),
    Scene(
        "invalid",
        "{validate_mutations: true}",
        (
            Case("name", ok(f"headers: [{header('x a', '1')}]")),
            Case("name_append", ok(f"headers: [{header('x a', '1', 'append: true')}]")),
            Case("denied_append", denied(f"headers: [{header('x a', '1', 'append: true')}]")),
            Case("newline", ok('headers: [{header: {key: x-a, value: "a\\nb"}}]')),
            Case("newline_denied", denied('headers: [{header: {key: x-a, value: "a\\nb"}}]')),
            Case(
                "newline_response",
                ok('response_headers_to_add: [{header: {key: x-a, value: "a\\nb"}}]'),
            ),
            Case("value", ok("headers: [{header: {key: x-a, raw_value: YQpi}}]")),
            Case("response_name", ok(f"response_headers_to_add: [{header('x a', '1')}]")),
            Case("denied_name", denied(f"headers: [{header('x a', '1')}]")),
            Case("remove", ok("headers_to_remove: ['x a']")),
            Case("query", ok("query_parameters_to_set: [{key: 'a b', value: c}]")),
            Case("query_remove", ok("query_parameters_to_remove: ['a b']")),
            Case(
                "error_bad_header",
                "{status: {code: 14}, error_response: {headers: [{header: {key: 'x a', value: b}}]}}",
            ),
            Case("response_action", b"\x0a\x00\x1a\x0b\x32\x09\x0a\x05\x0a\x01a\x12\x00\x18\x63"),
            Case("action", b"\x0a\x00\x1a\x0b\x12\x09\x0a\x05\x0a\x01a\x12\x00\x18\x63"),
        ),
    ),
    Scene(
        "failing_open_invalid",
        "{validate_mutations: true, failure_mode_allow: true}",
        (Case("name", ok(f"headers: [{header('x a', '1')}]")),),
    ),
    Scene(
        "clears",
        "{clear_route_cache: true}",
        (
            Case("other_route", ok(f"headers: [{header('x-to', 'other')}]")),
            Case("removed", ok("headers_to_remove: [x-to]"), get("x-to: other\r\n")),
            Case("unchanged", ok()),
            Case("path", ok(f"headers: [{header(':path', '/none', 'append: false')}]")),
        ),
        routes="[{name: other, match: {prefix: /, headers: [{name: x-to, string_match: {exact: other}}]},"
        " route: {cluster: other}}, {name: a, match: {prefix: /a}, route: {cluster: up}}]",
    ),
    Scene(
        "keeps",
        "{}",
        (Case("other_route", ok(f"headers: [{header('x-to', 'other')}]")),),
        routes="[{name: other, match: {prefix: /, headers: [{name: x-to, string_match: {exact: other}}]},"
        " route: {cluster: other}}, {name: a, match: {prefix: /a}, route: {cluster: up}}]",
    ),
    # -- refusals --
    Scene("refusals", "{}", _REFUSALS),
    Scene("refusals_validated", "{validate_mutations: true}", _REFUSALS),
    Scene("uncharged", "{charge_cluster_response_stats: false}", (Case("no", denied()),)),
    Scene(
        "short_body", "{max_denied_response_body_bytes: 4}", (Case("no", denied("body: abcdefgh")),)
    ),
    # -- what it tells others --
    Scene("tells", "{}", _TELLS),
    Scene("tells_in_vain", "{enable_dynamic_metadata_ingestion: false}", _TELLS),
    Scene("tells_rbac", "{}", _TELLS, after=_RBAC_SAID),
    # -- bodies --
    *(
        Scene(
            f"body_{name}",
            f"{{{_BODY}{more}}}}}",
            (
                Case("none"),
                Case("short", request=post(b"hello")),
                Case("exact", request=post(b"12345678")),
                Case("long", request=post(b"123456789abc")),
                Case("empty", request=post(b"")),
                Case("not_text", request=post(b"\xff\xfehi")),
                Case(
                    "chunked",
                    request=b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
                ),
                Case(
                    "chunked_long",
                    request=b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n world!\r\n0\r\n\r\n",
                ),
                Case("h2", request=post(b"hello"), is_h2=True),
                Case(
                    "said_partial", request=post(b"hello", "x-envoy-auth-partial-body: maybe\r\n")
                ),
                Case("refused", denied("status: {code: 401}"), post(b"hello")),
            ),
        )
        for name, more in (
            ("whole", ""),
            ("partial", ", allow_partial_message: true"),
            ("bytes", ", pack_as_bytes: true"),
        )
    ),
    Scene(
        "body_large",
        "{with_request_body: {max_request_bytes: 300000, allow_partial_message: true}}",
        (Case("some", request=post(b"0123456789" * 20000)),),
    ),
    # -- when there is no answer --
    Scene("fails", "{}", _FAILURES),
    Scene("fails_503", "{status_on_error: {code: ServiceUnavailable}}", _FAILURES),
    Scene("fails_open", "{failure_mode_allow: true}", _FAILURES),
    Scene(
        "fails_open_told",
        "{failure_mode_allow: true, failure_mode_allow_header_add: true}",
        _FAILURES,
    ),
    Scene(
        "nobody",
        "{}",
        (Case("get"), Case("post", request=post(b"hello"))),
        grpc="{envoy_grpc: {cluster_name: nobody}, timeout: 10s}",
    ),
    Scene("empty", "{}", (Case("get"),), grpc="{envoy_grpc: {cluster_name: empty}, timeout: 10s}"),
    Scene(
        "nobody_open",
        "{failure_mode_allow: true}",
        (Case("get"), Case("post", request=post(b"hello"))),
        grpc="{envoy_grpc: {cluster_name: nobody}, timeout: 10s}",
    ),
    Scene(
        "hangs",
        "{}",
        (Case("hangs", hang=True),),
        grpc="{envoy_grpc: {cluster_name: authz}, timeout: 0.1s}",
    ),
    Scene(
        "hangs_open",
        "{failure_mode_allow: true}",
        (Case("hangs", hang=True),),
        grpc="{envoy_grpc: {cluster_name: authz}, timeout: 0.1s}",
    ),
    # -- whether it is asked --
    Scene("off", "{filter_enabled: {default_value: {numerator: 0}}}"),
    Scene(
        "off_denies",
        "{filter_enabled: {default_value: {numerator: 0}}, deny_at_disable: {runtime_key: k, default_value: true}}",
    ),
    Scene(
        "off_denies_503",
        "{filter_enabled: {default_value: {numerator: 0}}, deny_at_disable: {runtime_key: k, default_value: true}, status_on_error: {code: 503}}",
    ),
    Scene(
        "on_denies",
        "{filter_enabled: {default_value: {numerator: 100}}, deny_at_disable: {runtime_key: k, default_value: true}}",
    ),
    *(
        Scene(
            f"by_metadata_{flag}",
            "{filter_enabled_metadata: {filter: envoy.filters.http.rbac, path:"
            f" [{{key: dry_shadow_engine_result}}], value: {{string_match: {{exact: {value}}}}}}}}}",
            before=_RBAC_SHADOW,
        )
        for flag, value in (("yes", "allowed"), ("no", "denied"))
    ),
    Scene("prefix", "{stat_prefix: one}"),
    Scene("dotted", "{stat_prefix: 'two.'}"),
    Scene(
        "no_route",
        "{}",
        (Case("none", request=get(path="/none")),),
        routes="[{match: {prefix: /a}, route: {cluster: up}}]",
    ),
    Scene("direct", "{}", routes="[{match: {prefix: /}, direct_response: {status: 204}}]"),
    Scene("redirect", "{}", routes="[{match: {prefix: /}, redirect: {path_redirect: /b}}]"),
    # -- by route --
    Scene(
        "per_route",
        f"{{{_BODY}, pack_as_bytes: true}}}}",
        (
            Case("disabled", denied(), get(path="/r0")),
            Case("context", request=get(path="/r1")),
            Case("no_body", request=post(b"hello", path="/r2")),
            Case("body", request=post(b"hello", path="/r3")),
            Case("body_long", request=post(b"hello world", path="/r3")),
            Case("nothing", request=post(b"hello", path="/r4")),
            Case("rest", request=post(b"hello", path="/a")),
        ),
        routes=routes(
            "{disabled: true}",
            "{check_settings: {context_extensions: {a: route, b: c}}}",
            "{check_settings: {disable_request_body_buffering: true}}",
            "{check_settings: {with_request_body: {max_request_bytes: 5, allow_partial_message: true}}}",
            "{check_settings: {}}",
        ),
        host="{check_settings: {context_extensions: {a: host, h: host}}}",
    ),
    Scene(
        "per_host",
        "{}",
        (Case("host", denied(), get()), Case("route", denied(), get(path="/r0"))),
        routes=routes("{check_settings: {}}"),
        host="{disabled: true}",
    ),
    # -- a server that speaks HTTP --
    Scene(
        "http",
        "{}",
        (
            Case("get", http("200 OK"), get("authorization: me\r\nx-a: 1\r\ncookie: a=b\r\n")),
            Case("post", http("200 OK"), post(b"hello")),
            Case("ok_headers", http("200 OK", "x-user: anna", "x-other: b", body="ignored")),
            Case(
                "no",
                http(
                    "403 Forbidden",
                    "x-why: because",
                    "set-cookie: a=b",
                    "set-cookie: c=d",
                    "content-type: text/x",
                    body="no",
                ),
            ),
            Case("unauthorized", http("401 Unauthorized", "www-authenticate: Basic", body="")),
            Case("redirect", http("302 Found", "location: https://login.test/")),
            Case("created", http("201 Created", body="x")),
            Case("broken", http("500 Oops", body="x")),
            Case("unavailable", http("503 Unavailable", body="x")),
            Case("nonsense", b"HTTP/1.1 nonsense\r\n\r\n"),
            Case(
                "remove",
                http("200 OK", "x-envoy-auth-headers-to-remove: x-a, x-b"),
                get("x-a: 1\r\nx-b: 2\r\nx-c: 3\r\n"),
            ),
            Case(
                "head_ok",
                http("200 OK"),
                b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
                reply=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
            ),
            Case("h2", http("200 OK"), get("x-a: 1\r\n"), is_h2=True),
        ),
        http=_SERVER + "}",
    ),
    Scene(
        "http_more",
        f"{{{_BODY}, allow_partial_message: true}}, allowed_headers: {{patterns: [{{exact: x-a}}, {{exact: content-length}}]}}}}",
        (
            Case("get", http("200 OK"), get("x-a: 1\r\nx-b: 1\r\n")),
            Case("post", http("200 OK"), post(b"hello")),
            Case("long", http("200 OK"), post(b"hello world")),
            Case(
                "ok_headers",
                http("200 OK", "x-up: new", "x-also: 2", "x-client: 3", "x-meta: 4", "x-other: 5"),
                get("x-up: old\r\nx-also: 1\r\n"),
            ),
            Case(
                "no",
                http(
                    "403 Forbidden",
                    "x-client: because",
                    "x-other: b",
                    "x-meta: 1",
                    "content-type: a/b",
                    body="no",
                ),
            ),
            Case("redirect", http("302 Found", "location: https://login.test/", "x-other: b")),
        ),
        http=_SERVER
        + ", path_prefix: /check, authorization_request: {headers_to_add: [{key: x-added, value: 'a'}, {key: x-a, value: replaced}]},"
        " authorization_response: {allowed_upstream_headers: {patterns: [{exact: x-up}]},"
        " allowed_upstream_headers_to_append: {patterns: [{exact: x-also}]},"
        " allowed_client_headers: {patterns: [{exact: x-client}]},"
        " allowed_client_headers_on_success: {patterns: [{exact: x-client}]},"
        " dynamic_metadata_from_headers: {patterns: [{exact: x-meta}]}}}",
    ),
    Scene(
        "http_body",
        f"{{{_BODY}}}}}",
        (
            Case("post", http("200 OK"), post(b"hello")),
            Case("long", http("200 OK"), post(b"hello world")),
            Case("none", http("200 OK")),
        ),
        http=_SERVER + "}",
    ),
    Scene(
        "http_older",
        "{}",
        (Case("get", http("200 OK"), get("x-a: 1\r\nx-b: 1\r\n")),),
        http=_SERVER + ", authorization_request: {allowed_headers: {patterns: [{exact: x-a}]}}}",
    ),
    Scene(
        "http_all",
        f"{{allowed_headers: {{{_ALL}}}}}",
        (
            Case("get", http("200 OK"), get("x-a: 1\r\nx-b: 1\r\nx-b: 2\r\n")),
            Case("post", http("200 OK"), post(b"hello")),
        ),
        http=_SERVER + "}",
    ),
    Scene(
        "http_clears",
        "{clear_route_cache: true}",
        (Case("other", http("200 OK", "x-to: other")),),
        http=_SERVER
        + ", authorization_response: {allowed_upstream_headers: {patterns: [{exact: x-to}]}}}",
        routes="[{name: other, match: {prefix: /, headers: [{name: x-to, string_match: {exact: other}}]},"
        " route: {cluster: other}}, {name: a, match: {prefix: /a}, route: {cluster: up}}]",
    ),
    Scene(
        "http_nobody",
        "{}",
        (Case("get"), Case("post", request=post(b"hello"))),
        http="{server_uri: {uri: 'http://x', cluster: nobody_http, timeout: 10s}}",
    ),
    Scene(
        "http_nobody_open",
        "{failure_mode_allow: true, failure_mode_allow_header_add: true}",
        (Case("get"),),
        http="{server_uri: {uri: 'http://x', cluster: nobody_http, timeout: 10s}}",
    ),
    Scene(
        "http_hangs",
        "{}",
        (Case("hangs", http("200 OK"), hang=True),),
        http="{server_uri: {uri: 'http://x', cluster: authz_http, timeout: 0.1s}}",
    ),
]
