"""Filters of access logs: what can be said, by evaluating both; what cannot is refused."""

from __future__ import annotations

import pytest
from envoy.config.accesslog.v3.accesslog_pb2 import AccessLogFilter

from controlplane.resources.telemetry.expressions import Untranslatable, access_log_filter


def _passes(built: AccessLogFilter, code: int, headers: dict[str, str]) -> bool:
    """As Envoy evaluates it."""
    kind = built.WhichOneof("filter_specifier")
    if kind == "and_filter":
        return all(_passes(one, code, headers) for one in built.and_filter.filters)
    if kind == "or_filter":
        return any(_passes(one, code, headers) for one in built.or_filter.filters)
    if kind == "status_code_filter":
        comparison = built.status_code_filter.comparison
        number = comparison.value.default_value
        return {
            "EQ": code == number,
            "NE": code != number,
            "GE": code >= number,
            "LE": code <= number,
        }[comparison.Op.Name(comparison.op)]
    matcher = built.header_filter.header
    if matcher.HasField("present_match"):
        found = matcher.name in headers
    else:
        found = headers.get(matcher.name) == matcher.string_match.exact
    return found != matcher.invert_match


_CASES = [
    ("true", lambda code, headers: True),
    ("!true || false", lambda code, headers: False),
    ("response.code == 200", lambda code, headers: code == 200),
    ("response.code > 399", lambda code, headers: code > 399),
    ("response.code < 400", lambda code, headers: code < 400),
    ("!(response.code < 400)", lambda code, headers: code >= 400),
    (
        "response.code >= 500 || response.code == 404 && has(request.headers['x-a'])",
        lambda code, headers: code >= 500 or (code == 404 and "x-a" in headers),
    ),
    (
        "!(response.code >= 500 || request.headers['x-a'] == 'b')",
        lambda code, headers: code < 500 and headers.get("x-a") != "b",
    ),
    (
        '!!(!has(request.headers["x-a"]) && response.code != 404)',
        lambda code, headers: "x-a" not in headers and code != 404,
    ),
]


@pytest.mark.parametrize(("text", "meaning"), _CASES, ids=lambda one: one or "")
def test_it_means_what_it_says(text: str, meaning: object) -> None:
    assert callable(meaning)
    built = access_log_filter(text)
    for code in (0, 200, 399, 400, 404, 500):
        for headers in ({}, {"x-a": "b"}, {"x-a": "c"}):
            assert _passes(built, code, headers) == meaning(code, headers), (code, headers)


@pytest.mark.parametrize(
    "text",
    [
        "response.flags != 0",
        "response.code",
        "response.code >= '400'",
        "response.code < 0",
        "response.codex == 1",
        "request.headers['x'] >= 'a'",
        "request.headers['x'].startsWith('a')",
        "has(response.code)",
        "(response.code == 1",
        "response.code == 1)",
        "response.code == 1 &&",
        "response.code == 1 response.code == 2",
        "response.code == 99999999999",
        "response.code == 1 ? true : false",
        "!" * 40 + "has(request.headers['x'])",
        "(" * 5000,
        "connection.mtls",
    ],
)
def test_what_cannot_be_said_is_refused(text: str) -> None:
    with pytest.raises(Untranslatable):
        access_log_filter(text)
