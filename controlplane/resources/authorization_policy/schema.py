"""AuthorizationPolicy: who may do what to a workload."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.target import PolicyTargetReference, TargetReferences
from controlplane.resources.schema import Length

Action = Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"]

_ServiceAccounts = Annotated[tuple[Annotated[str, Length(0, 320)], ...], Length(0, 16)]


@dataclass(frozen=True, slots=True)
class Source:
    """All of its fields must hold; one value of each is enough, none of a `not_` field."""

    #: `trust domain/ns/NAMESPACE/sa/SERVICE ACCOUNT`; exact, `p*`, `*s` or `*`.
    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    #: `issuer/subject` of the token.
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    #: `NAMESPACE/NAME`, or `NAME` in the policy's namespace; no wildcards.
    service_accounts: _ServiceAccounts = ()
    not_service_accounts: _ServiceAccounts = ()
    #: The address of the connection.
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    #: The address that X-Forwarded-For or the PROXY protocol tells.
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()
    not_trust_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """All of its fields must hold; one value of each is enough, none of a `not_` field."""

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    #: Exact, `p*`, `*s`, `*`, or with the templates `{*}` and `{**}`.
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class From:
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class To:
    operation: Operation | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    key: str
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One of `from`, one of `to` and all of `when`; a rule without any of them is for everything.

    An empty list is refused, because it would be for everything and looks as if it were for
    nothing.
    """

    from_: Annotated[tuple[From, ...], Length(1, 512)] = field(
        default=(), metadata={"name": "from"}
    )
    to: Annotated[tuple[To, ...], Length(1)] = ()
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtensionProvider:
    #: Of `extensionProviders` in MeshConfig.
    name: str = ""


@dataclass(frozen=True, slots=True)
class AuthorizationPolicy:
    selector: PolicySelector | None = None
    #: Deprecated in favour of `target_refs`.
    target_ref: PolicyTargetReference | None = None
    target_refs: TargetReferences = ()
    #: None and () are the same: nothing matches.
    rules: Annotated[tuple[Rule, ...], Length(0, 512)] = ()
    action: Action = "ALLOW"
    provider: ExtensionProvider | None = None
