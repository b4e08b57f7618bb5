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
        ("actions/direct_204_body",),
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
    "limits/invalid_messages": "stream_error_on_invalid_http_message",
    "limits/override_invalid": "override_stream_error_on_invalid_http_message",
    "limits/strict": "strict_check_headers",
    "hop_by_hop/ignore_upgrade": "ignore_http_11_upgrade",
    "headers/metadata": "DYNAMIC_METADATA",
    "http1_connection/proper_case": "header_key_format",
    "priority/main": "priorities other than 0",
    "access_log/rare_LOCAL_REPLY_BODY": "LOCAL_REPLY_BODY",
    "access_log/rare_DYNAMIC_METADATA": "DYNAMIC_METADATA",
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
    "cluster.*.default.total_match_count",  # undocumented
    "cluster.*.circuit_breakers.high.cx_pool_open",  # set by Envoy although never used
    "*_buffered",
)
