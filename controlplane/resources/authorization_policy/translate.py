"""Policies as Envoy's RBAC: one set of rules for each action, in the order DENY, ALLOW.

On ports that are not HTTP, a rule that asks for something of HTTP can never allow; but it must
not cease to deny, so there only the part that cannot be known is dropped (Istio: a wider deny).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal

from controlplane.registry.workloads import Labels
from controlplane.resources.authorization_policy import permissions, principals, select
from controlplane.resources.authorization_policy.principals import Unsupported
from controlplane.resources.authorization_policy.schema import (
    Operation,
    Rule,
    Source,
)
from controlplane.resources.resource import Resource
from controlplane.resources.rules.metadata import DRY_RUN
from controlplane.world.view import View

_ACTIONS = {"ALLOW": RBAC.ALLOW, "DENY": RBAC.DENY, "AUDIT": RBAC.LOG}
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_NOBODY = Policy(
    permissions=[Permission(not_rule=permissions.ANY)],
    principals=[Principal(not_id=principals.ANY)],
)


@dataclass(frozen=True, slots=True)
class Rules:
    """One action's rules, and those that are only tried (`istio.io/dry-run`)."""

    action: str
    enforced: RBAC | None
    shadow: RBAC | None


def rules(view: View, namespace: str, labels: Labels, *, http: bool) -> list[Rules]:
    """What holds for a workload, in the order in which it is asked: AUDIT, DENY, ALLOW. An action
    that no policy has is left out; with an ALLOW policy, what no rule allows is denied."""
    found = []
    for action in ("AUDIT", "DENY", "ALLOW"):
        held = select.policies(view, namespace, labels, action)
        tried = [one for one in held if one.annotations.get(DRY_RUN) in _TRUE]
        enforced = [one for one in held if one not in tried]
        if held:
            found.append(
                Rules(
                    action,
                    _rbac(enforced, action, http=http) if enforced else None,
                    _rbac(tried, action, http=http) if tried else None,
                )
            )
    return found


def policy_name(policy: Resource[Any], index: int) -> str:
    """`ns[default]-policy[deny-all]-rule[0]`: what logs and metrics say."""
    return f"ns[{policy.namespace}]-policy[{policy.name}]-rule[{index}]"


def _rbac(policies: list[Resource[Any]], action: str, *, http: bool) -> RBAC:
    built = RBAC(action=_ACTIONS[action])
    for policy in policies:
        for index, rule in enumerate(policy.spec.rules):
            one = _policy(rule, policy.namespace, action, http=http)
            if one is not None:
                built.policies[policy_name(policy, index)].CopyFrom(one)
        if not policy.spec.rules:
            # Nothing matches: an ALLOW policy without rules denies all.
            built.policies[policy_name(policy, 0)].CopyFrom(_NOBODY)
    return built


def _policy(rule: Rule, namespace: str, action: str, *, http: bool) -> Policy | None:
    """One rule: any of `from`, any of `to`, all of `when`; None if it can never match."""
    try:
        return _exact(rule, namespace, http=http)
    except Unsupported:
        if action == "ALLOW":
            return None
    return _exact(_without_http(rule), namespace, http=False)


def _exact(rule: Rule, namespace: str, *, http: bool) -> Policy:
    sources = [
        principals.source(one.source or Source(), namespace, http=http) for one in rule.from_
    ]
    operations = [permissions.operation(one.operation or Operation(), http=http) for one in rule.to]
    about_source, about_destination = [], []
    for one in rule.when:
        permission = permissions.condition(one)
        if permission is not None:
            about_destination.append(permission)
            continue
        about_source.append(principals.condition(one, namespace, http=http))
    return Policy(
        principals=[
            principals.all_of([each, *about_source] if each != principals.ANY else about_source)
            for each in sources or [principals.ANY]
        ],
        permissions=[
            permissions.all_of(
                [each, *about_destination] if each != permissions.ANY else about_destination
            )
            for each in operations or [permissions.ANY]
        ],
    )


def _without_http(rule: Rule) -> Rule:
    """The rule with all that only HTTP can tell left out."""
    sources = tuple(
        replace(
            one,
            source=replace(
                one.source or Source(), request_principals=(), not_request_principals=()
            ),
        )
        for one in rule.from_
    )
    operations = tuple(
        replace(
            one,
            operation=replace(
                one.operation or Operation(),
                hosts=(),
                not_hosts=(),
                methods=(),
                not_methods=(),
                paths=(),
                not_paths=(),
            ),
        )
        for one in rule.to
    )
    when = tuple(one for one in rule.when if not one.key.startswith("request."))
    return Rule(from_=sources, to=operations, when=when)
