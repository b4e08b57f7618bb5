"""Rules of PeerAuthentication."""

import pytest

from controlplane.resources.peer_authentication import KIND
from tests.support.judging import judge, refusal


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("mtls: {mode: ON}", "spec.mtls.mode", "must be one of UNSET, DISABLE"),
        ("mtls: {mode: strict}", "spec.mtls.mode", "must be one of UNSET, DISABLE"),
        ("portLevelMtls: {80: {}}", "spec.portLevelMtls", "is for the ports of some workloads"),
        (
            "{selector: {}, portLevelMtls: {80: {}}}",
            "spec.portLevelMtls",
            "is for the ports of some workloads",
        ),
        (
            "{selector: {matchLabels: {a: b}}, portLevelMtls: {}}",
            "spec.portLevelMtls",
            "must not be empty",
        ),
        (
            "{selector: {matchLabels: {a: b}}, portLevelMtls: {70000: {}}}",
            "spec.portLevelMtls[70000]",
            "must be from 1 to 65535",
        ),
        (
            "{selector: {matchLabels: {a: b}}, portLevelMtls: {http: {}}}",
            "spec.portLevelMtls['http']",
            "must be a whole number",
        ),
        ("selector: {matchLabels: {a: 'b*'}}", "spec.selector.matchLabels.a", "selectors have no"),
        ("selector: {matchLabels: {'': b}}", "spec.selector.matchLabels['']", "has an empty key"),
        ("jwtRules: []", "spec.jwtRules", "there is no such field; there are selector, mtls"),
    ],
)
def test_refused(text: str, path: str, reason: str) -> None:
    where, why = refusal(KIND, text)
    assert where == path
    assert why.startswith(reason)


def test_a_dry_run_would_not_be_dry() -> None:
    path, _ = refusal(KIND, "mtls: {mode: STRICT}", {"istio.io/dry-run": "true"})
    assert path == "metadata.annotations['istio.io/dry-run']"


def test_an_empty_selector_is_warned_of() -> None:
    _, errors, (warning,) = judge(KIND, "selector: {}")
    assert errors == []
    assert warning.path == "spec.selector.matchLabels"
