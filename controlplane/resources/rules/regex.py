"""Regular expressions: RE2's, as Envoy will compile them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import re2

from controlplane.problem import Problem, shown
from controlplane.resources.common.match import StringMatch

#: Istio's bound of the text, and what it allows Envoy for the compiled program.
_LONGEST = 1024
_LARGEST = 32768


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    # Bounds the work of the compiler as well as its result.
    options.max_mem = 8 << 20
    return options


_OPTIONS = _options()


@lru_cache(maxsize=1024)
def _wrong(text: str) -> str | None:
    """Why it cannot be taken; None if it can."""
    if not text:
        return "must not be empty"
    if len(text.encode(errors="surrogatepass")) > _LONGEST:
        return f"must be {_LONGEST} bytes at most"
    try:
        compiled = re2.compile(text, _OPTIONS)
    except (re2.error, UnicodeError) as error:
        message = error.args[0] if error.args else error
        said = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
        return f"{shown(text)} is no RE2 expression: {said}"
    if compiled.programsize > _LARGEST:
        steps = compiled.programsize
        return f"{shown(text)} has {steps} steps when compiled, {_LARGEST} at most; simplify it"
    return None


def regex(text: str, path: str) -> Iterator[Problem]:
    """An RE2 expression of bounded size."""
    if reason := _wrong(text):
        yield Problem(path, reason)


def match(value: StringMatch | None, path: str, *, empty_prefix: bool = False) -> Iterator[Problem]:
    """A comparison. An empty prefix is for paths only, where it means any."""
    if value is None:
        return
    if value.prefix == "" and not empty_prefix:
        yield Problem(f"{path}.prefix", "must not be empty; leave the match out to match anything")
    if value.regex is not None:
        yield from regex(value.regex, f"{path}.regex")
