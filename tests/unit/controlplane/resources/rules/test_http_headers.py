"""Values of headers: Envoy's commands, plain per cent signs, nothing that splits a header."""

import pytest

from controlplane.resources.rules import http_headers


def _said(text: str) -> list[str]:
    return [problem.reason for problem in http_headers.value(text, "p")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "tab\there",
        "100%%",
        "%PROTOCOL%",
        "a %REQ(X-A?X-B)% b",
        '%UPSTREAM_METADATA(["a", "b"])%',
        "%DYNAMIC_METADATA(a:b)%",
        "%START_TIME(%s.%3f)%",
        "é",
    ],
)
def test_taken(text: str) -> None:
    assert _said(text) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\r\nb: c", "has control characters; remove line breaks"),
        ("\x00", "has control characters"),
        ("100%", "% at 3 begins no command ('%'); write %% for a plain %"),
        ("%REQ(a%", "% at 0 begins no command"),
        ("%X(a)", "% at 0 begins no command"),
        ("%X([a])%", "% at 0 begins no command"),
        ('%X(["a")%', "% at 0 begins no command"),
        ("%X()%", "% at 0 begins no command"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    (said,) = _said(text)
    assert said.startswith(reason)


def test_a_long_value_takes_no_time_that_grows_faster_than_it() -> None:
    assert _said("%X(" + "a" * 200_000) != []
    assert _said("%X([" + '"a",' * 50_000) != []
    assert _said("%%" * 200_000) == []


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("@request.auth.claims.a", True),
        ("@request.auth.claims[a][b]", True),
        ("@Request.Auth.Claims.a.b", True),
        ("@request.auth.claims", False),
        ("@request.auth.claims.", False),
        ("@request.auth.claims[]", False),
        ("x", False),
    ],
)
def test_claims(name: str, claim: bool) -> None:
    assert http_headers.is_claim(name) is claim
