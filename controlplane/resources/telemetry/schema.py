"""Telemetry: what a workload reports as metrics, spans and access logs, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.target import PolicyTargetReference, TargetReferences
from controlplane.resources.schema import Length, Percent, Seconds

Mode = Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"]
Metric = Literal[
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
]
_Text = Annotated[str, Length(1)]


@dataclass(frozen=True, slots=True)
class ProviderRef:
    """A name of `extensionProviders` in MeshConfig."""

    name: _Text


@dataclass(frozen=True, slots=True)
class ModeSelector:
    """`TracingSelector` and `LogSelector`: on which side of a call."""

    mode: Mode = "CLIENT_AND_SERVER"


@dataclass(frozen=True, slots=True)
class LiteralTag:
    value: _Text


@dataclass(frozen=True, slots=True)
class NamedTag:
    """An environment variable's or a request header's value."""

    name: _Text
    default_value: str = ""


@dataclass(frozen=True, slots=True)
class FormatterTag:
    """What an access log's format string gives."""

    value: _Text


@dataclass(frozen=True, slots=True)
class CustomTag:
    literal: LiteralTag | None = None
    environment: NamedTag | None = None
    header: NamedTag | None = None
    formatter: FormatterTag | None = None

    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("literal", "environment", "header", "formatter"),
    )


@dataclass(frozen=True, slots=True)
class Tracing:
    """None means: as the next wider Telemetry says."""

    match: ModeSelector | None = None
    providers: tuple[ProviderRef, ...] = ()
    random_sampling_percentage: Percent | None = None
    disable_span_reporting: bool | None = None
    custom_tags: Mapping[str, CustomTag] = field(default_factory=dict)
    use_request_id_for_trace_sampling: bool | None = None
    enable_istio_tags: bool | None = None
    disable_context_propagation: bool | None = None


@dataclass(frozen=True, slots=True)
class MetricSelector:
    metric: Metric | None = None
    custom_metric: _Text | None = None
    mode: Mode = "CLIENT_AND_SERVER"

    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = (("metric", "custom_metric"),)


@dataclass(frozen=True, slots=True)
class TagOverride:
    operation: Literal["UPSERT", "REMOVE"] = "UPSERT"
    #: A CEL expression.
    value: str | None = None


@dataclass(frozen=True, slots=True)
class MetricsOverrides:
    match: MetricSelector | None = None
    disabled: bool | None = None
    tag_overrides: Mapping[str, TagOverride] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metrics:
    providers: tuple[ProviderRef, ...] = ()
    overrides: tuple[MetricsOverrides, ...] = ()
    reporting_interval: Seconds | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Only what the CEL expression is true for is logged."""

    expression: str = ""


@dataclass(frozen=True, slots=True)
class AccessLogging:
    match: ModeSelector | None = None
    providers: tuple[ProviderRef, ...] = ()
    disabled: bool | None = None
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class Telemetry:
    selector: PolicySelector | None = None
    #: Deprecated in favour of `target_refs`.
    target_ref: PolicyTargetReference | None = None
    target_refs: TargetReferences = ()
    tracing: tuple[Tracing, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    access_logging: tuple[AccessLogging, ...] = ()
