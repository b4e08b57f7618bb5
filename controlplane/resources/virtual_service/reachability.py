"""Warnings about rules of a VirtualService that nothing ever reaches."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from controlplane.problem import Problem
from controlplane.resources.virtual_service.schema import (
    HTTPMatchRequest,
    HTTPRoute,
    TCPRoute,
    TLSRoute,
    VirtualService,
)

#: Comparisons of prefixes with each other before the search is given up: they are only warnings.
_MOST_COMPARISONS = 100_000


def unreachable(spec: VirtualService) -> Iterator[Problem]:
    """Rules after one that takes everything, repeated matches, longer prefixes after shorter."""
    yield from _repeated(spec.http, "spec.http")
    yield from _covered(spec.http)
    yield from _repeated(spec.tcp, "spec.tcp")
    yield from _repeated(spec.tls, "spec.tls")


def _repeated(routes: Sequence[HTTPRoute | TCPRoute | TLSRoute], path: str) -> Iterator[Problem]:
    seen: dict[Hashable, str] = {}
    catch_all = ""
    for index, route in enumerate(routes):
        at = f"{path}[{index}]"
        if catch_all:
            reason = f"is never used: {catch_all} takes everything; put that one last"
            yield Problem(at, reason, warning=True)
            continue
        if not route.match:
            catch_all = at
            continue
        repeated = 0
        for number, match in enumerate(route.match):
            key = _key(match)
            earlier = seen.setdefault(key, f"{at}.match[{number}]")
            if earlier != f"{at}.match[{number}]":
                repeated += 1
                reason = f"is never used: the same as {earlier}"
                yield Problem(f"{at}.match[{number}]", reason, warning=True)
        if repeated == len(route.match):
            reason = "is never used: earlier rules have all its matches; remove it"
            yield Problem(at, reason, warning=True)


def _key(match: Any) -> Hashable:
    """What the match says; its name does not count, nor does the order of maps."""
    return tuple(
        tuple(sorted(value.items(), key=lambda item: item[0])) if isinstance(value, dict) else value
        for value in (
            getattr(match, one.name) for one in dataclasses.fields(match) if one.name != "name"
        )
    )


class _Prefix(NamedTuple):
    """A match by prefix, and where it is."""

    path: str
    prefix: str
    match: HTTPMatchRequest


def _covered(routes: Sequence[HTTPRoute]) -> Iterator[Problem]:
    found = [
        _Prefix(f"spec.http[{index}].match[{number}]", match.uri.prefix, match)
        for index, route in enumerate(routes)
        for number, match in enumerate(route.match)
        if match.uri is not None and match.uri.prefix
    ]
    left = _MOST_COMPARISONS
    for index, later in enumerate(found):
        left -= index
        if left < 0:
            return
        for earlier in found[:index]:
            # The same prefix is a repetition, or has other conditions.
            if later.prefix != earlier.prefix and _covers(earlier, later):
                reason = f"is never used: {earlier.path} has the shorter prefix, put that one later"
                yield Problem(f"{later.path}.uri.prefix", reason, warning=True)
                break


def _covers(earlier: _Prefix, later: _Prefix) -> bool:
    """Every request of the later match has been taken by the earlier one."""
    if not later.prefix.startswith(earlier.prefix):
        return False
    one, other = earlier.match, later.match
    if other.ignore_uri_case and not one.ignore_uri_case:
        return False
    maps = (
        (one.headers, other.headers),
        (one.query_params, other.query_params),
        (one.without_headers, other.without_headers),
        (one.source_labels, other.source_labels),
    )
    if any(not (given.items() <= more.items()) for given, more in maps):
        return False
    return all(
        not condition or condition == same
        for condition, same in (
            (one.scheme, other.scheme),
            (one.method, other.method),
            (one.authority, other.authority),
            (one.port, other.port),
            (one.gateways, other.gateways),
            (one.source_namespace, other.source_namespace),
        )
    )
