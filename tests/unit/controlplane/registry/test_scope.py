"""What a sidecar sees: by Sidecar resources, their age and their listeners, and by exportTo."""

from __future__ import annotations

import itertools

import pytest

from controlplane.registry import scope
from controlplane.registry.workloads import Labels
from controlplane.world.world import World
from tests.support import meshes

_APP: Labels = (("app", "a"),)


def _service(name: str, namespace: str, ports: str = "80", export: str = "") -> str:
    annotation = f", annotations: {{networking.istio.io/exportTo: '{export}'}}" if export else ""
    listed = ", ".join(f"{{port: {port}, name: http-{port}}}" for port in ports.split())
    return (
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}"
        f"{annotation}}}\nspec: {{ports: [{listed}]}}\n"
    )


def _sidecar(name: str, namespace: str, *, selector: str = "", spec: str = "") -> str:
    chosen = f"workloadSelector: {{labels: {{{selector}}}}}, " if selector else ""
    everything = 'egress: [{hosts: ["*/*"]}]'
    return (
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{{chosen}{spec or everything}}}\n"
    )


def _world(*documents: str) -> World:
    return meshes.world("---\n".join(documents))


def _seen(world: World, namespace: str = "ns", labels: Labels = _APP) -> dict[str, list[int]]:
    view = world.view()
    found = scope.of_caller(view, scope.caller(view, namespace, labels, ""))
    short = {one.host.removesuffix(".svc.cluster.local"): one for one in found.services()}
    return {name: [port.number for port in one.ports] for name, one in short.items()}


_SIDECARS = {
    "own": _sidecar("own", "ns", selector="app: a"),
    "younger": _sidecar("younger", "ns", selector="app: a"),
    "other": _sidecar("other", "ns", selector="app: b"),
    "namespace": _sidecar("namespace", "ns"),
    "second": _sidecar("second", "ns"),
    "mesh": _sidecar("mesh", "istio-system"),
    "elsewhere": _sidecar("elsewhere", "far"),
}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_which_sidecar(count: int) -> None:
    """Own by labels, then the namespace's, then the mesh's, the oldest of each."""
    for names in itertools.permutations(_SIDECARS, count):
        view = _world(*(_SIDECARS[name] for name in names)).view()
        expected = None
        for level in (("own", "younger"), ("namespace", "second"), ("mesh",)):
            there = [name for name in names if name in level]
            if there:
                expected = there[0]
                break
        found = scope.sidecar(view, "ns", _APP)
        assert (found.name if found else None) == expected, names


@pytest.mark.parametrize(
    ("export", "seen_in"),
    [
        ("", {"ns", "far", "third"}),
        ("*", {"ns", "far", "third"}),
        (".", {"far"}),
        ("ns", {"ns"}),
        ("ns,third", {"ns", "third"}),
        ("~", set()),
    ],
)
def test_exported_to(export: str, seen_in: set[str]) -> None:
    world = _world(_service("a", "far", export=export))
    assert {one for one in ("ns", "far", "third") if _seen(world, one)} == seen_in


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ('"*/*"', {"a.ns", "b.ns", "a.far"}),
        ('"./*"', {"a.ns", "b.ns"}),
        ('"far/*"', {"a.far"}),
        ('"*/a.ns.svc.cluster.local"', {"a.ns"}),
        ('"*/*.far.svc.cluster.local"', {"a.far"}),
        ('"far/a.ns.svc.cluster.local"', set()),
        ('"~/*"', set()),
        ('"./a.ns.svc.cluster.local", "far/*"', {"a.ns", "a.far"}),
    ],
)
def test_hosts_of_a_listener(hosts: str, expected: set[str]) -> None:
    world = _world(
        _service("a", "ns"),
        _service("b", "ns"),
        _service("a", "far"),
        _sidecar("s", "ns", spec=f"egress: [{{hosts: [{hosts}]}}]"),
    )
    assert set(_seen(world)) == expected


def test_a_listener_with_a_port_is_for_that_port() -> None:
    listener = '{port: {number: PORT, name: http, protocol: HTTP}, hosts: ["*/*"]}'
    first, second = listener.replace("PORT", "80"), listener.replace("PORT", "81")
    services = (_service("a", "ns", "80 81 82"), _service("b", "ns", "82"))
    one = _world(*services, _sidecar("s", "ns", spec=f"egress: [{first}]"))
    assert _seen(one) == {"a.ns": [80]}
    both = _world(*services, _sidecar("s", "ns", spec=f"egress: [{first}, {second}]"))
    assert _seen(both) == {"a.ns": [80, 81]}
    rest = _world(
        *services,
        _sidecar("s", "ns", spec=f'egress: [{first}, {{hosts: ["./b.ns.svc.cluster.local"]}}]'),
    )
    assert _seen(rest) == {"a.ns": [80], "b.ns": [82]}


@pytest.mark.parametrize(
    ("mesh", "sidecar", "expected"),
    [
        ("ALLOW_ANY", "", "ALLOW_ANY"),
        ("REGISTRY_ONLY", "", "REGISTRY_ONLY"),
        ("REGISTRY_ONLY", "outboundTrafficPolicy: {mode: ALLOW_ANY}", "ALLOW_ANY"),
        ("ALLOW_ANY", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}", "REGISTRY_ONLY"),
        # Without a mode it is the enum's first.
        ("ALLOW_ANY", "outboundTrafficPolicy: {}", "REGISTRY_ONLY"),
    ],
)
def test_what_is_no_service(mesh: str, sidecar: str, expected: str) -> None:
    config = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
        f"data: {{mesh: 'outboundTrafficPolicy: {{mode: {mesh}}}'}}\n"
    )
    hosts = 'egress: [{hosts: ["*/*"]}]'
    spec = ", ".join(filter(None, (hosts, sidecar)))
    view = _world(config, _sidecar("s", "ns", spec=spec)).view()
    assert scope.anywhere_else(view, scope.sidecar(view, "ns", _APP)).mode == expected


def test_accounts_that_are_kept_from_nothing_are_one_caller() -> None:
    """Their routes and clusters are worked out once, not for each; and without Sidecars or
    policies that is all of them."""
    policy = (
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
        "metadata: {name: only-clerks, namespace: ns}\n"
        "spec: {rules: [{from: [{source: {serviceAccounts: [clerk, teller]}}]}]}\n"
    )
    vault = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: vault, namespace: ns}\n"
        "spec: {selector: {app: vault}, ports: [{port: 80, name: http}]}\n"
    )
    for documents, alone in [((vault,), False), ((vault, policy), True)]:
        view = _world(*documents).view()
        clerk, teller, thief = (
            scope.caller(view, "ns", _APP, account) for account in ("clerk", "teller", "thief")
        )
        assert clerk == teller
        assert (thief != clerk) is alone
        denied = [one.name for one in scope.of_caller(view, thief).denied]
        assert denied == (["vault"] if alone else [])
        assert [one.name for one in scope.of_caller(view, clerk).services()] == ["vault"]
