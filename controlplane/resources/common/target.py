"""Which workloads a policy is for: labels, or references to what it is attached to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from controlplane.problem import Problem
from controlplane.resources.schema import Length, Pattern

_GROUP = Pattern(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?",
    "the name of an API group, or left out for the core group",
)
_KIND = Pattern(r"[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?", "the name of a kind")

#: Values of a selector's labels, as Kubernetes bounds them.
LabelValues = Mapping[str, Annotated[str, Length(0, 63)]]


@dataclass(frozen=True, slots=True)
class PolicySelector:
    """`type.v1beta1.WorkloadSelector`: a workload has all these labels."""

    match_labels: Annotated[LabelValues, Length(0, 4096)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicyTargetReference:
    """`type.v1beta1.PolicyTargetReference`: what a policy is attached to."""

    kind: Annotated[str, Length(1, 63), _KIND]
    name: Annotated[str, Length(1, 253)]
    #: "" for the core group.
    group: Annotated[str, Length(0, 253), _GROUP] = ""
    namespace: str = ""


TargetReferences = Annotated[tuple[PolicyTargetReference, ...], Length(0, 16)]

#: What a policy may be attached to: group and kind. `core` is a way to write the core group.
_TARGETS = frozenset(
    {
        ("", "Service"),
        ("core", "Service"),
        ("networking.istio.io", "ServiceEntry"),
        ("gateway.networking.k8s.io", "Gateway"),
        ("gateway.networking.k8s.io", "GatewayClass"),
    }
)


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
    if selector is not None:
        yield from check_labels(selector.match_labels, f"{path}.selector.matchLabels")
    if target_ref is not None:
        yield from check_target(target_ref, f"{path}.targetRef")
    yield from check_targets(target_refs, f"{path}.targetRefs")


def check_labels(labels: Mapping[str, str], path: str) -> Iterator[Problem]:
    """Labels are compared, never matched: `*` would mean nothing but itself."""
    for key, value in labels.items():
        if not key:
            yield Problem(path, f"the key of the value {value!r} is empty; name a label")
        if "*" in key or "*" in value:
            reason = f"{key}={value} has a wildcard; labels are compared exactly, leave it out"
            yield Problem(path, reason)


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


def warn_of_selector(selector: PolicySelector | None, path: str = "spec") -> Iterator[Problem]:
    """A selector without labels selects everything, which is seldom meant."""
    if selector is not None and not selector.match_labels:
        reason = "selects all workloads; give it labels, or leave it out to say so"
        yield Problem(f"{path}.selector", reason)
