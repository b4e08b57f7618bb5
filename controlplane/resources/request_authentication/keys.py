"""Inline keys: a JSON Web Key Set (RFC 7517), or one key by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

#: What a key of each type must have, the numbers among it in base64url.
_NEEDED = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
    "oct": ("k",),
}
_TEXT = frozenset({"crv"})
#: Decoding is not asked: Python's takes `+` and `/` as well.
_BASE64URL = re.compile(r"[-_A-Za-z0-9]+={0,2}")
#: Characters.
LONGEST = 256 * 1024


def wrong_keys(text: str) -> str:
    """Why the text holds no keys; "" when it does. Never shows a part of it."""
    if len(text) > LONGEST:
        return f"has {len(text)} characters; {LONGEST} are the most"
    keys = _parse(text)
    if isinstance(keys, str):
        return keys
    for index, key in enumerate(keys):
        reason = _wrong_key(key)
        if reason:
            return f"keys[{index}] {reason}"
    return ""


def private_keys(text: str) -> Iterator[int]:
    """Indexes of the keys that nobody else should have."""
    keys = _parse(text) if 0 < len(text) <= LONGEST else []
    for index, key in enumerate(keys if isinstance(keys, list) else []):
        if isinstance(key, dict) and ("d" in key or key.get("kty") == "oct"):
            yield index


def _parse(text: str) -> list[Any] | str:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        # The message of JSONDecodeError has the place and not the text.
        return f"is no JSON: {error}"
    if not isinstance(value, dict):
        return 'must be an object: {"keys": [...]}'
    if "keys" not in value:
        return [value] if "kty" in value else 'has no "keys"'
    keys = value["keys"]
    return keys if isinstance(keys, list) else '"keys" must be a list'


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _wrong_key(key: Any) -> str:
    if not isinstance(key, Mapping):
        return "must be an object"
    kind = key.get("kty")
    if not isinstance(kind, str) or kind not in _NEEDED:
        return f'has no "kty" of {", ".join(_NEEDED)}'
    for name in _NEEDED[kind]:
        value = key.get(name)
        if not isinstance(value, str) or not value:
            return f'({kind}) has no "{name}"'
        if name not in _TEXT and not _BASE64URL.fullmatch(value):
            return f'({kind}) "{name}" is no base64url'
    return ""
