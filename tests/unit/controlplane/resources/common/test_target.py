"""What a policy is attached to."""

import pytest

from controlplane.resources.authorization_policy import KIND
from tests.support.judging import judge, refusal

GATEWAY = "{group: gateway.networking.k8s.io, kind: Gateway, name: a}"


@pytest.mark.parametrize(
    "target",
    [
        GATEWAY,
        "{group: gateway.networking.k8s.io, kind: GatewayClass, name: a}",
        "{group: networking.istio.io, kind: ServiceEntry, name: a}",
        "{group: '', kind: Service, name: a}",
        "{kind: Service, name: a, namespace: ''}",
    ],
)
def test_targets(target: str) -> None:
    for text in (f"targetRefs: [{target}]", f"targetRef: {target}"):
        _, errors, warnings = judge(KIND, text)
        assert (errors, warnings) == ([], [])


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("targetRefs: [{kind: Service}]", "spec.targetRefs[0].name", "is required"),
        ("targetRefs: [{name: a}]", "spec.targetRefs[0].kind", "is required"),
        ("targetRefs: [{kind: Pod, name: a}]", "spec.targetRefs[0]", "Pod cannot be referred to"),
        ("targetRefs: [{kind: '', name: a}]", "spec.targetRefs[0].kind", "must not be empty"),
        ("targetRef: {kind: Gateway, name: a}", "spec.targetRef", "Gateway cannot be referred to"),
        (
            "targetRefs: [{kind: Service, name: a, group: Apps}]",
            "spec.targetRefs[0].group",
            "must be the name of an API group",
        ),
        (
            "targetRef: {kind: Service, name: a, namespace: other}",
            "spec.targetRef.namespace",
            "only what is in the policy's own namespace",
        ),
        (
            f"{{selector: {{matchLabels: {{a: b}}}}, targetRefs: [{GATEWAY}]}}",
            "spec",
            "selector, targetRefs exclude each other",
        ),
        (
            f"{{targetRef: {GATEWAY}, targetRefs: [{GATEWAY}]}}",
            "spec",
            "targetRef, targetRefs exclude each other",
        ),
        (
            f"targetRefs: [{', '.join([GATEWAY] * 17)}]",
            "spec.targetRefs",
            "must have 0 to 16 entries, has 17",
        ),
    ],
)
def test_refused(text: str, path: str, reason: str) -> None:
    _, errors, _ = judge(KIND, text)
    assert path in {error.path for error in errors}
    assert any(error.reason.startswith(reason) for error in errors)


def test_one_reason_for_one_mistake() -> None:
    path, _ = refusal(KIND, "targetRefs: [{kind: Service, name: ''}]")
    assert path == "spec.targetRefs[0].name"
