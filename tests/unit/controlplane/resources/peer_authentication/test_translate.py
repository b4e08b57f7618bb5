"""Modes: port over workload over namespace over mesh; UNSET inherits, the oldest holds."""

from __future__ import annotations

import itertools

from controlplane.resources.peer_authentication.translate import mode
from tests.support import meshes

_LEVELS = ("port", "workload", "namespace", "mesh")
_MODES = ("", "UNSET", "STRICT", "DISABLE")


def _policy(name: str, namespace: str, spec: str) -> str:
    return (
        "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )


def _documents(said: dict[str, str]) -> str:
    found = ""
    if said["mesh"]:
        found += _policy("mesh", "istio-system", f"mtls: {{mode: {said['mesh']}}}")
    if said["namespace"]:
        found += _policy("namespace", "ns", f"mtls: {{mode: {said['namespace']}}}")
    if said["workload"] or said["port"]:
        spec = "selector: {matchLabels: {app: a}}"
        if said["workload"]:
            spec += f", mtls: {{mode: {said['workload']}}}"
        if said["port"]:
            spec += f", portLevelMtls: {{80: {{mode: {said['port']}}}}}"
        found += _policy("workload", "ns", spec)
    return found


def test_levels() -> None:
    for modes in itertools.product(_MODES, repeat=4):
        said = dict(zip(_LEVELS, modes, strict=True))
        view = meshes.world(_documents(said)).view()
        by_level = [one for one in modes if one not in {"", "UNSET"}]
        assert mode(view, "ns", (("app", "a"),), 80) == (by_level or ["PERMISSIVE"])[0], said
        others = [one for one in modes[1:] if one not in {"", "UNSET"}]
        assert mode(view, "ns", (("app", "a"),), 81) == (others or ["PERMISSIVE"])[0], said
        wider = [one for one in modes[2:] if one not in {"", "UNSET"}]
        assert mode(view, "ns", (("app", "b"),), 80) == (wider or ["PERMISSIVE"])[0], said


def test_the_oldest_holds() -> None:
    first = _policy("a", "ns", "mtls: {mode: STRICT}")
    second = _policy("b", "ns", "mtls: {mode: DISABLE}")
    assert mode(meshes.world(first + second).view(), "ns", (), 80) == "STRICT"
    assert mode(meshes.world(second + first).view(), "ns", (), 80) == "DISABLE"


def test_selectors_of_the_root_namespace_do_nothing() -> None:
    spec = "selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}"
    view = meshes.world(_policy("a", "istio-system", spec)).view()
    assert mode(view, "ns", (("app", "a"),), 80) == "PERMISSIVE"
    assert mode(view, "istio-system", (("app", "a"),), 80) == "PERMISSIVE"
