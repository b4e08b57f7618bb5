"""Names and values of headers, and what may be changed in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.common.headers import HeaderOperations, Headers
from controlplane.resources.schema import below

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~A-Za-z0-9]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_PSEUDO = frozenset({":method", ":scheme", ":authority", ":path", ":status"})
_CLAIM = re.compile(r"@request\.auth\.claims(?:\..+|\[.+\])", re.IGNORECASE | re.DOTALL)
#: What Envoy's formatter takes: %%, %NAME%, %NAME(text)%, %NAME(["a", "b"])%.
_FORMAT = re.compile(
    r"""[^%]|%%
    | %[^%(]*%
    | %[^%(]*\([ ]* (?: \[ [ ]*"(?:[^"\\]|\\.)*"[ ]*(?:,[ ]*"(?:[^"\\]|\\.)*"[ ]*)* \][ ]*
                     | [^\[ )](?:[^)\\]|\\.)* ) \)[ ]*%""",
    re.VERBOSE | re.DOTALL,
)


def is_claim(name: str) -> bool:
    """`@request.auth.claims.a.b` or `@request.auth.claims[a][b]`: a claim instead of a header."""
    return _CLAIM.fullmatch(name) is not None


def matched_name(name: str, path: str) -> Iterator[Problem]:
    """A header of a match: a name, a pseudo header, or a claim."""
    if name not in _PSEUDO and not is_claim(name) and not _TOKEN.fullmatch(name):
        hint = "; claims are @request.auth.claims[a][b]" if name.startswith("@") else ""
        yield Problem(path, f"{shown(name)} is no header name{hint}")


def cors_name(name: str, path: str) -> Iterator[Problem]:
    """A header of a CORS policy: a name, or `*`."""
    if not _TOKEN.fullmatch(name):
        yield Problem(path, f"{shown(name)} is no header name; write a name or *")


def probe_name(name: str, path: str) -> Iterator[Problem]:
    """A header of a probe, in Kubernetes' narrower alphabet."""
    if not re.fullmatch(r"[-A-Za-z0-9]+", name):
        yield Problem(path, f"{shown(name)} is no header name: letters, digits and -")


def _changed_name(name: str, path: str, *, authority: bool) -> Iterator[Problem]:
    lower = name.lower()
    if authority and lower in {":authority", "host"}:
        return
    if not name:
        yield Problem(path, "a header needs a name")
    elif lower == "host":
        yield Problem(path, "Host cannot be changed here; use rewrite.authority")
    elif name.startswith(":"):
        yield Problem(path, f"{shown(name)} cannot be changed: it is HTTP/2's own")
    elif not _TOKEN.fullmatch(name):
        yield Problem(path, f"{shown(name)} is no header name")


def value(text: str, path: str) -> Iterator[Problem]:
    """A value to set, with Envoy's %COMMANDS%."""
    if not _VALUE.fullmatch(text):
        yield Problem(path, "has control characters; remove line breaks")
        return
    position = 0
    while position < len(text):
        # Literal text is skipped at once.
        at = text.find("%", position)
        if at < 0:
            return
        found = _FORMAT.match(text, at)
        if found is None:
            rest = shown(text[at:])
            yield Problem(path, f"% at {at} begins no command ({rest}); write %% for a plain %")
            return
        position = found.end()


def headers(given: Headers | None, path: str) -> Iterator[Problem]:
    """All operations of both ways."""
    if given is not None:
        yield from _operations(given.request, f"{path}.request", authority=True)
        yield from _operations(given.response, f"{path}.response", authority=False)


def _operations(given: HeaderOperations | None, path: str, *, authority: bool) -> Iterator[Problem]:
    if given is None:
        return
    for operation, values in (("set", given.set), ("add", given.add)):
        for name, text in values.items():
            at = below(f"{path}.{operation}", name)
            yield from _changed_name(name, at, authority=authority)
            yield from value(text, at)
    for index, name in enumerate(given.remove):
        yield from _changed_name(name, f"{path}.remove[{index}]", authority=False)
