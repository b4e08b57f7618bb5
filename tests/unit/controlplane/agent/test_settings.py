"""controlplane.agent.settings: ProxyConfig as flags, environment and metadata of a sidecar."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.agent import settings
from controlplane.resources.mesh_config import MeshProxyConfig, apply_proxy_config

_LABELS = {"app": "reviews", "version": "v1"}


def config(**values: Any) -> MeshProxyConfig:
    made, problems = apply_proxy_config(values, MeshProxyConfig())
    assert made is not None, problems
    return made


def test_flags_are_envoys_and_those_that_were_given_stay() -> None:
    assert settings.flags(config(), ["envoy"]) == ["--drain-time-s", "45"]
    wanted = config(concurrency=2, drainDuration="7s", fileFlushInterval="0.5s")
    assert settings.flags(wanted, ["envoy"]) == [
        "--drain-time-s", "7", "--concurrency", "2", "--file-flush-interval-msec", "500",
    ]  # fmt: skip
    given = ["envoy", "--concurrency", "1", "--drain-time-s=8"]
    assert settings.flags(wanted, given) == ["--file-flush-interval-msec", "500"]
    assert "--concurrency" not in settings.flags(config(concurrency=0), ["envoy"])


def test_who_starts_it_goes_before_the_mesh() -> None:
    wanted = config(proxyMetadata={"A": "mesh", "B": "mesh"})
    assert settings.environment(wanted, {"A": "own"}) == {"A": "own", "B": "mesh"}


def test_metadata_is_what_variables_say_but_not_who_it_is() -> None:
    said = {
        "ISTIO_META_HTTP10": "1",
        "ISTIO_METAJSON_OWN": '{"a": [1]}',
        "ISTIO_METAJSON_BROKEN": "{",
        "ISTIO_METAJSON_LABELS": '{"app": "bank"}',
        "ISTIO_META_SERVICE_ACCOUNT": "bank",
        "OTHER": "x",
    }
    assert settings.metadata(said) == {"HTTP10": "1", "OWN": {"a": [1]}, "BROKEN": "{"}


@pytest.mark.parametrize(
    ("values", "labels", "name"),
    [
        ({}, _LABELS, "reviews.ns"),
        ({}, {}, "reviews-v1.ns"),
        ({"serviceCluster": "istio-proxy"}, _LABELS, "reviews.ns"),
        ({"serviceCluster": "shop"}, _LABELS, "shop"),
        ({"tracingServiceName": "APP_LABEL_AND_NAMESPACE"}, _LABELS, "reviews.ns"),
        ({"tracingServiceName": "CANONICAL_NAME_ONLY"}, _LABELS, "reviews"),
        ({"tracingServiceName": "CANONICAL_NAME_ONLY"}, {}, "reviews-v1"),
        ({"tracingServiceName": "CANONICAL_NAME_AND_NAMESPACE"}, _LABELS, "reviews.ns"),
        (
            {"tracingServiceName": "CANONICAL_NAME_AND_NAMESPACE"},
            {**_LABELS, "service.istio.io/canonical-name": "told"},
            "told.ns",
        ),
    ],
)
def test_spans_are_named_as_istio_names_them(
    values: dict[str, Any], labels: dict[str, str], name: str
) -> None:
    assert settings.cluster(config(**values), "reviews-v1", "ns", labels) == name


def test_istios_own_ports_are_no_choice_of_anybodys() -> None:
    assert settings.admin_port(config()) == 0
    assert settings.admin_port(config(proxyAdminPort=15000)) == 0
    assert settings.admin_port(config(proxyAdminPort=15001)) == 15001
    assert not settings.status_port_is_chosen(config())
    assert settings.status_port_is_chosen(config(statusPort=15999))


def test_what_takes_effect_at_the_next_start_only_is_named() -> None:
    assert settings.needs_restart(config(), config()) == []
    now = config(concurrency=3, proxyMetadata={"A": "b"}, readinessProbe={"tcpSocket": {"port": 1}})
    assert settings.needs_restart(config(), now) == ["concurrency", "proxyMetadata"]


@pytest.mark.parametrize(("said", "waits"), [("true", True), ("1", True), ("false", False)])
def test_the_end_may_wait_for_connections(said: str, waits: bool) -> None:
    assert settings.waits_for_idle({"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": said}) is waits
    assert not settings.waits_for_idle({})
