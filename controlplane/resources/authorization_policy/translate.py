"""Policies as Envoy's RBAC: one set of rules for each action, in the order CUSTOM, DENY, ALLOW.

On ports that are not HTTP, a rule that asks for something of HTTP can never allow; but it must
not cease to deny, so there only the part that cannot be known is dropped (Istio: a wider deny).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal

from controlplane.registry import mesh
from controlplane.registry.workloads import Labels
from controlplane.resources.authorization_policy import (
    permissions,
    principals,
    select,
    trust_domains,
)
from controlplane.resources.authorization_policy.principals import Unsupported
from controlplane.resources.authorization_policy.schema import (
    Operation,
    Rule,
    Source,
)
from controlplane.resources.resource import Resource
from controlplane.resources.rules.metadata import DRY_RUN
from controlplane.world.view import View

_ACTIONS = {
    "ALLOW": RBAC.ALLOW, "DENY": RBAC.DENY, "AUDIT": RBAC.LOG, "CUSTOM": RBAC.DENY,
}  # fmt: skip
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


@dataclass(frozen=True, slots=True)
class Delegated:
    """What a provider of MeshConfig is asked about (action CUSTOM)."""

    provider: str
    #: What matches is asked about. The action is DENY: these are shadow rules, and denied by
    #: themselves where there is no such provider.
    asked: RBAC


def rules(view: View, namespace: str, labels: Labels, *, http: bool) -> list[Rules]:
    """What holds for a workload, in the order in which it is asked: AUDIT, DENY, ALLOW. An action
    that no policy has is left out; with an ALLOW policy, what no rule allows is denied."""
    found = []
    domains = mesh.trust_domains(view)
    for action in ("AUDIT", "DENY", "ALLOW"):
        held = select.policies(view, namespace, labels, action)
        tried = [one for one in held if _dry_run(one)]
        enforced = [one for one in held if not _dry_run(one)]
        if held:
            found.append(
                Rules(
                    action,
                    _rbac(enforced, action, domains, http=http) if enforced else None,
                    _rbac(tried, action, domains, http=http) if tried else None,
                )
            )
    return found


def delegated(view: View, namespace: str, labels: Labels, *, http: bool) -> list[Delegated]:
    """The CUSTOM policies of a workload, by provider (validation lets none be only tried)."""
    domains = mesh.trust_domains(view)
    by_provider: dict[str, list[Resource[Any]]] = {}
    for one in select.policies(view, namespace, labels, "CUSTOM"):
        name = one.spec.provider.name if one.spec.provider else ""
        by_provider.setdefault(name, []).append(one)
    return [
        Delegated(name, _rbac(held, "CUSTOM", domains, http=http, prefix=asked_prefix(name)))
        for name, held in sorted(by_provider.items())
    ]


def asked_prefix(provider: str) -> str:
    """What the names of rules begin with of which a provider is asked; `ext_authz` reads it."""
    return f"istio-ext-authz-{provider}-"


def _dry_run(policy: Resource[Any]) -> bool:
    return policy.annotations.get(DRY_RUN) in _TRUE


def policy_name(policy: Resource[Any], index: int) -> str:
    """`ns[default]-policy[deny-all]-rule[0]`: what logs and metrics say."""
    return f"ns[{policy.namespace}]-policy[{policy.name}]-rule[{index}]"


def _rbac(
    policies: list[Resource[Any]],
    action: str,
    domains: tuple[str, ...],
    *,
    http: bool,
    prefix: str = "",
) -> RBAC:
    built = RBAC(action=_ACTIONS[action])
    for policy in policies:
        for index, rule in enumerate(policy.spec.rules):
            wider = trust_domains.widened(rule, domains)
            one = _policy(wider, policy.namespace, action, http=http)
            if one is not None:
                built.policies[prefix + policy_name(policy, index)].CopyFrom(one)
        if not policy.spec.rules:
            # Nothing matches: an ALLOW policy without rules denies all.
            built.policies[prefix + policy_name(policy, 0)].CopyFrom(_NOBODY)
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
