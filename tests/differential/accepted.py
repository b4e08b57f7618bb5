"""Every difference from the stock Envoy that we accept, and why.

Each entry mirrors a line of docs/differences.md, which must contain its `line`. A difference that
no entry covers fails its case; so does an entry that covers no difference any more. `ours` names
the fields that ours must have instead, so that an accepted difference is still a tested one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Accepted:
    """`cases` and `fields` are globs; fields are those of compare.flatten."""

    line: str  # a piece of text of the line in docs/differences.md
    cases: tuple[str, ...]  # group/case
    envoy: str
    why: str
    fields: tuple[str, ...] = ("*",)
    ours: Mapping[str, Any] = field(default_factory=dict)

    def concerns(self, case: str) -> bool:
        """Whether this entry is about that case."""
        return any(fnmatchcase(case, pattern) for pattern in self.cases)

    def covers(self, case: str, name: str) -> bool:
        """Whether this entry allows that field of that case to differ."""
        return self.concerns(case) and any(fnmatchcase(name, pattern) for pattern in self.fields)


_REFUSED = {
    "responses.0.start": "HTTP/1.1 400 Bad Request",
    "upstream.count": 0,
    "connection": "eof",
}

MALFORMED_HTTP2 = (
    "no_authority",
    "authority_userinfo",
    "authority_empty",
    "no_scheme",
    "no_path",
    "no_method",
    "path_empty",
    "path_absolute",
    "path_relative",
    "path_space",
    "method_bad",
    "method_latin",
    "authority_latin",
    "two_paths",
    "pseudo_after",
    "pseudo_unknown",
    "pseudo_status",
    "te_gzip",
    "connection",
    "connection_close",
    "keep_alive",
    "proxy_connection",
    "transfer_encoding",
    "upgrade",
    "name_upper",
    "name_space",
    "value_lf",
    "value_nul",
    "length_twice",
    "length_differ",
    "length_bad",
)

ACCEPTED: list[Accepted] = [
    Accepted(
        "bare LF",
        (
            "http1_framing/bare_lf",
            "http1_framing/bare_lf_one_header",
            "http1_framing/bare_lf_end",
            "http1_framing/leading_lf",
        ),
        "takes a bare LF for a line end",
        "RFC 9112 §2.2 lets a recipient do so; two parsers that disagree are how requests are "
        "smuggled",
        ours=_REFUSED,
    ),
    Accepted(
        "obs-fold",
        ("http1_framing/obs_fold*",),
        "joins a folded header line with its predecessor",
        "RFC 9112 §5.2: a server must reject or replace it; rejecting leaves nothing to disagree on",
        ours=_REFUSED,
    ),
    Accepted(
        "bare CR",
        ("http1_framing/value_bare_cr", "http1_framing/value_trailing_cr"),
        "removes a bare CR from a header value",
        "RFC 9112 §2.2: invalid, and the upstream may read it as a line end",
        ours=_REFUSED,
    ),
    Accepted(
        "more than one Host",
        ("http1_framing/two_hosts", "http1_framing/two_hosts_same"),
        "joins two Host lines to `a,b`",
        "RFC 9112 §3.2: a server must answer 400",
        ours=_REFUSED,
    ),
    Accepted(
        "whitespace in the request line",
        (
            "http1_framing/line_tab",
            "http1_framing/line_two_spaces",
            "http1_framing/line_trailing_space",
        ),
        "takes tabs and runs of spaces for the separator",
        "RFC 9112 §3: single spaces; leniency there is how request lines are smuggled",
        ours=_REFUSED,
    ),
    Accepted(
        "lookalike framing names",
        ("http1_framing/te_underscore", "http1_framing/cl_underscore"),
        "forwards `transfer_encoding` and `content_length` like any other header",
        "CGI-style upstreams read `_` as `-`, so the upstream would see other framing than we did",
        ours=_REFUSED,
    ),
    Accepted(
        "chunk framing",
        (
            "http1_framing/chunk_bare_lf_data",
            "http1_framing/chunk_bare_lf_last",
            "http1_framing/chunk_too_long_data",
            "http1_framing/chunk_extension_bad",
            "http1_framing/chunk_space_after",
            "http1_framing/chunk_trailers_fold",
        ),
        "skips bytes between the data of a chunk and the next size, takes a bare LF there, and any "
        "octet in a chunk extension",
        "RFC 9112 §7.1: CRLF ends the data of a chunk; skipping bytes is a smuggling gadget",
        ours={"responses.0.start": "HTTP/1.1 400 Bad Request", "connection": "eof"},
    ),
    Accepted(
        "body of a 204 direct response",
        ("actions/direct_204_body", "fault/204"),
        "writes the configured body after a 204's head, where the client reads it as the next "
        "response",
        "every byte that leaves us must parse",
        ours={"responses.0.start": "HTTP/1.1 204 No Content", "leftover": ""},
    ),
    Accepted(
        "userinfo",
        ("http1_framing/host_with_at", "http1_connection/absolute_userinfo"),
        "takes `user@host` in Host, drops it from an absolute URL",
        "RFC 9110 §4.2.4 and §7.2: Host has no userinfo; in a URL from outside it is an error",
        ours=_REFUSED,
    ),
    Accepted(
        "port that is no number",
        ("vhosts/strip_any_not_a_port",),
        "takes `host:http` as a name",
        "RFC 9110 §7.2: a port is digits",
        ours=_REFUSED,
    ),
    Accepted(
        "empty lines before a request",
        ("http1_framing/leading_crlf_many",),
        "skips any number of them",
        "RFC 9112 §2.2: at least one; more only costs",
        ours=_REFUSED,
    ),
    Accepted(
        "framing fields in trailers",
        ("http1_framing/chunk_trailers_cl", "http1_framing/allowed_trailers_cl"),
        "drops or forwards `content-length` in the trailers",
        "RFC 9110 §6.5.1: framing must not be sent there",
        ours={"responses.0.start": "HTTP/1.1 400 Bad Request", "connection": "eof"},
    ),
    Accepted(
        "transfer-encoding in HTTP/1.0",
        ("http1_connection/http10_chunked_request",),
        "takes it",
        "RFC 9112 §6.1: the framing is faulty",
        ours={"upstream.count": 0, "connection": "eof"},
    ),
    Accepted(
        "malformed responses",
        (
            "failures/upstream_bad_version",
            "failures/upstream_status_99",
            "failures/upstream_status_1000",
            "failures/upstream_bare_lf",
            "failures/upstream_obs_fold",
        ),
        "passes on versions and statuses that do not exist, bare LF and folded lines",
        "what leaves us must parse, and an upstream that sends this has lost its framing",
        ours={
            "responses.0.start": "HTTP/1.1 502 Bad Gateway",
            "responses.0.headers": [
                "content-length: 87",
                "content-type: text/plain",
                "date: <date>",
                "server: envoy",
            ],
            "log.0.flags": "UPE",
        },
    ),
    Accepted(
        "101 nobody asked for",
        ("hop_by_hop/response_101_unasked",),
        "passes it on, then both sides speak HTTP/1 again",
        "RFC 9110 §15.2.2: only in answer to Upgrade; the client would take what follows for the "
        "new protocol",
        ours={"responses.0.start": "HTTP/1.1 502 Bad Gateway"},
    ),
    Accepted(
        "headers that the upstream's Connection names",
        ("hop_by_hop/response_hop_by_hop",),
        "passes them on",
        "RFC 9110 §7.6.1: they must be removed",
        fields=("responses.0.headers",),
    ),
    Accepted(
        "leading zeroes of content-length",
        ("http1_framing/cl_leading_zeroes",),
        "forwards the digits as they came",
        "the number is written anew, so that nobody reads it as octal",
        fields=("upstream.0.headers",),
    ),
    Accepted(
        "a 400 before there is a request",
        (
            "access_log/operators_bad_request",
            "http1_framing/method_query",
            "http1_framing/name_nul",
            "http1_framing/target_space",
            "http1_framing/target_fragment",
            "http1_framing/target_utf8",
            "http1_framing/target_relative",
            "http1_framing/target_query_only",
            "http1_framing/target_nul",
            "http1_framing/target_ctl",
            "http1_framing/target_del",
        ),
        "has finer details for some, and logs method and path of some",
        "nothing of a head that was refused is trusted, and one detail names one cause",
        fields=(
            "log.0*",
            "responses.0.headers",
            "responses.0.body",
        ),
        ours={},
    ),
    Accepted(
        "HEAD without a length",
        (
            "actions/redirect_head",
            "responses/head_no_length",
            "responses/head_chunked",
            "vhosts/nostar_head_404",
        ),
        "sends transfer-encoding: chunked",
        "RFC 9110 §9.3.2: what GET would have sent, or nothing",
        fields=("responses.0.headers",),
    ),
    Accepted(
        "direct response 304",
        ("actions/direct_304",),
        "sends a location of itself",
        "there is nothing to redirect to",
        fields=("responses.0.headers",),
    ),
    Accepted(
        "reason phrase of 599",
        ("actions/direct_599", "responses/status_599"),
        "has a phrase of its own",
        "RFC 9110 §15: phrases mean nothing",
        fields=("responses.0.start",),
    ),
    Accepted(
        "a request whose upstream refuses the connection",
        (
            "failures/refused_post",
            "failures/refused_post_unfinished",
        ),
        "reads the body first",
        "the body waits in the socket until there is an upstream to take it",
        fields=("connection", "responses.0.headers", "log.0.rx"),
    ),
    Accepted(
        "two lines of a response header",
        ("headers/inline_headers", "http1_connection/response_lines"),
        "joins them with a comma",
        "RFC 9110 §5.3: the same meaning",
        fields=("responses.0.headers", "upstream.0.headers"),
    ),
    Accepted(
        "`te: Trailers`",
        ("hop_by_hop/te_upper",),
        "knows lower case only",
        "RFC 9110 §10.1.4: names of codings are case-insensitive",
        fields=("upstream.0.headers",),
    ),
    Accepted(
        "protocol of an HTTP/1.0 request",
        (
            "hop_by_hop/expect_http10",
            "http1_connection/http10_refused",
            "http1_connection/http10_refused_keep_alive",
            "http1_framing/te_http10",
            "http2/from1_http10*",
            "http2/from1_answer_10_no_length",
        ),
        "logs HTTP/1.1 when it was refused",
        "it was HTTP/1.0",
        fields=("log.0.protocol",),
    ),
    Accepted(
        "an expectation in HTTP/1.0",
        ("http1_connection/http10_expect",),
        "answers 100",
        "RFC 9110 §10.1.1: it must be ignored; HTTP/1.0 knows no 1xx",
        ours={"responses.0.start": "HTTP/1.0 200 OK"},
    ),
    Accepted(
        "an absolute-form target",
        (
            "http1_connection/absolute_no_path_query",
            "http1_connection/absolute_no_host",
            "http1_connection/absolute_off",
            "http1_connection/options_absolute",
        ),
        "answers 404 without a path, serves one without Host, routes OPTIONS of a whole server as /",
        "RFC 9112 §3.2: Host is required, an empty path is /, OPTIONS without one is *",
    ),
    Accepted(
        "methods that have no body",
        (
            "http1_connection/options_path",
            "http1_framing/method_propfind",
            "http1_framing/method_purge",
            "http1_framing/custom_method",
            "http2/method_custom_to1",
            "http2/method_lower_to1",
            "cors/full-preflight-evil",
            "cors/off-preflight-a",
            "cors/off-preflight-evil",
            "cors/shadow-preflight-a",
            "cors/shadow-preflight-evil",
            "cors/both-preflight-evil",
            "cors/weighted-preflight-evil",
            "cors/removed-preflight-evil",
            "cors/inherit-preflight-evil",
            "cors/regex-not-whole",
            "cors/case",
            "cors/options",
            "cors/empty-method",
            "cors/bare",
            "cors/renamed",
            "jwt_authn/preflight",
            "jwt_authn/preflight-forged",
        ),
        "adds content-length: 0 to all but GET, HEAD, DELETE, TRACE and CONNECT",
        "RFC 9110 §8.6: only methods that expect content",
        fields=("upstream.0.headers",),
    ),
    Accepted(
        "empty Host, or a port that cannot be",
        ("http1_framing/empty_host", "http1_framing/host_bad_port", "vhosts/empty_host"),
        "takes it",
        "an upstream would have to guess which host was meant",
        ours=_REFUSED,
    ),
    Accepted(
        "versions other than 1.0 and 1.1",
        (
            "http1_framing/line_no_version",
            "http1_framing/line_http09",
            "http1_framing/line_http2",
            "http1_framing/line_http12",
            "http1_framing/line_http3",
        ),
        "answers 426 to all",
        "RFC 9110 §15.6.6: 505; a line without a version is no HTTP/1.1",
        fields=("responses.0.*", "log.0.*"),
    ),
    Accepted(
        "`allow_chunked_length`",
        ("http1_framing/allow_chunked_length",),
        "keeps the connection",
        "RFC 9112 §6.1: the server must close after responding",
        fields=("connection", "responses.0.headers"),
    ),
    Accepted(
        "an upstream's own x-envoy-upstream-service-time",
        ("limits/suppress_upstream_sends",),
        "passes on the upstream's",
        "suppress_envoy_headers asks for none",
        fields=("responses.0.headers",),
    ),
    Accepted(
        "log of a path that was refused for its escaped slashes",
        (
            "paths/reject_0",
            "paths/reject_1",
            "paths/reject_2",
        ),
        "logs the path unescaped",
        "the log shows what came",
        fields=("log.0.path",),
    ),
    Accepted(
        "an upstream that sends 100 and closes",
        ("responses/100_only_then_close",),
        "says that the response had started",
        "no response has started with a 100",
        fields=("log.0.details",),
    ),
    Accepted(
        "`host_rewrite_path_regex` that does not match",
        ("rewrite/host_regex_unmatched",),
        "makes the whole path the host",
        "a path is no host: the request keeps its own",
        fields=("upstream.0.headers", "log.0.authority"),
    ),
    Accepted(
        "`host` that differs from `:authority`",
        (
            "http2/host_other_to1",
            "http2/scheme_other_to1",
            "http2/path_fragment_to1",
            "http2/value_spaces_*",
        ),
        "takes them (drops that host, trims the value), and answers 400 to a fragment",
        "RFC 9113 §8.2.1, §8.3.1: such requests are malformed",
        ours={"connection": "eof, GOAWAY 1", "log.0.flags": "DPE", "upstream.count": 0},
    ),
    Accepted(
        "HTTP/2: a path with bytes above ASCII",
        ("http2/path_latin_*", "http2/path_high_*"),
        "passes it on, though not over HTTP/1.1",
        "RFC 3986 §2: no URI has them; the same over both",
        ours={"connection": "eof, GOAWAY 1", "log.0.flags": "DPE", "upstream.count": 0},
    ),
    Accepted(
        "HTTP/2: the last of several `cookie` fields is empty",
        ("http2/cookies_empty_last_to2",),
        "a field that ends in a space",
        "RFC 9113 §8.2.1: such a field is malformed",
        fields=("upstream.0.headers",),
    ),
    Accepted(
        "a `content-length` that the body belies",
        ("http2/length_short_to1", "http2/length_long_to1"),
        "resets the stream",
        "RFC 9113 §8.1.1: malformed, like a head that is; the connection ends unless "
        "`stream_error_on_invalid_http_message` is set",
        ours={"connection": "eof, GOAWAY 1"},
    ),
    Accepted(
        "`content-length: 0` of local replies over HTTP/2",
        (
            "http2/path_star_options_*",
            "http2/connect_to*",
            "connect_udp/not_configured_2",
            "connect_udp/only_connect_2",
            "per_filter/h2-direct",
            "*/*h2-grpc",
            "cors/h2-preflight",
        ),
        "leaves it out",
        "it says the same and costs nothing",
        fields=("responses.0.headers",),
    ),
    Accepted(
        "an upgrade or CONNECT that is refused (403), over HTTP/2",
        ("connect_udp/not_configured_2", "connect_udp/only_connect_2"),
        "GOAWAY: no more requests on this connection",
        "the other streams have nothing to do with it",
        fields=("connection",),
        ours={"connection": "open"},
    ),
    Accepted(
        "CONNECT-UDP: a target that is no host, or no port from 1 to 65535",
        (
            "connect_udp/host_slash_in_host",
            "connect_udp/host_space_in_host",
            "connect_udp/host_question_in_host",
            "connect_udp/host_named_port",
            "connect_udp/host_port_too_large",
        ),
        "becomes the authority as it is",
        "RFC 9298 section 3: such a request is malformed; no authority can be forged in a path",
        ours={
            "responses.0.start": "HTTP/1.1 404 Not Found",
            "responses.0.body": "The path is incorrect for CONNECT-UDP",
            "log.0.details": "invalid_path",
            "upstream.count": 0,
        },
    ),
    Accepted(
        "a token whose `alg` is not the key's",
        (
            "jwt_authn/algs-es-as-rs",
            "jwt_authn/algs-hs-as-rs",
            "jwt_authn/algs-es256-with-p384",
            "jwt_authn/algs-es384-with-p256",
        ),
        "verifies with the algorithm of the key, whatever the token says",
        "RFC 8725 §3.1: a key is for its algorithms",
        ours={"responses.0.start": "HTTP/1.1 401 Unauthorized", "upstream.count": 0},
    ),
    Accepted(
        "an Ed25519 key before the one that signed",
        ("jwt_authn/algs-rs-as-ps", "jwt_authn/algs-hs256-as-hs512", "jwt_authn/kids-PS256-"),
        "says `Jwt ED25519 signature is wrong length` of a token that is none of that key's",
        "the order of keys means nothing",
        ours={"responses.0.body": "Jwt verification fails", "upstream.count": 0},
    ),
    Accepted(
        "an Ed25519 key before the one that signed",
        ("jwt_authn/kids-HS256-",),
        "does not come to the key that signed it",
        "the order of keys means nothing",
        ours={"responses.0.start": "HTTP/1.1 200 OK"},
    ),
    Accepted(
        "what is left of a query",
        ("jwt_authn/at-default-20",),
        "503: decoded, it cannot be a path",
        "the client's request was right, and says the same without its token",
        ours={
            "responses.0.start": "HTTP/1.1 200 OK",
            "upstream.0.start": "GET /x?b=%20%0D%0A%23?&b=%26= HTTP/1.1",
        },
    ),
]

# Listeners whose configuration ours refuses so far, naming the field: group/listener -> the name.
# Their cases pass while that is so; docs/parity.md must contain the name.
NOT_YET = {
    "routes/template": "uri_template_matcher",
    "http1_connection/preserve_case": "preserve_case",
    "forwarded/xff_ext": "envoy.http.original_ip_detection.xff",
    "vhosts/vhost_header": "vhost_header",
    "limits/proxy_status": "proxy_status_config",
    "limits/local_reply": "local_reply_config",
    "limits/strict": "strict_check_headers",
    "hop_by_hop/ignore_upgrade": "ignore_http_11_upgrade",
    "http1_connection/proper_case": "header_key_format",
    "access_log/rare_LOCAL_REPLY_BODY": "LOCAL_REPLY_BODY",
    "access_log/rare_FILTER_STATE": "FILTER_STATE",
    "access_log/rare_METADATA": "METADATA",
    "access_log/rare_UPSTREAM_HOSTS_ATTEMPTED": "UPSTREAM_HOSTS_ATTEMPTED",
}

# Stats of Envoy's that ours need not have, as globs; mirrored in docs/differences.md.
ACCEPTED_STATS = (
    "http.admin.*",  # the admin port is served by Python: it has no stats of a data plane
    "listener.admin.*",
    "runtime.*",  # runtime layers are read, not acted on
    "thread_local_cluster_manager.*",  # Envoy's insides
    "server.memory_*",
    "server.stats_recent_lookups",
    "server.wip_protos",
    "server.*_unknown_fields",  # unknown fields are refused, never counted
    "server.compilation_settings.*",
    "server.days_until_first_cert_expiring",  # no TLS yet
    "cluster.*.default.total_match_count",  # host objects that Envoy has made
    "cluster.*.circuit_breakers.high.cx_pool_open",  # set by Envoy although never used
    "*_buffered",
)
