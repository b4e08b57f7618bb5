"""Odd and hostile HTTP/1 requests: what is refused, how, and what goes upstream of the rest."""

from __future__ import annotations

from tests.differential.model import (
    TO_A,
    TRAILERS_CLUSTER,
    Case,
    Group,
    Listener,
    raw,
    req,
    response,
)
from tests.support.client import HalfClose

_H = b"Host: h\r\n"


def _get(middle: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\n" + _H + middle + b"\r\n"


def _post(middle: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\n" + _H + middle + b"\r\n" + body


def _chunked(body: bytes, middle: bytes = b"") -> bytes:
    return _post(b"Transfer-Encoding: chunked\r\n" + middle, body)


_CASES: dict[str, bytes] = {
    "no_host": b"GET / HTTP/1.1\r\n\r\n",
    "empty_host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "two_hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two_hosts_same": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "host_with_space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host_with_at": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "host_with_slash": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host_with_underscore": b"GET / HTTP/1.1\r\nHost: a_b\r\n\r\n",
    "host_bad_port": b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
    "unknown_method": _get(b"", b"FOO / HTTP/1.1"),
    "lower_method": _get(b"", b"get / HTTP/1.1"),
    "method_patch": _get(b"", b"PATCH / HTTP/1.1"),
    "method_propfind": _get(b"", b"PROPFIND / HTTP/1.1"),
    "method_purge": _get(b"", b"PURGE / HTTP/1.1"),
    "method_query": _get(b"", b"QUERY / HTTP/1.1"),
    "method_trace": _get(b"", b"TRACE / HTTP/1.1"),
    "method_pri": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "method_empty": b" / HTTP/1.1\r\nHost: h\r\n\r\n",
    "cl_and_te": _post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "te_and_cl": _post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
    "cl_twice_same": _post(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"ab"),
    "cl_twice_differ": _post(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"abc"),
    "cl_list": _post(b"Content-Length: 2, 2\r\n", b"ab"),
    "cl_plus": _post(b"Content-Length: +2\r\n", b"ab"),
    "cl_minus": _post(b"Content-Length: -2\r\n", b"ab"),
    "cl_hex": _post(b"Content-Length: 0x2\r\n", b"ab"),
    "cl_empty": _post(b"Content-Length:\r\n"),
    "cl_space_inside": _post(b"Content-Length: 1 1\r\n", b"ab"),
    "cl_leading_zeroes": _post(b"Content-Length: 0002\r\n", b"ab"),
    "cl_trailing_space": _post(b"Content-Length: 2 \r\n", b"ab"),
    "cl_huge": _post(b"Content-Length: 99999999999999999999999\r\n"),
    "cl_get_with_body": req("/", "Content-Length: 2", body=b"ab"),
    "cl_zero": _post(b"Content-Length: 0\r\n"),
    "cl_none_post": _post(b""),
    "te_xchunked": _post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "te_gzip_chunked": _post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "te_chunked_gzip": _post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"),
    "te_gzip": _post(b"Transfer-Encoding: gzip\r\n", b"0\r\n\r\n"),
    "te_identity": _post(b"Transfer-Encoding: identity\r\n"),
    "te_chunked_twice": _post(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"
    ),
    "te_chunked_identity_lines": _post(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"
    ),
    "te_upper": _post(b"Transfer-Encoding: CHUNKED\r\n", b"0\r\n\r\n"),
    "te_quoted": _post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"),
    "te_tab": _post(b"Transfer-Encoding:\tchunked\r\n", b"0\r\n\r\n"),
    "te_vertical_tab": _post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "te_empty": _post(b"Transfer-Encoding:\r\n"),
    "te_comma": _post(b"Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n"),
    "te_http10": b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te_underscore": _post(b"Transfer_Encoding: chunked\r\nContent-Length: 0\r\n"),
    "cl_underscore": _post(b"Content_Length: 5\r\nContent-Length: 0\r\n"),
    "te_get_chunked": _get(b"Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n0\r\n\r\n",
    "space_before_colon": _get(b"X-A : b\r\n"),
    "tab_before_colon": _get(b"X-A\t: b\r\n"),
    "te_space_before_colon": _post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "name_empty": _get(b": b\r\n"),
    "name_no_colon": _get(b"nocolon\r\n"),
    "name_with_space": _get(b"X A: b\r\n"),
    "name_paren": _get(b"X(A): b\r\n"),
    "name_utf8": _get("X-é: b\r\n".encode()),
    "name_underscore": _get(b"x_a: b\r\n"),
    "name_special_token": _get(b"x!#$%&'*+.^`|~: b\r\n"),
    "name_nul": _get(b"x\x00a: b\r\n"),
    "name_leading_space_first": b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    "name_pseudo": _get(b":path: /x\r\n"),
    "value_nul": _get(b"x-a: b\x00c\r\n"),
    "value_bell": _get(b"x-a: b\x07c\r\n"),
    "value_del": _get(b"x-a: b\x7fc\r\n"),
    "value_latin1": _get(b"x-a: \xe9\r\n"),
    "value_utf8": _get("x-a: é\r\n".encode()),
    "value_tab": _get(b"x-a: b\tc\r\n"),
    "value_bare_cr": _get(b"x-a: b\rc\r\n"),
    "value_trailing_cr": _get(b"x-a: b\r\r\n"),
    "value_empty": _get(b"x-a:\r\n"),
    "value_no_space": _get(b"x-a:b\r\n"),
    "value_many_spaces": _get(b"x-a:   b   \r\n"),
    "obs_fold": _get(b"x-a: b\r\n c\r\n"),
    "obs_fold_tab": _get(b"x-a: b\r\n\tc\r\n"),
    "obs_fold_te": _post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "bare_lf": b"GET / HTTP/1.1\nHost: h\n\n",
    "bare_lf_one_header": b"GET / HTTP/1.1\r\nHost: h\nX-A: b\r\n\r\n",
    "bare_lf_end": b"GET / HTTP/1.1\r\nHost: h\r\n\n",
    "bare_cr_line": b"GET / HTTP/1.1\rHost: h\r\r",
    "leading_crlf": b"\r\n" + _get(b""),
    "leading_crlf_many": b"\r\n\r\n\r\n" + _get(b""),
    "leading_lf": b"\n" + _get(b""),
    "leading_space": b" " + _get(b""),
    "line_tab": _get(b"", b"GET\t/\tHTTP/1.1"),
    "line_two_spaces": _get(b"", b"GET  / HTTP/1.1"),
    "line_trailing_space": _get(b"", b"GET / HTTP/1.1 "),
    "line_no_version": b"GET /\r\nHost: h\r\n\r\n",
    "line_http09": b"GET /\r\n\r\n",
    "line_lower_version": _get(b"", b"GET / http/1.1"),
    "line_http2": _get(b"", b"GET / HTTP/2.0"),
    "line_http12": _get(b"", b"GET / HTTP/1.2"),
    "line_http3": _get(b"", b"GET / HTTP/3.0"),
    "line_http111": _get(b"", b"GET / HTTP/1.11"),
    "line_http_x": _get(b"", b"GET / HTTX/1.1"),
    "line_no_target": _get(b"", b"GET HTTP/1.1"),
    "target_space": _get(b"", b"GET /a b HTTP/1.1"),
    "target_fragment": _get(b"", b"GET /a#b HTTP/1.1"),
    "target_utf8": _get(b"", "GET /é HTTP/1.1".encode()),
    "target_relative": _get(b"", b"GET a/b HTTP/1.1"),
    "target_query_only": _get(b"", b"GET ?a HTTP/1.1"),
    "target_percent_00": _get(b"", b"GET /a%00b HTTP/1.1"),
    "target_percent_bad": _get(b"", b"GET /a%zz HTTP/1.1"),
    "target_nul": _get(b"", b"GET /a\x00b HTTP/1.1"),
    "target_ctl": _get(b"", b"GET /a\x01b HTTP/1.1"),
    "target_del": _get(b"", b"GET /a\x7fb HTTP/1.1"),
    "target_quote": _get(b"", b'GET /a"<>\\^`{|} HTTP/1.1'),
    "target_star_get": _get(b"", b"GET * HTTP/1.1"),
    "target_double_slash": _get(b"", b"GET //a//b HTTP/1.1"),
    "target_dots": _get(b"", b"GET /a/../b/./c HTTP/1.1"),
    "target_backslash": _get(b"", b"GET /a\\..\\b HTTP/1.1"),
    "chunk_plain": _chunked(b"3\r\nabc\r\n0\r\n\r\n"),
    "chunk_two": _chunked(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
    "chunk_extension": _chunked(b"3;a=b\r\nabc\r\n0;c\r\n\r\n"),
    "chunk_extension_quoted": _chunked(b'3;a="b;c"\r\nabc\r\n0\r\n\r\n'),
    "chunk_extension_bad": _chunked(b"3;a=\x01\r\nabc\r\n0\r\n\r\n"),
    "chunk_extension_lf": _chunked(b"3;a\nabc\r\n0\r\n\r\n"),
    "chunk_extension_cr": _chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    "chunk_upper_hex": _chunked(b"A\r\n0123456789\r\n0\r\n\r\n"),
    "chunk_leading_zeroes": _chunked(b"0003\r\nabc\r\n0\r\n\r\n"),
    "chunk_0x": _chunked(b"0x3\r\nabc\r\n0\r\n\r\n"),
    "chunk_negative": _chunked(b"-3\r\nabc\r\n0\r\n\r\n"),
    "chunk_plus": _chunked(b"+3\r\nabc\r\n0\r\n\r\n"),
    "chunk_empty_size": _chunked(b"\r\nabc\r\n0\r\n\r\n"),
    "chunk_not_hex": _chunked(b"g\r\nabc\r\n0\r\n\r\n"),
    "chunk_space_after": _chunked(b"3 \r\nabc\r\n0\r\n\r\n"),
    "chunk_space_before": _chunked(b" 3\r\nabc\r\n0\r\n\r\n"),
    "chunk_bare_lf_size": _chunked(b"3\nabc\r\n0\r\n\r\n"),
    "chunk_bare_lf_data": _chunked(b"3\r\nabc\n0\r\n\r\n"),
    "chunk_bare_lf_last": _chunked(b"3\r\nabc\r\n0\r\n\n"),
    "chunk_too_long_data": _chunked(b"3\r\nabcd\r\n0\r\n\r\n"),
    "chunk_overflow": _chunked(b"ffffffffffffffff1\r\nabc\r\n0\r\n\r\n"),
    "chunk_max": _chunked(b"ffffffffffffffff\r\nabc"),
    "chunk_trailers": _chunked(b"3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n", b"Trailer: x-t\r\n"),
    "chunk_trailers_cl": _chunked(b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n"),
    "chunk_trailers_bad": _chunked(b"3\r\nabc\r\n0\r\nx t: 1\r\n\r\n"),
    "chunk_trailers_fold": _chunked(b"3\r\nabc\r\n0\r\nx-t: 1\r\n 2\r\n\r\n"),
    "tls_hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "binary": b"\x00\x01\x02\x03\r\n\r\n",
    "h2_preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
}

# Envoy's parser only complains once it has seen enough; nothing comes back for these.
_SILENT = {"bare_cr_line", "tls_hello", "chunk_max"}

# Refused in the middle of the body: whether the head has gone upstream by then is a race.
_MID_BODY = {
    "chunk_0x", "chunk_bare_lf_size", "chunk_empty_size", "chunk_extension_cr",
    "chunk_extension_lf", "chunk_negative", "chunk_not_hex", "chunk_overflow", "chunk_plus",
    "chunk_space_before", "chunk_trailers_bad", "allowed_trailers_bad",
}
_RACE = ("upstream*", "log.*.upstream", "log.*.cluster", "log.*.rx")

GROUP = Group(
    name="http1_framing",
    listeners={
        "main": Listener(TO_A, "codec_type: HTTP1"),
        "trailers": Listener(
            TO_A.replace("cluster: a", "cluster: with_trailers"),
            "codec_type: HTTP1\nhttp_protocol_options: {enable_trailers: true}",
        ),
        "chunked_length": Listener(
            TO_A, "codec_type: HTTP1\nhttp_protocol_options: {allow_chunked_length: true}"
        ),
        "custom_methods": Listener(
            TO_A, "codec_type: HTTP1\nhttp_protocol_options: {allow_custom_methods: true}"
        ),
        "auto": Listener(TO_A),
    },
    clusters=TRAILERS_CLUSTER,
    cases=[
        *(
            Case(
                name,
                data,
                responses=0 if name in _SILENT else 1,
                ignore=_RACE if name in _MID_BODY else (),
            )
            for name, data in _CASES.items()
        ),
        Case("allowed_trailers", _CASES["chunk_trailers"], "trailers"),
        Case("allowed_trailers_cl", _CASES["chunk_trailers_cl"], "trailers"),
        Case("allowed_trailers_bad", _CASES["chunk_trailers_bad"], "trailers", ignore=_RACE),
        Case("allow_chunked_length", _CASES["cl_and_te"], "chunked_length"),
        Case("custom_method", _CASES["unknown_method"], "custom_methods"),
        Case("custom_method_bad", _get(b"", b"F(O / HTTP/1.1"), "custom_methods"),
        Case("auto_get", req(), "auto"),
        Case("eof_mid_head", (b"GET / HTTP/1.1\r\nHos", HalfClose()), responses=0, settle=0.4),
        Case("eof_mid_body",
             (_post(b"Content-Length: 9\r\n", b"abc"), HalfClose()), responses=0, settle=0.4,
             ignore=("upstream*", "log.*.upstream")),
        Case("eof_after_request", (req(), HalfClose()), script=raw(0.5, response()), responses=0,
             settle=1.0, ignore=("upstream*", "log.*.upstream"),
             note="a client that closes its sending side while it waits has gone"),
        Case("eof_mid_chunked", (_chunked(b"3\r\nab"), HalfClose()), responses=0, settle=0.4,
             ignore=("upstream*", "log.*.upstream")),
    ],
)
