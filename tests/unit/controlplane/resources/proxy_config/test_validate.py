"""Rules of ProxyConfig."""

import pytest

from controlplane.resources.proxy_config import KIND
from tests.support.judging import judge, refusal


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("concurrency: -1", "spec.concurrency", "must be from 0 to"),
        ("concurrency: two", "spec.concurrency", "must be a whole number"),
        (
            f"environmentVariables: {{A: {'a' * 2049}}}",
            "spec.environmentVariables.A",
            "must have 0 to 2048 characters",
        ),
        ("environmentVariables: {A: 1}", "spec.environmentVariables.A", "must be a string"),
        ("selector: {matchLabels: {a: '*'}}", "spec.selector.matchLabels.a", "selectors have no"),
    ],
)
def test_refused(text: str, path: str, reason: str) -> None:
    where, why = refusal(KIND, text)
    assert where == path
    assert why.startswith(reason)


def test_an_empty_selector_is_warned_of() -> None:
    _, errors, warnings = judge(KIND, "selector: {matchLabels: {}}")
    assert (errors, len(warnings)) == ([], 1)
