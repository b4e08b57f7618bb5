"""Two records of the same case, field by field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

Flat = dict[str, Any]


def flatten(record: dict[str, Any], *, any_order: bool = False) -> Flat:
    """A record as dotted fields; header lists become multisets (their order does not count).
    `any_order`: that of what reaches upstreams does not, either."""
    flat: Flat = {"connection": record["connection"], "leftover": record.get("leftover", "")}
    for kind in ("responses", "upstream", "log"):
        flat[f"{kind}.count"] = len(record[kind])
        items = record[kind]
        if kind == "upstream" and any_order:
            items = sorted(items, key=lambda one: (one.get("to", ""), one.get("start", "")))
        for i, item in enumerate(items):
            if isinstance(item, str):
                flat[f"{kind}.{i}"] = item
                continue
            for key, value in item.items():
                name = f"{kind}.{i}.{key}"
                flat[name] = sorted(value) if isinstance(value, list) else value
    return flat


def differences(
    envoy: dict[str, Any], ours: dict[str, Any], ignore: Sequence[str], *, any_order: bool = False
) -> Flat:
    """Fields that differ, as (Envoy's value, ours); for headers only what differs."""
    left, right = flatten(envoy, any_order=any_order), flatten(ours, any_order=any_order)
    found: Flat = {}
    for name in [*left, *(n for n in right if n not in left)]:
        a, b = left.get(name), right.get(name)
        if a == b or any(fnmatchcase(name, pattern) for pattern in ignore):
            continue
        if isinstance(a, list) and isinstance(b, list):
            only_a, only_b = Counter(a) - Counter(b), Counter(b) - Counter(a)
            found[name] = (sorted(only_a.elements()), sorted(only_b.elements()))
        else:
            found[name] = (a, b)
    return found


def show(found: Flat) -> str:
    """One difference per two lines."""
    return "\n".join(
        f"  {name}\n    envoy: {a!r}\n    ours:  {b!r}" for name, (a, b) in found.items()
    )
