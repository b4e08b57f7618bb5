"""Which route of a virtual host a request takes: paths, headers, query parameters, order."""

from __future__ import annotations

from tests.differential.model import Case, Group, Listener, req


def _direct(name: str, match: str) -> str:
    return (
        f"  - name: {name}\n    match: {match}\n"
        f"    direct_response: {{status: 200, body: {{inline_string: {name}}}}}\n"
    )


def _table(rows: dict[str, str]) -> str:
    text = "virtual_hosts:\n- name: all\n  domains: ['*']\n  routes:\n"
    return text + "".join(_direct(name, match) for name, match in rows.items())


_PATHS = {
    "exact": "{path: /exact}",
    "exact_nocase": "{path: /Any-Case, case_sensitive: false}",
    "prefix_nocase": "{prefix: /Low/, case_sensitive: false}",
    "separated": "{path_separated_prefix: /sep}",
    "separated_nocase": "{path_separated_prefix: /SEPNC, case_sensitive: false}",
    "regex": "{safe_regex: {regex: '/re/[0-9]+'}}",
    "regex_google": "{safe_regex: {google_re2: {}, regex: '/(?i)rex/.*'}}",
    "regex_dot": "{safe_regex: {regex: '/dot.file'}}",
    "prefix": "{prefix: /pre}",
    "prefix_longer_after": "{prefix: /prefix}",
    "never": "{prefix: /half, runtime_fraction: {default_value: {numerator: 0, denominator: HUNDRED}}}",
    "always": "{prefix: /half, runtime_fraction: {default_value: {numerator: 1000000, denominator: MILLION}}}",
    "connect": "{connect_matcher: {}}",
    "empty_prefix_query": "{prefix: /q, query_parameters: [{name: a, string_match: {exact: '1'}}]}",
}
_TEMPLATE = {
    "template": "{path_match_policy: {name: envoy.path.match.uri_template.uri_template_matcher, typed_config: {'@type': type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, path_template: '/t/{id}/x'}}}",
}
_TARGETS = {
    "exact": "/exact",
    "exact_query": "/exact?x=1",
    "exact_fragmentless_slash": "/exact/",
    "exact_case_differs": "/Exact",
    "exact_nocase": "/aNY-cASE",
    "prefix_nocase": "/LOW/x",
    "separated_itself": "/sep",
    "separated_slash": "/sep/x",
    "separated_query": "/sep?x",
    "separated_longer": "/separate",
    "separated_nocase": "/sepnc/1",
    "regex": "/re/12",
    "regex_full_match_only": "/re/12x",
    "regex_query_ignored": "/re/12?x",
    "regex_nocase_flag": "/REX/x",
    "regex_dot": "/dot/file",
    "regex_dot_slashless": "/dotxfile",
    "prefix": "/pre",
    "prefix_partial_segment": "/prelude",
    "first_match_wins": "/prefix/y",
    "runtime_fraction": "/half",
    "none": "/nothing",
    "percent_encoded_is_not_decoded": "/%65xact",
    "query_of_match": "/q?a=1",
}

_HEADERS = {
    "exact": "{name: x, exact_match: abc}",
    "string_exact": "{name: x-s, string_match: {exact: abc}}",
    "string_exact_nocase": "{name: x-sn, string_match: {exact: AbC, ignore_case: true}}",
    "present": "{name: x-p, present_match: true}",
    "absent_and_flag": "{name: x-absent, present_match: false}, {name: x-flag, exact_match: absent}",
    "prefix": "{name: x-pre, string_match: {prefix: ab}}",
    "suffix": "{name: x-suf, string_match: {suffix: yz}}",
    "contains": "{name: x-con, string_match: {contains: mid}}",
    "contains_nocase": "{name: x-conn, string_match: {contains: MID, ignore_case: true}}",
    "regex": "{name: x-re, string_match: {safe_regex: {regex: 'a+b'}}}",
    "range": "{name: x-n, range_match: {start: -10, end: 10}}",
    "invert": "{name: x-inv, string_match: {exact: abc}, invert_match: true}, {name: x-flag, exact_match: inv}",
    "invert_missing": "{name: x-im, string_match: {exact: abc}, invert_match: true, treat_missing_header_as_empty: true}, {name: x-flag, exact_match: im}",
    "missing_as_empty": "{name: x-me, string_match: {exact: 'z', ignore_case: false}, treat_missing_header_as_empty: true}, {name: x-flag, exact_match: me}",
    "missing_as_empty_regex": "{name: x-mer, string_match: {safe_regex: {regex: '.*'}}, treat_missing_header_as_empty: true}, {name: x-flag, exact_match: mer}",
    "invert_present": "{name: x-ip, present_match: true, invert_match: true}, {name: x-flag, exact_match: ip}",
    "two": "{name: x-1, exact_match: a}, {name: x-2, exact_match: b}",
    "method": "{name: ':method', exact_match: DELETE}",
    "authority": "{name: ':authority', string_match: {exact: auth.example}}",
    "host": "{name: host, string_match: {exact: host-header.example}}",
    "scheme": "{name: ':scheme', string_match: {exact: https}}, {name: x-flag, exact_match: scheme}",
    "path_header": "{name: ':path', string_match: {exact: '/p?q=1'}}",
    "upper_name": "{name: X-Upper, exact_match: u}",
    "multi": "{name: x-multi, exact_match: 'a,b'}",
    "multi_one": "{name: x-multi-one, exact_match: 'b'}",
}


def _h(*headers: str, **kwargs: object) -> bytes:
    return req("/h", *headers, **kwargs)  # type: ignore[arg-type]


_HEADER_REQUESTS = {
    "exact": _h("x: abc"),
    "exact_no": _h("x: abcd"),
    "exact_value_case": _h("x: ABC"),
    "exact_name_case": _h("X: abc"),
    "string_exact": _h("x-s: abc"),
    "string_exact_nocase": _h("x-sn: ABC"),
    "present": _h("x-p: anything"),
    "present_empty": _h("x-p:"),
    "absent": _h("x-flag: absent"),
    "absent_but_there": _h("x-flag: absent", "x-absent: 1"),
    "prefix": _h("x-pre: abz"),
    "prefix_no": _h("x-pre: zab"),
    "suffix": _h("x-suf: xyz"),
    "contains": _h("x-con: amidst"),
    "contains_nocase": _h("x-conn: aMiDst"),
    "regex": _h("x-re: aaab"),
    "regex_full": _h("x-re: xaaab"),
    "range_low": _h("x-n: -10"),
    "range_high_is_open": _h("x-n: 10"),
    "range_plus": _h("x-n: +5"),
    "range_spaces": _h("x-n: 5 5"),
    "range_not_a_number": _h("x-n: 5a"),
    "range_zeroes": _h("x-n: 0005"),
    "invert": _h("x-flag: inv", "x-inv: other"),
    "invert_no": _h("x-flag: inv", "x-inv: abc"),
    "invert_header_missing": _h("x-flag: inv"),
    "invert_missing_as_empty": _h("x-flag: im"),
    "missing_as_empty": _h("x-flag: me"),
    "missing_as_empty_regex": _h("x-flag: mer"),
    "invert_present": _h("x-flag: ip"),
    "invert_present_there": _h("x-flag: ip", "x-ip: 1"),
    "two": _h("x-1: a", "x-2: b"),
    "two_only_one": _h("x-1: a"),
    "method": _h(method="DELETE"),
    "authority": _h(host="auth.example"),
    "host": _h(host="host-header.example"),
    "scheme": _h("x-flag: scheme", "x-forwarded-proto: https"),
    "path_header": req("/p?q=1"),
    "upper_name": _h("x-upper: u"),
    "multi_joined": _h("x-multi: a", "x-multi: b"),
    "multi_comma_line": _h("x-multi: a,b"),
    "multi_one_of": _h("x-multi-one: a", "x-multi-one: b"),
}

_QUERY = {
    "exact": "{prefix: /, query_parameters: [{name: a, string_match: {exact: '1'}}]}",
    "present": "{prefix: /, query_parameters: [{name: b, present_match: true}]}",
    "regex": "{prefix: /, query_parameters: [{name: c, string_match: {safe_regex: {regex: '[0-9]+'}}}]}",
    "prefix": "{prefix: /, query_parameters: [{name: d, string_match: {prefix: 'x', ignore_case: true}}]}",
    "both": "{prefix: /, query_parameters: [{name: e, present_match: true}, {name: f, string_match: {exact: ''}}]}",
    "absent": "{prefix: /absent, query_parameters: [{name: g, present_match: false}]}",
}
_QUERIES = {
    "exact": "/?a=1",
    "exact_no": "/?a=2",
    "exact_second_param": "/?z=9&a=1",
    "exact_repeated_first_wins": "/?a=1&a=2",
    "exact_repeated_second": "/?a=2&a=1",
    "exact_encoded": "/?a=%31",
    "exact_name_encoded": "/?%61=1",
    "exact_name_case": "/?A=1",
    "present_no_value": "/?b",
    "present_empty": "/?b=",
    "regex": "/?c=12",
    "regex_no": "/?c=12x",
    "prefix_nocase": "/?d=Xyz",
    "both": "/?e&f=",
    "both_without": "/?e",
    "semicolon": "/?z=1;a=1",
    "absent": "/absent",
    "absent_there": "/absent?g=1",
    "question_mark_only": "/?",
    "fragment_free_two_marks": "/?a=1?b",
}

GROUP = Group(
    name="routes",
    listeners={
        "path": Listener(_table(_PATHS)),
        "template": Listener(_table(_TEMPLATE)),
        "headers": Listener(
            _table({k: "{prefix: /, headers: [" + v + "]}" for k, v in _HEADERS.items()})
        ),
        "query": Listener(_table(_QUERY)),
    },
    cases=[
        *(Case(f"path_{k}", req(v), "path") for k, v in _TARGETS.items()),
        Case("template", req("/t/42/x"), "template"),
        Case("template_no", req("/t/42/43/x"), "template"),
        *(Case(f"header_{k}", v, "headers") for k, v in _HEADER_REQUESTS.items()),
        *(Case(f"query_{k}", req(v), "query") for k, v in _QUERIES.items()),
    ],
)
