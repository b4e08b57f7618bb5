"""Filters of access logs: the part of CEL that Envoy's own filters can say.

    response.code >= 400 && request.headers['x-debug'] == 'yes' || !has(request.headers['y'])

Comparisons of `response.code` with numbers and of headers with strings, `has(...)` of headers, `!`,
`&&`, `||`, `true`, `false` and parentheses. Everything else is refused by name: a sidecar has no
CEL.
"""

from __future__ import annotations

import re

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLogFilter, ComparisonFilter
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

_TOKEN = re.compile(
    r"\s*(?:(?P<code>response\.code\b)"
    r"|(?P<header>request\.headers\[(?P<quote>['\"])(?P<name>[-_.A-Za-z0-9:]+)(?P=quote)\])"
    r"|(?P<has>has\()"
    r"|(?P<constant>true|false)\b"
    r"|(?P<number>\d{1,9})(?!\w)"
    r"|(?P<text>'[^'\\]*'|\"[^\"\\]*\")"
    r"|(?P<sign>&&|\|\||==|!=|>=|<=|>|<|!|\(|\)))"
)
_DEEPEST = 32
#: Envoy wants a name for what could be changed at run time; this one nobody sets.
_RUNTIME_KEY = "fastmesh.access_log.unset"
_OPPOSITE = {"==": "!=", "!=": "==", ">": "<=", "<=": ">", "<": ">=", ">=": "<"}
#: Our sign as Envoy's, and what is added to the number.
_SIGNS = {
    "==": (ComparisonFilter.EQ, 0),
    "!=": (ComparisonFilter.NE, 0),
    ">=": (ComparisonFilter.GE, 0),
    "<=": (ComparisonFilter.LE, 0),
    ">": (ComparisonFilter.GE, 1),
    "<": (ComparisonFilter.LE, -1),
}


#: What a tag of a metric can be set to without CEL.
_LABEL_VALUE = re.compile(
    r"\s*(?:request\.(?:host|method)|response\.code|'[^'\"\\]*'|\"[^'\"\\]*\""
    r"|request\.headers\[\s*(?:'[-_.A-Za-z0-9]+'|\"[-_.A-Za-z0-9]+\")\s*\])\s*"
)


def is_label_value(text: str) -> bool:
    """Whether our sidecar's `istio.stats` understands it."""
    return _LABEL_VALUE.fullmatch(text) is not None


class Untranslatable(ValueError):
    """What cannot be said, and where."""


def access_log_filter(text: str) -> AccessLogFilter:
    """The filter of an expression. Raises Untranslatable."""
    reader = _Reader(text)
    built = reader.any_of(negated=False, depth=0)
    if reader.kind:
        raise reader.wrong()
    return built


class _Reader:
    """A recursive descent with one token ahead; `kind` is "" at the end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._next: re.Match[str] | None = None
        self.kind = ""
        self._advance()

    def wrong(self) -> Untranslatable:
        start = self._next.start() if self._next else self._at
        rest = self._text[start : start + 40].strip()
        return Untranslatable(f"{rest!r}" if rest else "its end")

    def any_of(self, *, negated: bool, depth: int) -> AccessLogFilter:
        return self._joined("||", negated=negated, depth=depth)

    def _joined(self, sign: str, *, negated: bool, depth: int) -> AccessLogFilter:
        def part() -> AccessLogFilter:
            if sign == "||":
                return self._joined("&&", negated=negated, depth=depth)
            return self._unary(negated=negated, depth=depth)

        parts = [part()]
        while self._sign() == sign:
            self._advance()
            parts.append(part())
        if len(parts) == 1:
            return parts[0]
        built = AccessLogFilter()
        # Not (a or b) is (not a) and (not b).
        either = (sign == "||") != negated
        (built.or_filter if either else built.and_filter).filters.extend(parts)
        return built

    def _unary(self, *, negated: bool, depth: int) -> AccessLogFilter:
        if depth == _DEEPEST:
            raise self.wrong()
        if self._sign() == "!":
            self._advance()
            return self._unary(negated=not negated, depth=depth + 1)
        if self._sign() == "(":
            self._advance()
            inner = self.any_of(negated=negated, depth=depth + 1)
            self._close()
            return inner
        if self.kind == "has":
            self._advance()
            inner = _header(HeaderMatcher(name=self._take("header", "name"), present_match=True))
            self._close()
            inner.header_filter.header.invert_match = negated
            return inner
        if self.kind == "constant":
            passes = (self._take("constant") == "true") != negated
            # Every code is 0 at least, none has seven digits.
            return _status(">=", 0 if passes else 1_000_000)
        if self.kind == "header":
            return self._header_compared(negated)
        self._take("code")
        compared = self._comparison(negated)
        return _status(compared, int(self._take("number")))

    def _header_compared(self, negated: bool) -> AccessLogFilter:
        name = self._take("header", "name")
        sign = self._comparison(negated)
        if sign not in {"==", "!="}:
            raise self.wrong()
        matcher = HeaderMatcher(
            name=name,
            string_match=StringMatcher(exact=self._take("text")[1:-1]),
            invert_match=sign == "!=",
        )
        return _header(matcher)

    def _comparison(self, negated: bool) -> str:
        sign = self._sign()
        if sign not in _OPPOSITE:
            raise self.wrong()
        self._advance()
        return _OPPOSITE[sign] if negated else sign

    def _close(self) -> None:
        if self._sign() != ")":
            raise self.wrong()
        self._advance()

    def _take(self, kind: str, group: str = "") -> str:
        if self.kind != kind or self._next is None:
            raise self.wrong()
        found = self._next[group or kind]
        self._advance()
        return found

    def _sign(self) -> str:
        return self._next["sign"] if self._next is not None and self.kind == "sign" else ""

    def _advance(self) -> None:
        if self._next is not None:
            self._at = self._next.end()
        self._next = _TOKEN.match(self._text, self._at)
        kinds = ("code", "header", "has", "constant", "number", "text", "sign")
        if self._next is not None:
            self.kind = next(one for one in kinds if self._next[one] is not None)
        elif self._text[self._at :].strip():
            raise self.wrong()
        else:
            self.kind = ""


def _status(sign: str, number: int) -> AccessLogFilter:
    op, more = _SIGNS[sign]
    if number + more < 0:
        raise Untranslatable(f"response.code {sign} {number}: no code is below 0")
    built = AccessLogFilter()
    comparison = built.status_code_filter.comparison
    comparison.op = op
    comparison.value.default_value = number + more
    comparison.value.runtime_key = _RUNTIME_KEY
    return built


def _header(matcher: HeaderMatcher) -> AccessLogFilter:
    built = AccessLogFilter()
    built.header_filter.header.CopyFrom(matcher)
    return built
