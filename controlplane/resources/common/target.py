"""Which workloads a policy is for: labels, or references to what it is attached to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from controlplane.problem import Problem
from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.not_yet import NotYet
from controlplane.resources.rules import labels
from controlplane.resources.schema import Length, Pattern

_GROUP = Pattern(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?",
    "the name of an API group, or left out for the core group",
)
_KIND = Pattern(r"[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?", "the name of a kind")


@dataclass(frozen=True, slots=True)
class PolicyTargetReference:
    """`type.v1beta1.PolicyTargetReference`: what a policy is attached to."""

    kind: Annotated[str, Length(1, 63), _KIND]
    name: Annotated[str, Length(1, 253)]
    #: "" for the core group.
    group: Annotated[str, Length(0, 253), _GROUP] = ""
    namespace: str = ""


TargetReferences = Annotated[tuple[PolicyTargetReference, ...], Length(0, 16)]

#: The Gateway API's, whose proxies say of which they are.
GATEWAY = ("gateway.networking.k8s.io", "Gateway")
#: What a policy may be attached to: group and kind. `core` is a way to write the core group.
_TARGETS = frozenset(
    {
        ("", "Service"),
        ("core", "Service"),
        ("networking.istio.io", "ServiceEntry"),
        GATEWAY,
        ("gateway.networking.k8s.io", "GatewayClass"),
    }
)


def for_waypoints(
    instead: str, *, unsafe: bool = False, paths: tuple[str, ...] = ("targetRef", "targetRefs[]")
) -> tuple[NotYet, ...]:
    """References to what only waypoints serve, which there are none of yet."""
    kinds = ("GatewayClass", "Service", "ServiceEntry")
    return tuple(NotYet(f"spec.{path}.kind", instead, only=kinds, unsafe=unsafe) for path in paths)


def check_selection(
    selector: PolicySelector | None,
    target_refs: tuple[PolicyTargetReference, ...],
    target_ref: PolicyTargetReference | None = None,
    path: str = "spec",
) -> Iterator[Problem]:
    """The rules for the three ways of selecting, of which a policy may use one."""
    given = [
        name
        for name, there in (
            ("selector", selector is not None),
            ("targetRef", target_ref is not None),
            ("targetRefs", bool(target_refs)),
        )
        if there
    ]
    if len(given) > 1:
        yield Problem(path, f"{', '.join(given)} exclude each other; keep one")
    yield from check_selector(selector, path)
    if target_ref is not None:
        yield from check_target(target_ref, f"{path}.targetRef")
    yield from check_targets(target_refs, f"{path}.targetRefs")


def check_selector(selector: PolicySelector | None, path: str = "spec") -> Iterator[Problem]:
    """The rules of a selector by itself."""
    if selector is not None:
        yield from labels.selector(selector.match_labels, f"{path}.selector.matchLabels")


def check_targets(targets: Iterable[PolicyTargetReference], path: str) -> Iterator[Problem]:
    for index, target in enumerate(targets):
        yield from check_target(target, f"{path}[{index}]")


def check_target(target: PolicyTargetReference, path: str) -> Iterator[Problem]:
    if target.namespace:
        reason = "only what is in the policy's own namespace can be referred to; leave it out"
        yield Problem(f"{path}.namespace", reason)
    if (target.group, target.kind) not in _TARGETS:
        what = f"{target.group}/{target.kind}" if target.group else target.kind
        yield Problem(
            path,
            f"{what} cannot be referred to; use a Service, networking.istio.io/ServiceEntry, "
            "gateway.networking.k8s.io/Gateway or gateway.networking.k8s.io/GatewayClass",
        )
