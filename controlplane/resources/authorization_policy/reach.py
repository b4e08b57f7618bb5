"""Which services an identity can never call: the other side of AuthorizationPolicies.

A sidecar needs nothing of a service that denies it whatever it asks. So the configuration that a
workload holds follows what it may do, and a mesh that allows little costs little. The answer is
careful: "never" is said only when every workload of the service has an ALLOW policy and no rule of
any policy that may hold for one of them can admit the identity. What a rule asks of addresses,
tokens, paths or methods is taken as granted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from controlplane.registry import mesh
from controlplane.registry.model import Service
from controlplane.resources.authorization_policy.schema import Condition, Rule, Source
from controlplane.resources.authorization_policy.trust_domains import widened
from controlplane.resources.resource import Key, Resource
from controlplane.world.view import View, query


@query
def denied_by(view: View, service: Service, namespace: str, account: str) -> tuple[Key, ...]:
    """The ALLOW policies that keep an identity out of a service for good; () if it may get in."""
    if not service.selector:
        # Who its workloads are is not known here.
        return ()
    held = [one for one in _allowing(view, service.namespace) if _may_hold(one, service)]
    if not any(_holds_for_all(one, service) for one in held):
        return ()
    domains = mesh.trust_domains(view)
    if any(
        _admits(widened(rule, domains), policy.namespace, domains, namespace, account)
        for policy in held
        for rule in policy.spec.rules
    ):
        return ()
    return tuple(one.key for one in held)


@query
def _allowing(view: View, namespace: str) -> tuple[Resource[Any], ...]:
    """The ALLOW policies of a namespace and of the mesh. Those that are only tried allow nothing
    and deny nothing."""
    places = dict.fromkeys((mesh.root_namespace(view), namespace))
    return tuple(
        one
        for place in places
        for one in view.resources("AuthorizationPolicy", place)
        if one.spec.action == "ALLOW"
        and "istio.io/dry-run" not in one.annotations
        and one.spec.target_ref is None
        and not one.spec.target_refs
    )


def _may_hold(policy: Resource[Any], service: Service) -> bool:
    """Whether some workload of the service may be selected: no label contradicts."""
    selector = policy.spec.selector
    have = dict(service.selector)
    return selector is None or all(
        have.get(name, value) == value for name, value in selector.match_labels.items()
    )


def _holds_for_all(policy: Resource[Any], service: Service) -> bool:
    """Whether all of its workloads are selected: what the service selects by covers it."""
    selector = policy.spec.selector
    have = dict(service.selector)
    return selector is None or all(
        have.get(name) == value for name, value in selector.match_labels.items()
    )


def _admits(rule: Rule, place: str, domains: tuple[str, ...], namespace: str, account: str) -> bool:
    """Whether a rule can be true for the identity. `place`: the policy's namespace."""
    who = _Who(domains, namespace, account, place)
    sources = [one.source or Source() for one in rule.from_]
    return (not sources or any(who.may_be(one) for one in sources)) and all(
        who.may_meet(one) for one in rule.when
    )


class _Who:
    """An identity, and what the fields of a source say of it."""

    def __init__(self, domains: tuple[str, ...], namespace: str, account: str, place: str) -> None:
        names = [f"{domain}/ns/{namespace}/sa/{account}" for domain in domains]
        self._tests: dict[str, Callable[[str], bool]] = {
            "principal": lambda value: any(_matches(value, name) for name in names),
            "namespace": lambda value: _glob(value, namespace),
            "account": lambda value: _is_account(value, place, namespace, account),
            "domain": lambda value: any(_glob(value, domain) for domain in domains),
        }

    def may_be(self, source: Source) -> bool:
        """Whether the identity can be this source."""
        return (
            self._among("principal", source.principals, source.not_principals)
            and self._among("namespace", source.namespaces, source.not_namespaces)
            and self._among("account", source.service_accounts, source.not_service_accounts)
            and self._among("domain", source.trust_domains, source.not_trust_domains)
        )

    def may_meet(self, condition: Condition) -> bool:
        """Whether a `when` can be true; those that are not about the source can."""
        about = {
            "source.principal": "principal",
            "source.namespace": "namespace",
            "source.serviceAccount": "account",
            "source.trustDomain": "domain",
        }.get(condition.key)
        return about is None or self._among(about, condition.values, condition.not_values)

    def _among(self, about: str, wanted: Iterable[str], unwanted: Iterable[str]) -> bool:
        test = self._tests[about]
        wanted = tuple(wanted)
        return (not wanted or any(map(test, wanted))) and not any(map(test, unwanted))


def _matches(pattern: str, text: str) -> bool:
    """Exact, `p*`, `*s` or `*`."""
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return text.endswith(pattern[1:])
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _glob(pattern: str, text: str) -> bool:
    """A star is any characters but a slash."""
    return re.fullmatch("[^/]*".join(map(re.escape, pattern.split("*"))), text) is not None


def _is_account(value: str, place: str, namespace: str, account: str) -> bool:
    space, _, name = value.rpartition("/")
    return (space or place, name) == (namespace, account)
