"""Retries, of routes and of MeshConfig."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from http import HTTPStatus

from controlplane.problem import Problem, shown
from controlplane.resources.common.retry import HTTPRetry
from controlplane.resources.rules import numbers

_CONDITIONS = (
    "5xx",
    "cancelled",
    "connect-failure",
    "deadline-exceeded",
    "envoy-ratelimited",
    "gateway-error",
    "http3-post-connect-failure",
    "internal",
    "refused-stream",
    "reset",
    "reset-before-request",
    "resource-exhausted",
    "retriable-4xx",
    "retriable-headers",
    "retriable-status-codes",
    "unavailable",
)
_STATUSES = frozenset(str(int(status)) for status in HTTPStatus)


def retries(given: HTTPRetry | None, path: str) -> Iterator[Problem]:
    """Attempts, durations and conditions."""
    if given is None:
        return
    yield from numbers.not_negative(given.attempts, f"{path}.attempts")
    if given.attempts == 0:
        for name, value in (
            ("perTryTimeout", given.per_try_timeout),
            ("retryOn", given.retry_on or None),
            ("retryRemoteLocalities", given.retry_remote_localities),
        ):
            if value is not None:
                reason = "has no effect with 0 attempts (no retries); set attempts or remove it"
                yield Problem(f"{path}.{name}", reason)
    yield from numbers.duration(given.per_try_timeout, f"{path}.perTryTimeout")
    yield from numbers.duration(given.backoff, f"{path}.backoff")
    for condition in given.retry_on.split(",") if given.retry_on else ():
        if condition not in _CONDITIONS and condition not in _STATUSES:
            near = difflib.get_close_matches(condition[:60].strip(), _CONDITIONS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; use {', '.join(_CONDITIONS)}"
            reason = f"{shown(condition)} is neither a condition nor a status{hint}"
            yield Problem(f"{path}.retryOn", reason)
