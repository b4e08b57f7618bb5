"""Fields of TrafficExtension."""

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.target import PolicyTargetReference
from controlplane.resources.common.wasm import PortSelector, TrafficSelector
from controlplane.resources.traffic_extension import KIND
from controlplane.resources.traffic_extension.schema import (
    LuaConfig,
    TrafficExtension,
    WasmConfig,
)
from tests.support.judging import judge


def test_names() -> None:
    assert KIND.api_versions() == ("extensions.istio.io/v1alpha1",)
    assert KIND.plural == "trafficextensions"


def test_lua() -> None:
    spec, errors, warnings = judge(
        KIND,
        """
        selector: {matchLabels: {app: a}}
        phase: STATS
        priority: 3
        match: [{mode: CLIENT, ports: [{number: 80}]}]
        lua: {inlineCode: "function envoy_on_request(handle) end"}
        """,
    )
    assert (errors, warnings) == ([], [])
    assert spec == TrafficExtension(
        selector=PolicySelector({"app": "a"}),
        phase="STATS",
        priority=3,
        match=(TrafficSelector("CLIENT", (PortSelector(80),)),),
        lua=LuaConfig("function envoy_on_request(handle) end"),
    )


def test_wasm() -> None:
    spec, errors, _ = judge(
        KIND,
        f"""
        targetRefs: [{{kind: Service, name: a}}]
        wasm:
          url: https://host/a.wasm
          sha256: {"0a" * 32}
          imagePullPolicy: IfNotPresent
          imagePullSecret: secret
          verificationKey: key
          pluginConfig: {{a: 1}}
          pluginName: plugin
          failStrategy: FAIL_OPEN
          vmConfig: {{}}
          type: HTTP
        """,
    )
    assert errors == []
    assert spec.target_refs == (PolicyTargetReference("Service", "a"),)
    wasm = spec.wasm
    assert isinstance(wasm, WasmConfig)
    assert (wasm.url, wasm.sha256, wasm.type) == ("https://host/a.wasm", "0a" * 32, "HTTP")
    assert (wasm.image_pull_policy, wasm.image_pull_secret) == ("IfNotPresent", "secret")
    assert (wasm.plugin_config, wasm.plugin_name) == ({"a": 1}, "plugin")
    assert wasm.fail_strategy == "FAIL_OPEN"
