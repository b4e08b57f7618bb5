"""Rules of Telemetry beyond types."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.common.target import check_selection
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import numbers
from controlplane.resources.rules.metadata import reserved
from controlplane.resources.schema import below
from controlplane.resources.telemetry.expressions import (
    Untranslatable,
    access_log_filter,
    is_label_value,
)
from controlplane.resources.telemetry.schema import MetricsOverrides, Telemetry

#: No expression that somebody wrote is longer.
_LONGEST_EXPRESSION = 16 * 1024


def validate(spec: Telemetry, metadata: Metadata) -> Iterator[Problem]:
    yield from reserved(metadata)
    yield from check_selection(spec.selector, spec.target_refs, spec.target_ref)
    for index, tracing in enumerate(spec.tracing):
        if "" in tracing.custom_tags:
            yield Problem(f"spec.tracing[{index}].customTags", "a tag has no name; give it one")
    for index, metrics in enumerate(spec.metrics):
        yield from numbers.duration(
            metrics.reporting_interval, f"spec.metrics[{index}].reportingInterval"
        )
        for place, override in enumerate(metrics.overrides):
            yield from _overrides(override, f"spec.metrics[{index}].overrides[{place}]")
    for index, logging in enumerate(spec.access_logging):
        if logging.filter is not None:
            path = f"spec.accessLogging[{index}].filter.expression"
            yield from _expression(logging.filter.expression, path)
            yield from _translatable(logging.filter.expression, path)
    yield from _without_effect(spec)


def _without_effect(spec: Telemetry) -> Iterator[Problem]:
    reporting = [i for i, one in enumerate(spec.tracing) if not one.disable_span_reporting]
    if reporting:
        reason = "sidecars of ours (`mesh proxy`) report no spans yet; Envoys do"
        yield Problem(f"spec.tracing[{reporting[0]}]", reason, warning=True)
    if len(spec.tracing) > 1:
        reason = "only the first entry of tracing is used"
        yield Problem("spec.tracing[1]", reason, warning=True)
    for index, tracing in enumerate(spec.tracing):
        if len(tracing.providers) > 1:
            reason = "only the first provider of tracing is used"
            yield Problem(f"spec.tracing[{index}].providers[1]", reason, warning=True)


def _overrides(override: MetricsOverrides, path: str) -> Iterator[Problem]:
    for name, tag in override.tag_overrides.items():
        where = f"{below(f'{path}.tagOverrides', name)}.value"
        if not name:
            reason = "a tag has no name; give it one"
            yield Problem(f"{path}.tagOverrides", reason, warning=True)
        if tag.operation == "REMOVE" and tag.value is not None:
            yield Problem(where, "has no meaning when the operation is REMOVE; leave it out")
        elif tag.operation == "UPSERT" and not tag.value:
            yield Problem(where, "is required when the operation is UPSERT: a CEL expression")
        elif tag.value is not None:
            yield from _expression(tag.value, where)
            if not is_label_value(tag.value):
                known = (
                    "a text, request.host, request.method, request.headers['...'], response.code"
                )
                reason = f"sidecars have no CEL, the metrics have no such tag; they know {known}"
                yield Problem(where, reason, warning=True)


def _translatable(text: str, path: str) -> Iterator[Problem]:
    if not text or len(text) > _LONGEST_EXPRESSION:
        return
    try:
        access_log_filter(text)
    except Untranslatable as error:
        known = "response.code and request.headers[...], compared; has(); !, &&, || and ()"
        yield Problem(path, f"sidecars have no CEL, and {error} is more than {known}")


def _expression(text: str, path: str) -> Iterator[Problem]:
    if len(text) > _LONGEST_EXPRESSION:
        reason = f"has {len(text)} characters; {_LONGEST_EXPRESSION} are the most"
        yield Problem(path, reason)
