"""Rules of EnvoyFilter."""

import pytest

from controlplane.resources.envoy_filter import KIND
from tests.support.judging import judge, refusal

HCM = "envoy.filters.network.http_connection_manager"


def _patch(rest: str) -> str:
    return f"configPatches: [{{{rest}}}]"


def _filter(match: str, apply_to: str = "HTTP_FILTER") -> str:
    where = f"match: {{listener: {{filterChain: {{filter: {match}}}}}}}"
    return _patch(f"applyTo: {apply_to}, {where}, patch: {{operation: REMOVE}}")


_FILTER = "spec.configPatches[0].match.listener.filterChain.filter"


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (_patch("patch: {operation: REMOVE}"), ".applyTo", "is required"),
        (_patch("applyTo: INVALID"), ".applyTo", "is required"),
        (_patch("applyTo: FILTER"), ".applyTo", "must be one of INVALID, LISTENER"),
        (_patch("applyTo: CLUSTER"), ".patch", "is required"),
        (_patch("applyTo: CLUSTER, patch: {}"), ".patch.operation", "is required"),
        (
            _patch("applyTo: CLUSTER, patch: {operation: MERGE}"),
            ".patch.value",
            "is required with the operation MERGE",
        ),
        (
            _patch("applyTo: CLUSTER, patch: {operation: MERGE, value: {lb: 1}}"),
            ".patch.value",
            "is no envoy.config.cluster.v3.Cluster: ",
        ),
        (
            _patch("applyTo: CLUSTER, patch: {operation: MERGE, value: {load_assignment: {a: 1}}}"),
            ".patch.value.load_assignment",
            "is no envoy.config.cluster.v3.Cluster: ",
        ),
        (
            _patch("applyTo: CLUSTER, match: {listener: {}}, patch: {operation: REMOVE}"),
            ".match.listener",
            "does not fit applyTo CLUSTER, which takes a cluster match",
        ),
        (
            _patch("applyTo: LISTENER, match: {cluster: {}}, patch: {operation: REMOVE}"),
            ".match.cluster",
            "does not fit applyTo LISTENER, which takes a listener match",
        ),
        (
            _patch("applyTo: VIRTUAL_HOST, match: {cluster: {}}, patch: {operation: REMOVE}"),
            ".match.cluster",
            "does not fit applyTo VIRTUAL_HOST, which takes a routeConfiguration match",
        ),
        (
            _patch(
                "applyTo: CLUSTER, match: {cluster: {}, listener: {}}, patch: {operation: REMOVE}"
            ),
            ".match",
            "listener, cluster exclude each other",
        ),
        (
            _patch("applyTo: CLUSTER, match: {context: WAYPOINT}, patch: {operation: REMOVE}"),
            ".match",
            "context WAYPOINT and the match waypoint go together",
        ),
        (
            _patch("applyTo: CLUSTER, match: {waypoint: {}}, patch: {operation: REMOVE}"),
            ".match",
            "context WAYPOINT and the match waypoint go together",
        ),
        (
            _patch(
                "applyTo: CLUSTER, match: {context: WAYPOINT, waypoint: {portNumber: 0}}, "
                "patch: {operation: REMOVE}"
            ),
            ".match.waypoint.portNumber",
            "must be from 1 to 65535",
        ),
        (
            _patch(
                "applyTo: CLUSTER, match: {proxy: {proxyVersion: '1.('}}, "
                "patch: {operation: REMOVE}"
            ),
            ".match.proxy.proxyVersion",
            "'1.(' is no RE2 expression",
        ),
    ],
)
def test_refused_patches(text: str, path: str, reason: str) -> None:
    where, why = refusal(KIND, text)
    assert where == f"spec.configPatches[0]{path}"
    assert why.startswith(reason)


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (_filter("{subFilter: {name: a}}"), f"{_FILTER}.name", "is required"),
        (
            _filter(f"{{name: {HCM}, subFilter: {{name: a}}}}", "NETWORK_FILTER"),
            f"{_FILTER}.subFilter",
            "is for applyTo HTTP_FILTER only",
        ),
        (
            _filter("{name: envoy.filters.network.tcp_proxy, subFilter: {name: a}}"),
            f"{_FILTER}.name",
            "must be envoy.filters.network.http_connection_manager",
        ),
        (_filter(f"{{name: {HCM}, subFilter: {{}}}}"), f"{_FILTER}.subFilter.name", "is required"),
        (
            "{workloadSelector: {labels: {a: b}}, targetRefs: [{kind: Service, name: a}]}",
            "spec",
            "workloadSelector, targetRefs exclude each other",
        ),
        (
            "workloadSelector: {labels: {a: '*'}}",
            "spec.workloadSelector.labels.a",
            "selectors have no wildcards",
        ),
        ("priority: high", "spec.priority", "must be a whole number"),
    ],
)
def test_refused(text: str, path: str, reason: str) -> None:
    where, why = refusal(KIND, text)
    assert where == path
    assert why.startswith(reason)


def _warnings(text: str) -> list[tuple[str, str]]:
    """Those beyond the one that every EnvoyFilter gets."""
    _, errors, (general, *others) = judge(KIND, text)
    assert errors == []
    assert general.path == ""
    assert "prefer other kinds" in general.reason
    return [(one.path, one.reason) for one in others]


def test_every_envoy_filter_is_warned_of() -> None:
    assert _warnings("{}") == []


def test_selecting_everything_is_warned_of() -> None:
    ((path, _),) = _warnings("workloadSelector: {}")
    assert path == "spec.workloadSelector.labels"


def test_deprecated_names_are_warned_of() -> None:
    text = _filter("{name: envoy.http_connection_manager, subFilter: {name: envoy.router}}")
    assert _warnings(text) == [
        (f"{_FILTER}.name", f"envoy.http_connection_manager is deprecated; use {HCM}"),
        (
            f"{_FILTER}.subFilter.name",
            "envoy.router is deprecated; use envoy.filters.http.router",
        ),
    ]


def test_matches_without_effect_are_warned_of() -> None:
    ((path, reason),) = _warnings(_filter(f"{{name: {HCM}}}", "FILTER_CHAIN"))
    assert (path, reason) == (_FILTER, "has no effect with applyTo FILTER_CHAIN")


def test_extensions_by_name_alone_are_warned_of() -> None:
    patch = "applyTo: {}, patch: {{operation: ADD, value: {}}}"
    ((path, reason),) = _warnings(_patch(patch.format("HTTP_FILTER", "{name: a}")))
    assert path == "spec.configPatches[0].patch.value"
    assert reason.startswith("the extension 'a' has no typed_config")
    assert _warnings(_patch(patch.format("HTTP_FILTER", "{config_discovery: {}}"))) == []
    ((_, reason),) = _warnings(_patch(patch.format("CLUSTER", "{transport_socket: {name: tls}}")))
    assert reason.startswith("the extension 'tls' has no typed_config")
