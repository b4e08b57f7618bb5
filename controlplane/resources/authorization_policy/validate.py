"""Rules of AuthorizationPolicy beyond types."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.authorization_policy.conditions import check_condition
from controlplane.resources.authorization_policy.schema import (
    AuthorizationPolicy,
    Operation,
    Rule,
    Source,
)
from controlplane.resources.authorization_policy.values import (
    check_ips,
    check_not_empty,
    check_paths,
    check_ports,
    check_service_accounts,
    check_trust_domains,
)
from controlplane.resources.common.target import check_selection
from controlplane.resources.resource import Metadata
from controlplane.resources.rules.metadata import DRY_RUN, reserved
from controlplane.resources.schema import below

#: What Go's strconv.ParseBool takes.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})

#: Keys of `when` that need what CUSTOM, which runs before authentication, does not have.
_NOT_WITH_CUSTOM = frozenset(
    {"source.namespace", "source.serviceAccount", "source.trustDomain", "source.principal"}
)


def validate(spec: AuthorizationPolicy, metadata: Metadata) -> Iterator[Problem]:
    yield from reserved(metadata, dry_run=True)
    yield from check_selection(spec.selector, spec.target_refs, spec.target_ref)
    yield from _action(spec)
    yield from _dry_run(spec, metadata)
    for index, rule in enumerate(spec.rules):
        yield from _rule(rule, f"spec.rules[{index}]")
        if spec.action == "CUSTOM":
            yield from _custom_rule(rule, f"spec.rules[{index}]")
    if spec.action == "DENY":
        yield from _wide_deny(spec)


def _wide_deny(spec: AuthorizationPolicy) -> Iterator[Problem]:
    """A DENY rule for connections that are not HTTP is what is left of it: perhaps everything."""
    for index, rule in enumerate(spec.rules):
        sources = [one.source for one in rule.from_ if one.source is not None]
        operations = [one.operation for one in rule.to if one.operation is not None]
        only_http = not any(one.ports or one.not_ports for one in operations)
        if not operations:
            only_http = bool(sources) and not any(_knows_tcp(one) for one in sources)
        if only_http and (sources or operations):
            reason = (
                "has attributes of HTTP only, so that it denies every TCP connection of the "
                "workloads; name the ports in to.operation.ports"
            )
            yield Problem(f"spec.rules[{index}]", reason, warning=True)


def _knows_tcp(source: Source) -> bool:
    return bool(
        source.principals
        or source.not_principals
        or source.namespaces
        or source.not_namespaces
        or source.service_accounts
        or source.not_service_accounts
        or source.ip_blocks
        or source.not_ip_blocks
        or source.remote_ip_blocks
        or source.not_remote_ip_blocks
    )


def _action(spec: AuthorizationPolicy) -> Iterator[Problem]:
    if spec.action in {"CUSTOM", "DENY"} and not spec.rules:
        reason = f"is required with {spec.action}, which nothing would trigger; "
        yield Problem("spec.rules", reason + "an empty rule, `- {}`, is for every request")
    if spec.action == "CUSTOM":
        if spec.rules and (spec.provider is None or not spec.provider.name):
            reason = "is required with CUSTOM: a name of extensionProviders in MeshConfig"
            yield Problem("spec.provider.name", reason)
    elif spec.provider is not None:
        reason = f"is for the action CUSTOM only, not for {spec.action}; leave it out"
        yield Problem("spec.provider", reason)


def _dry_run(spec: AuthorizationPolicy, metadata: Metadata) -> Iterator[Problem]:
    value = metadata.annotations.get(DRY_RUN)
    if value is None:
        return
    path = below("metadata.annotations", DRY_RUN)
    if spec.action not in {"ALLOW", "DENY"}:
        yield Problem(path, f"is for ALLOW and DENY only, not for {spec.action}; leave it out")
    elif value not in _TRUE | _FALSE:
        yield Problem(path, f"must be 'true' or 'false', is {value!r}")


def _rule(rule: Rule, path: str) -> Iterator[Problem]:
    for index, one in enumerate(rule.from_):
        where = f"{path}.from[{index}].source"
        if one.source is None:
            yield Problem(where, "is required")
        else:
            yield from _source(one.source, where)
    for index, to in enumerate(rule.to):
        where = f"{path}.to[{index}].operation"
        if to.operation is None:
            yield Problem(where, "is required")
        else:
            yield from _operation(to.operation, where)
    for index, condition in enumerate(rule.when):
        yield from check_condition(condition, f"{path}.when[{index}]")


def _source(source: Source, path: str) -> Iterator[Problem]:
    if source == Source():
        yield Problem(path, "is empty; name at least one attribute, or leave `from` out for any")
    by_name = source.namespaces or source.not_namespaces
    by_name = by_name or source.principals or source.not_principals
    if by_name and (source.service_accounts or source.not_service_accounts):
        reason = "serviceAccounts cannot stand with namespaces or principals; keep one of them"
        yield Problem(path, reason)
    for name, values in (
        ("principals", source.principals),
        ("notPrincipals", source.not_principals),
        ("requestPrincipals", source.request_principals),
        ("notRequestPrincipals", source.not_request_principals),
        ("namespaces", source.namespaces),
        ("notNamespaces", source.not_namespaces),
    ):
        yield from check_not_empty(values, f"{path}.{name}")
    for name, values in (
        ("ipBlocks", source.ip_blocks),
        ("notIpBlocks", source.not_ip_blocks),
        ("remoteIpBlocks", source.remote_ip_blocks),
        ("notRemoteIpBlocks", source.not_remote_ip_blocks),
    ):
        yield from check_ips(values, f"{path}.{name}")
    yield from check_service_accounts(source.service_accounts, f"{path}.serviceAccounts")
    yield from check_service_accounts(source.not_service_accounts, f"{path}.notServiceAccounts")
    yield from check_trust_domains(source.trust_domains, f"{path}.trustDomains")
    yield from check_trust_domains(source.not_trust_domains, f"{path}.notTrustDomains")


def _operation(operation: Operation, path: str) -> Iterator[Problem]:
    if operation == Operation():
        yield Problem(path, "is empty; name at least one attribute, or leave `to` out for any")
    for name, values in (
        ("hosts", operation.hosts),
        ("notHosts", operation.not_hosts),
        ("methods", operation.methods),
        ("notMethods", operation.not_methods),
    ):
        yield from check_not_empty(values, f"{path}.{name}")
    yield from check_ports(operation.ports, f"{path}.ports")
    yield from check_ports(operation.not_ports, f"{path}.notPorts")
    yield from check_paths(operation.paths, f"{path}.paths")
    yield from check_paths(operation.not_paths, f"{path}.notPaths")


def _custom_rule(rule: Rule, path: str) -> Iterator[Problem]:
    for index, one in enumerate(rule.from_):
        source = one.source or Source()
        for name, values in (
            ("namespaces", source.namespaces),
            ("notNamespaces", source.not_namespaces),
            ("serviceAccounts", source.service_accounts),
            ("notServiceAccounts", source.not_service_accounts),
            ("trustDomains", source.trust_domains),
            ("notTrustDomains", source.not_trust_domains),
            ("principals", source.principals),
            ("notPrincipals", source.not_principals),
            ("requestPrincipals", source.request_principals),
            ("notRequestPrincipals", source.not_request_principals),
        ):
            if values:
                where = f"{path}.from[{index}].source.{name}"
                yield Problem(where, "cannot be used with the action CUSTOM")
    for index, condition in enumerate(rule.when):
        if condition.key in _NOT_WITH_CUSTOM or condition.key.startswith("request.auth."):
            reason = f"{condition.key} cannot be used with the action CUSTOM"
            yield Problem(f"{path}.when[{index}].key", reason)
