"""Fields of Telemetry."""

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.schema import Seconds
from controlplane.resources.telemetry import KIND
from controlplane.resources.telemetry.schema import (
    AccessLogging,
    CustomTag,
    Filter,
    FormatterTag,
    LiteralTag,
    Metrics,
    MetricSelector,
    MetricsOverrides,
    ModeSelector,
    NamedTag,
    ProviderRef,
    TagOverride,
    Telemetry,
    Tracing,
)
from tests.support.judging import judge


def test_names() -> None:
    assert KIND.api_versions() == ("telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1")
    assert (KIND.plural, KIND.short) == ("telemetries", ("telemetry",))


def test_every_field() -> None:
    spec, errors, warnings = judge(
        KIND,
        """
        selector: {matchLabels: {app: a}}
        tracing:
        - match: {mode: CLIENT}
          providers: [{name: zipkin}]
          randomSamplingPercentage: 12.5
          disableSpanReporting: false
          customTags:
            a: {literal: {value: x}}
            b: {environment: {name: POD, defaultValue: none}}
            c: {header: {name: x-user}}
            d: {formatter: {value: "%PROTOCOL%"}}
          useRequestIdForTraceSampling: true
          enableIstioTags: false
          disableContextPropagation: true
        metrics:
        - providers: [{name: prometheus}]
          reportingInterval: 5s
          overrides:
          - match: {metric: REQUEST_COUNT, mode: SERVER}
            disabled: true
            tagOverrides:
              request_method: {value: request.method}
              old: {operation: REMOVE}
          - match: {customMetric: mine}
        accessLogging:
        - match: {mode: SERVER}
          providers: [{name: envoy}]
          disabled: false
          filter: {expression: "response.code >= 400"}
        """,
    )
    assert errors == []
    assert [one.path for one in warnings] == ["spec.tracing[0]"]  # of our own sidecars
    assert spec == Telemetry(
        selector=PolicySelector({"app": "a"}),
        tracing=(
            Tracing(
                match=ModeSelector("CLIENT"),
                providers=(ProviderRef("zipkin"),),
                random_sampling_percentage=12.5,
                disable_span_reporting=False,
                custom_tags={
                    "a": CustomTag(literal=LiteralTag("x")),
                    "b": CustomTag(environment=NamedTag("POD", "none")),
                    "c": CustomTag(header=NamedTag("x-user")),
                    "d": CustomTag(formatter=FormatterTag("%PROTOCOL%")),
                },
                use_request_id_for_trace_sampling=True,
                enable_istio_tags=False,
                disable_context_propagation=True,
            ),
        ),
        metrics=(
            Metrics(
                providers=(ProviderRef("prometheus"),),
                reporting_interval=Seconds(5.0),
                overrides=(
                    MetricsOverrides(
                        match=MetricSelector(metric="REQUEST_COUNT", mode="SERVER"),
                        disabled=True,
                        tag_overrides={
                            "request_method": TagOverride("UPSERT", "request.method"),
                            "old": TagOverride("REMOVE"),
                        },
                    ),
                    MetricsOverrides(match=MetricSelector(custom_metric="mine")),
                ),
            ),
        ),
        access_logging=(
            AccessLogging(
                match=ModeSelector("SERVER"),
                providers=(ProviderRef("envoy"),),
                disabled=False,
                filter=Filter("response.code >= 400"),
            ),
        ),
    )


def test_what_is_not_given_is_none() -> None:
    spec, errors, _ = judge(KIND, "{tracing: [{}], metrics: [{}], accessLogging: [{}]}")
    assert errors == []
    assert spec.tracing[0].random_sampling_percentage is None
    assert spec.tracing[0].disable_span_reporting is None
    assert spec.access_logging[0].disabled is None
    assert spec.metrics[0].reporting_interval is None
