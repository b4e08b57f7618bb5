"""normalize_path, merge_slashes, escaped slashes, underscores in header names."""

from __future__ import annotations

from tests.differential.model import TO_A, Case, Group, Listener, req

_N = "normalize_path: true\n"
_TARGETS = {
    "dots": "/a/../b",
    "dot": "/a/./b",
    "dots_root": "/../../b",
    "dots_end": "/a/..",
    "dots_param": "/a/..;x/b",
    "encoded_dots": "/a/%2e%2e/b",
    "encoded_unreserved": "/%61%62/%7e",
    "encoded_slash": "/a%2Fb",
    "encoded_slash_lower": "/a%2fb",
    "encoded_backslash": "/a%5Cb",
    "backslash": "/a\\b",
    "double_slash": "//a///b",
    "percent_00": "/a%00b",
    "percent_bad": "/a%zz",
    "query_untouched": "/a/../b?c=/../d//e",
    "lower_hex": "/a%c3%a9",
    "trailing_slash": "/a/b/",
    "space_encoded": "/a%20b",
    "quote": '/a"b',
}
_SLASHES = ["/a%2Fb", "/a%5Cb", "/a%2F..%2Fb?q=%2F", "/plain"]

GROUP = Group(
    name="paths",
    listeners={
        "plain": Listener(TO_A),
        "normal": Listener(TO_A, _N),
        "merge": Listener(TO_A, "merge_slashes: true"),
        "both": Listener(TO_A, _N + "merge_slashes: true"),
        "keep": Listener(TO_A, _N + "path_with_escaped_slashes_action: KEEP_UNCHANGED"),
        "reject": Listener(TO_A, _N + "path_with_escaped_slashes_action: REJECT_REQUEST"),
        "redirect": Listener(TO_A, _N + "path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT"),
        "forward": Listener(TO_A, _N + "path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD"),
        "forward_merge": Listener(
            TO_A, _N + "merge_slashes: true\npath_with_escaped_slashes_action: UNESCAPE_AND_FORWARD"
        ),
        "under_allow": Listener(
            TO_A, "common_http_protocol_options: {headers_with_underscores_action: ALLOW}"
        ),
        "under_reject": Listener(
            TO_A, "common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST}"
        ),
        "under_drop": Listener(
            TO_A, "common_http_protocol_options: {headers_with_underscores_action: DROP_HEADER}"
        ),
    },
    cases=[
        *(Case(f"plain_{k}", req(v), "plain") for k, v in _TARGETS.items()),
        *(Case(f"normal_{k}", req(v), "normal") for k, v in _TARGETS.items()),
        Case("merge_double", req("//a///b//?c=//d"), "merge"),
        Case("both_double_dots", req("//a/..//b"), "both"),
        Case("both_double", req("/a//../b"), "both"),
        *(
            Case(f"{listener}_{i}", req(target), listener)
            for listener in ("keep", "reject", "redirect", "forward")
            for i, target in enumerate(_SLASHES)
        ),
        Case("forward_merge_0", req("/a%2F%2Fb"), "forward_merge"),
        Case("normal_absolute", req("http://abs.example/a/../b"), "normal"),
        Case("normal_star", req("*", method="OPTIONS"), "normal"),
        Case("under_allow", req("/", "x_a: 1", "x-b: 2"), "under_allow"),
        Case("under_reject", req("/", "x_a: 1", "x-b: 2"), "under_reject"),
        Case("under_drop", req("/", "x_a: 1", "x-b: 2"), "under_drop"),
        Case("under_drop_host", req("/", "ho_st: 1"), "under_drop"),
    ],
)
