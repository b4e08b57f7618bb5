"""Rules of TrafficExtension; those of the module are tested with WasmPlugin."""

import pytest

from controlplane.resources.traffic_extension import KIND
from tests.support.judging import refusal

LUA = "lua: {inlineCode: x}"


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("{}", "spec", "has no filter; give it wasm or lua"),
        (f"{{{LUA}, wasm: {{url: a}}}}", "spec", "wasm, lua exclude each other; keep one"),
        ("lua: {}", "spec.lua.inlineCode", "is required"),
        ("lua: {inlineCode: ''}", "spec.lua.inlineCode", "must not be empty"),
        (
            f"lua: {{inlineCode: {'x' * 65537}}}",
            "spec.lua.inlineCode",
            "must have 1 to 65536 characters, has 65537",
        ),
        (f"{{{LUA}, phase: UNSPECIFIED_PHASE}}", "spec.phase", "must be one of UNSPECIFIED, AUTHN"),
        (
            f"{{{LUA}, targetRef: {{kind: Service, name: a}}}}",
            "spec.targetRef",
            "there is no such field; did you mean targetRefs?",
        ),
        (
            f"{{{LUA}, match: [{{ports: [{{number: 1}}, {{number: 1}}]}}]}}",
            "spec.match[0].ports[1].number",
            "1 is there twice",
        ),
    ],
)
def test_refused(text: str, path: str, reason: str) -> None:
    where, why = refusal(KIND, text)
    assert where == path
    assert why.startswith(reason)
