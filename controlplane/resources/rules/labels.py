"""Labels, and selectors made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from controlplane.problem import Problem, shown
from controlplane.resources.schema import below

_NAME = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_DNS = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_KEY = re.compile(rf"(?:({_DNS}(?:\.{_DNS})*)/)?({_NAME})")
_VALUE = re.compile(rf"(?:{_NAME})?")


def labels(values: Mapping[str, str], path: str) -> Iterator[Problem]:
    """`[dns.prefix/]name: value`."""
    for key, value in values.items():
        at = below(path, key)
        # The lengths first: then no expression works on long text.
        found = _KEY.fullmatch(key) if len(key) <= 253 + 1 + 63 else None
        if found is None or len(found[1] or "") > 253 or len(found[2]) > 63:
            reason = f"{shown(key)} is no label; write [dns.prefix/]name, letters, digits, - _ ."
            yield Problem(at, reason)
        if len(value) > 63 or _VALUE.fullmatch(value) is None:
            reason = f"{shown(value)} is no value of a label: letters, digits, - _ ., 63 at most"
            yield Problem(at, reason)


def selector(values: Mapping[str, str] | None, path: str) -> Iterator[Problem]:
    """Labels that select workloads; None is no selector, an empty one selects all."""
    if values is None:
        return
    if not values:
        reason = "has no labels, so it selects every workload; leave the selector out or add labels"
        yield Problem(path, reason, warning=True)
    for key, value in values.items():
        at = below(path, key)
        if not key:
            yield Problem(at, "has an empty key; write label: value")
        if "*" in key or "*" in value:
            yield Problem(at, "selectors have no wildcards; write the label's exact value")
        if len(value) > 63:
            yield Problem(at, f"must be 63 characters at most, is {len(value)} long")
