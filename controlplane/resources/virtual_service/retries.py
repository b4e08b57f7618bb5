"""Retries of a route: Istio's default, the mesh's, or the route's own."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import RetryPolicy
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)

from controlplane.resources.common.retry import HTTPRetry
from controlplane.translation.durations import duration
from controlplane.translation.pack import any_of

_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
#: Of an application that closes an idle connection just then, and has seen nothing.
UNSEEN = "reset-before-request"
_ATTEMPTS = 2
_HOST_ATTEMPTS = 5


def policy(
    given: HTTPRetry | None, default: HTTPRetry | None, *, hashed: bool = False
) -> RetryPolicy | None:
    """The policy of a route. `given` is the route's and `default` MeshConfig's; with neither, two
    more attempts where the host cannot have seen the request. None: no retries. `hashed`: the
    request chooses its host, so that the same one is asked again."""
    chosen = given or default
    if chosen is None:
        return _policy(_RETRY_ON, _ATTEMPTS, previous_hosts=not hashed)
    if chosen.attempts == 0:
        return None
    conditions, statuses = _split(chosen.retry_on or _RETRY_ON)
    said = chosen.retry_ignore_previous_hosts
    ignore = not hashed if said is None else said
    built = _policy(conditions, chosen.attempts, previous_hosts=ignore)
    built.retriable_status_codes.extend(statuses)
    if statuses and "retriable-status-codes" not in conditions:
        built.retry_on = ",".join(filter(None, (conditions, "retriable-status-codes")))
    if chosen.per_try_timeout is not None:
        built.per_try_timeout.CopyFrom(duration(chosen.per_try_timeout))
    if chosen.backoff is not None:
        built.retry_back_off.base_interval.CopyFrom(duration(chosen.backoff))
    if chosen.retry_remote_localities:
        built.retry_priority.name = "envoy.retry_priorities.previous_priorities"
        built.retry_priority.typed_config.CopyFrom(
            any_of(PreviousPrioritiesConfig(update_frequency=2))
        )
    return built


def of_inbound(given: HTTPRetry) -> RetryPolicy | None:
    """The mesh's policy of what comes in: of it only how often, when and how soon counts, because
    there is one host to ask."""
    if given.attempts == 0:
        return None
    conditions, statuses = _split(given.retry_on or UNSEEN)
    if statuses and "retriable-status-codes" not in conditions:
        conditions = ",".join(filter(None, (conditions, "retriable-status-codes")))
    built = RetryPolicy(retry_on=conditions, retriable_status_codes=statuses)
    built.num_retries.value = given.attempts
    if given.backoff is not None:
        built.retry_back_off.base_interval.CopyFrom(duration(given.backoff))
    return built


def _policy(conditions: str, attempts: int, *, previous_hosts: bool) -> RetryPolicy:
    built = RetryPolicy(retry_on=conditions, host_selection_retry_max_attempts=_HOST_ATTEMPTS)
    built.num_retries.value = attempts
    if previous_hosts:
        built.retry_host_predicate.add(
            name="envoy.retry_host_predicates.previous_hosts",
            typed_config=any_of(PreviousHostsPredicate()),
        )
    return built


def _split(text: str) -> tuple[str, list[int]]:
    """Conditions by name, and status codes, which Istio lets people write among them."""
    words = [word.strip() for word in text.split(",")]
    statuses = [int(word) for word in words if word.isascii() and word.isdecimal()]
    return ",".join(word for word in words if word and not word.isdecimal()), statuses
