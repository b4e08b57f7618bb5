"""Rules of WasmPlugin; TrafficExtension keeps the same ones for its module."""

import pytest

from controlplane.resources.traffic_extension import KIND as TRAFFIC_EXTENSION
from controlplane.resources.wasm_plugin import KIND
from tests.support.judging import judge, refusal


@pytest.mark.parametrize(
    "url",
    [
        "registry.example/plugin",
        "registry.example:5000/plugin:tag",
        "plugin",
        "oci://registry.example/plugin@sha256:abc",
        "http://[::1]:8080/a.wasm",
        "https://host/a.wasm",
        "file:///etc/plugin.wasm",
    ],
)
def test_urls(url: str) -> None:
    assert judge(KIND, f"url: '{url}'")[1] == []


_MODULES = [
    ("url: ftp://host/a", "url", "ftp:// is not supported; use http, https, file, oci"),
    ("url: 'http://'", "url", "'http://' names no host"),
    ("url: 'file://'", "url", "'file://' names no file"),
    ("url: 'http://a b/'", "url", "'http://a b/' has blanks"),
    ("url: 'http://[::1/'", "url", "'http://[::1/' is no URL"),
    ("url: 'http://a:99999/'", "url", "'http://a:99999/' is no URL"),
    ("url: ''", "url", "must not be empty"),
    (f"{{url: a, sha256: {'A' * 64}}}", "sha256", "must be 64 digits of 0-9 and a-f"),
    ("{url: a, sha256: abc}", "sha256", "must be 64 digits of 0-9 and a-f"),
    ("{url: a, imagePullPolicy: Never}", "imagePullPolicy", "must be one of UNSPECIFIED_POLICY"),
    ("{url: a, imagePullSecret: ''}", "imagePullSecret", "must not be empty"),
    (
        f"{{url: a, imagePullSecret: {'a' * 254}}}",
        "imagePullSecret",
        "must have 1 to 253 characters, has 254",
    ),
    (f"{{url: a, pluginName: {'a' * 257}}}", "pluginName", "must have 1 to 256 characters"),
    ("{url: a, pluginConfig: text}", "pluginConfig", "must be an object"),
    ("{url: a, failStrategy: OPEN}", "failStrategy", "must be one of FAIL_CLOSE, FAIL_OPEN"),
    ("{url: a, type: TCP}", "type", "must be one of UNSPECIFIED_PLUGIN_TYPE, HTTP, NETWORK"),
    ("{url: a, vmConfig: {env: [{}]}}", "vmConfig.env[0].name", "is required"),
    ("{url: a, vmConfig: {env: [{name: ''}]}}", "vmConfig.env[0].name", "must not be empty"),
    (
        f"{{url: a, vmConfig: {{env: [{{name: {'a' * 257}}}]}}}}",
        "vmConfig.env[0].name",
        "must have 1 to 256 characters",
    ),
    (
        f"{{url: a, vmConfig: {{env: [{{name: a, value: {'a' * 2049}}}]}}}}",
        "vmConfig.env[0].value",
        "must have 0 to 2048 characters",
    ),
    (
        "{url: a, vmConfig: {env: [{name: a}, {name: a}]}}",
        "vmConfig.env[1].name",
        "a is there twice",
    ),
    (
        "{url: a, vmConfig: {env: [{name: a, valueFrom: HOST, value: b}]}}",
        "vmConfig.env[0].value",
        "is taken from the host",
    ),
    (
        f"{{url: a, vmConfig: {{env: [{', '.join(f'{{name: v{n}}}' for n in range(257))}]}}}}",
        "vmConfig.env",
        "must have 0 to 256 entries",
    ),
]


@pytest.mark.parametrize(("text", "path", "reason"), _MODULES)
def test_refused_modules(text: str, path: str, reason: str) -> None:
    for kind, below, spec in (
        (KIND, "spec", text),
        (TRAFFIC_EXTENSION, "spec.wasm", f"wasm: {text if text[0] == '{' else '{' + text + '}'}"),
    ):
        where, why = refusal(kind, spec)
        assert where == f"{below}.{path}"
        assert why.startswith(reason)


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("{}", "spec.url", "is required"),
        ("{url: a, phase: UNSPECIFIED}", "spec.phase", "must be one of UNSPECIFIED_PHASE"),
        ("{url: a, priority: 1.5}", "spec.priority", "must be a whole number"),
        ("{url: a, match: [{mode: BOTH}]}", "spec.match[0].mode", "must be one of UNDEFINED"),
        ("{url: a, match: [{ports: [{}]}]}", "spec.match[0].ports[0].number", "is required"),
        (
            "{url: a, match: [{ports: [{number: 0}]}]}",
            "spec.match[0].ports[0].number",
            "must be from 1 to 65535",
        ),
        (
            "{url: a, match: [{ports: [{number: 80}, {number: 80}]}]}",
            "spec.match[0].ports[1].number",
            "80 is there twice",
        ),
    ],
)
def test_refused(text: str, path: str, reason: str) -> None:
    where, why = refusal(KIND, text)
    assert where == path
    assert why.startswith(reason)
