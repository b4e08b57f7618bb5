"""Rules of Telemetry."""

import pytest

from controlplane.resources.telemetry import KIND
from tests.support.judging import judge, refusal


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("tracing: [{providers: [{}]}]", "spec.tracing[0].providers[0].name", "is required"),
        ("metrics: [{providers: [{name: ''}]}]", "spec.metrics[0].providers[0].name", "must not"),
        (
            "accessLogging: [{providers: [{name: ''}]}]",
            "spec.accessLogging[0].providers[0].name",
            "must not be empty",
        ),
        (
            "tracing: [{randomSamplingPercentage: 100.5}]",
            "spec.tracing[0].randomSamplingPercentage",
            "must be from 0 to 100",
        ),
        (
            "tracing: [{randomSamplingPercentage: -1}]",
            "spec.tracing[0].randomSamplingPercentage",
            "must be from 0 to 100",
        ),
        (
            "tracing: [{customTags: {'': {literal: {value: a}}}}]",
            "spec.tracing[0].customTags",
            "a tag has no name",
        ),
        (
            "tracing: [{customTags: {a: {literal: {}}}}]",
            "spec.tracing[0].customTags.a.literal.value",
            "is required",
        ),
        (
            "tracing: [{customTags: {a: {header: {name: ''}}}}]",
            "spec.tracing[0].customTags.a.header.name",
            "must not be empty",
        ),
        (
            "tracing: [{customTags: {a: {literal: {value: a}, header: {name: b}}}}]",
            "spec.tracing[0].customTags.a",
            "literal, header exclude each other",
        ),
        ("tracing: [{customTags: {a: null}}]", "spec.tracing[0].customTags.a", "is empty"),
        (
            "metrics: [{overrides: [{match: {metric: ALL_METRICS, customMetric: a}}]}]",
            "spec.metrics[0].overrides[0].match",
            "metric, customMetric exclude each other",
        ),
        (
            "metrics: [{overrides: [{match: {customMetric: ''}}]}]",
            "spec.metrics[0].overrides[0].match.customMetric",
            "must not be empty",
        ),
        (
            "metrics: [{overrides: [{match: {metric: LATENCY}}]}]",
            "spec.metrics[0].overrides[0].match.metric",
            "must be one of ALL_METRICS",
        ),
        (
            "metrics: [{overrides: [{tagOverrides: {a: {}}}]}]",
            "spec.metrics[0].overrides[0].tagOverrides.a.value",
            "is required when the operation is UPSERT",
        ),
        (
            "metrics: [{overrides: [{tagOverrides: {a: {operation: UPSERT, value: ''}}}]}]",
            "spec.metrics[0].overrides[0].tagOverrides.a.value",
            "is required when the operation is UPSERT",
        ),
        (
            "metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: ''}}}]}]",
            "spec.metrics[0].overrides[0].tagOverrides.a.value",
            "has no meaning when the operation is REMOVE",
        ),
        (
            f"metrics: [{{overrides: [{{tagOverrides: {{a: {{value: {'a' * 20000}}}}}}}]}}]",
            "spec.metrics[0].overrides[0].tagOverrides.a.value",
            "has 20000 characters",
        ),
        (
            "metrics: [{reportingInterval: 0s}]",
            "spec.metrics[0].reportingInterval",
            "must be at least 1ms",
        ),
        (
            f"accessLogging: [{{filter: {{expression: {'a' * 20000}}}}}]",
            "spec.accessLogging[0].filter.expression",
            "has 20000 characters; 16384 are the most",
        ),
        (
            "accessLogging: [{match: {mode: BOTH}}]",
            "spec.accessLogging[0].match.mode",
            "must be one of CLIENT_AND_SERVER, CLIENT, SERVER",
        ),
    ],
)
def test_refused(text: str, path: str, reason: str) -> None:
    where, why = refusal(KIND, text)
    assert where == path
    assert why.startswith(reason)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (
            "tracing: [{disableSpanReporting: true}, {disableSpanReporting: true}]",
            "spec.tracing[1]",
        ),
        (
            "tracing: [{disableSpanReporting: true, providers: [{name: a}, {name: b}]}]",
            "spec.tracing[0].providers[1]",
        ),
        ("tracing: [{providers: [{name: a}]}]", "spec.tracing[0]"),
        (
            "metrics: [{overrides: [{tagOverrides: {'': {value: request.host}}}]}]",
            "spec.metrics[0].overrides[0].tagOverrides",
        ),
        (
            "metrics: [{overrides: [{tagOverrides: {a: {value: node.id}}}]}]",
            "spec.metrics[0].overrides[0].tagOverrides.a.value",
        ),
    ],
)
def test_warnings(text: str, path: str) -> None:
    _, errors, (warning,) = judge(KIND, text)
    assert errors == []
    assert warning.path == path
