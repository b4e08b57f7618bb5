"""The keys of `when`, and what their values must look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from controlplane.problem import Problem
from controlplane.resources.authorization_policy.schema import Condition
from controlplane.resources.authorization_policy.values import (
    check_ips,
    check_not_empty,
    check_ports,
    check_service_accounts,
    check_wildcards,
)

_Check = Callable[[tuple[str, ...], str], Iterator[Problem]]

KEYS: Mapping[str, _Check] = {
    "connection.sni": check_not_empty,
    "destination.ip": check_ips,
    "destination.port": check_ports,
    "remote.ip": check_ips,
    "request.auth.audiences": check_not_empty,
    "request.auth.presenter": check_not_empty,
    "request.auth.principal": check_not_empty,
    "source.ip": check_ips,
    "source.namespace": check_not_empty,
    "source.principal": check_not_empty,
    "source.serviceAccount": check_service_accounts,
    "source.trustDomain": check_wildcards,
}

#: So much of a key that is none is said.
_SHOWN = 80

#: Keys with a name in brackets: `request.headers[User-Agent]`.
KEYED = ("request.headers", "request.auth.claims", "experimental.envoy.filters.")

#: Keys of other versions of the API, and what is used today.
_GONE = {
    "destination.name": "it was part of v1alpha1",
    "destination.user": "it was part of v1alpha1",
    "destination.namespace": "the policy's metadata.namespace says it",
    "destination.labels": "the policy's selector says it",
}


def check_condition(condition: Condition, path: str) -> Iterator[Problem]:
    key = condition.key
    wrong = _wrong_key(key)
    if wrong:
        yield Problem(f"{path}.key", wrong)
        return
    if not condition.values and not condition.not_values:
        yield Problem(path, f"{key} is compared with nothing; give it values or notValues")
    check = KEYS.get(key, check_not_empty)
    yield from check(condition.values, f"{path}.values")
    yield from check(condition.not_values, f"{path}.notValues")


def _wrong_key(key: str) -> str:
    if not key:
        return "must not be empty"
    if key in KEYS:
        return ""
    base, bracket, name = key.partition("[")
    if base in _GONE:
        return f"there is no {key}: {_GONE[base]}"
    if key.startswith(KEYED):
        if bracket and name.endswith("]") and len(name) > 1:
            return ""
        return f"must name a part in brackets, like {base}[NAME], is {key!r}"
    known = ", ".join([*KEYS, *(f"{one}[]" for one in KEYED)])
    return f"there is no {key if len(key) <= _SHOWN else key[:_SHOWN] + '...'}; known are {known}"
