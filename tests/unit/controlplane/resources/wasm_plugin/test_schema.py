"""Fields of WasmPlugin."""

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.wasm import EnvVar, PortSelector, TrafficSelector, VmConfig
from controlplane.resources.wasm_plugin import KIND
from controlplane.resources.wasm_plugin.schema import WasmPlugin
from tests.support.judging import judge


def test_names() -> None:
    assert KIND.api_versions() == ("extensions.istio.io/v1alpha1",)
    assert (KIND.plural, KIND.short) == ("wasmplugins", ())


def test_every_field() -> None:
    spec, errors, warnings = judge(
        KIND,
        f"""
        selector: {{matchLabels: {{app: a}}}}
        url: oci://registry.example/plugin:1
        sha256: {"0a" * 32}
        imagePullPolicy: Always
        imagePullSecret: secret
        verificationKey: key
        pluginConfig: {{a: [1, null], b: null}}
        pluginName: plugin
        phase: AUTHN
        priority: -10
        failStrategy: FAIL_RELOAD
        vmConfig: {{env: [{{name: A, value: b}}, {{name: C, valueFrom: HOST}}]}}
        match: [{{mode: SERVER, ports: [{{number: 80}}]}}]
        type: NETWORK
        """,
    )
    assert (errors, warnings) == ([], [])
    assert spec == WasmPlugin(
        selector=PolicySelector({"app": "a"}),
        url="oci://registry.example/plugin:1",
        sha256="0a" * 32,
        image_pull_policy="Always",
        image_pull_secret="secret",
        verification_key="key",
        plugin_config={"a": [1, None], "b": None},
        plugin_name="plugin",
        phase="AUTHN",
        priority=-10,
        fail_strategy="FAIL_RELOAD",
        vm_config=VmConfig((EnvVar("A", "INLINE", "b"), EnvVar("C", "HOST"))),
        match=(TrafficSelector("SERVER", (PortSelector(80),)),),
        type="NETWORK",
    )


def test_defaults() -> None:
    spec, errors, _ = judge(KIND, "url: registry.example/plugin")
    assert errors == []
    assert spec == WasmPlugin(url="registry.example/plugin")
    assert (spec.phase, spec.fail_strategy) == ("UNSPECIFIED_PHASE", "FAIL_CLOSE")
    assert (spec.priority, spec.plugin_config) == (None, None)
