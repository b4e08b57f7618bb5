"""Plain scalars of YAML as Kubernetes reads them: sigs.k8s.io/yaml, whose grammar is 1.1's.

So `yes`, `on` and `y` are true, `017` is 15, and `2026-11-27` and `1:30` are strings (1.1 would
have made a date and a number of base 60). tests/unit/controlplane/sources/sigs_yaml.json holds
what sigs.k8s.io/yaml 1.6.0 itself makes of the doubtful ones.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final

#: What a plain scalar can be.
Scalar = str | int | float | bool | None

_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE"), True),
    **dict.fromkeys(("on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE"), False),
    **dict.fromkeys(("off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_NOT_FINITE: Final = frozenset(
    sign + word for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")
) | {".nan", ".NaN", ".NAN"}
_INTEGER: Final = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)"
    r"|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_BASES: Final = (("dec", 10), ("hex", 16), ("oct", 8), ("bin", 2))
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
#: No number has more characters; what is longer is not looked at (and not remembered).
_LONGEST: Final = 400


class NotFinite(ValueError):
    """`.nan` and `.inf`: JSON has no such numbers, so no resource can."""


def resolve(text: str) -> Scalar:
    """The value of a plain scalar. Raises NotFinite."""
    return _resolve(text) if len(text) <= _LONGEST else text


def key(value: Scalar) -> str | None:
    """A key of an object as JSON has it (`8080:` is "8080", `on:` is "true"); None if it has no
    certain spelling (a float, or nothing)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None


@lru_cache(maxsize=16_384)
def _resolve(text: str) -> Scalar:
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first not in "+-.0123456789":
        return text
    if text in _NOT_FINITE:
        raise NotFinite(text)
    if first == ".":
        return _float(text) if _FLOAT.fullmatch(text) else text
    plain = text.replace("_", "")
    if (whole := _INTEGER.fullmatch(plain)) and (number := _integer(whole)) is not None:
        return number
    if _FLOAT.fullmatch(plain):
        number_or_text = _float(plain)
        return text if isinstance(number_or_text, str) else number_or_text
    return text


def _integer(match: re.Match[str]) -> int | None:
    """The number, unless 64 bits are too few for it."""
    digits, base = next((match[name], base) for name, base in _BASES if match[name])
    number = int(digits, base)
    if match["sign"] == "-":
        return -number if number <= 1 << 63 else None
    return number if number < 1 << (63 if match["sign"] else 64) else None


def _float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text
