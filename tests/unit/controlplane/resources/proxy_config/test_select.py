"""Which of mesh, namespaces, group, pod and selectors holds: Istio's order, by all combinations."""

from __future__ import annotations

import itertools

import pytest

from controlplane.resources.proxy_config.select import Subject, effective, own
from controlplane.resources.workload_group.select import NoGroup
from tests.support import meshes

SUBJECT = Subject("ns", "reviews", "reviews-v1", (("app", "reviews"), ("version", "v1")))
#: From what counts least to what counts most.
_LEVELS = {
    "mesh": """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "defaultConfig: {concurrency: 1, proxyMetadata: {LEVEL: mesh, MESH: x}}"}
""",
    "root": """
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: all, namespace: istio-system}
spec: {concurrency: 2, environmentVariables: {LEVEL: root, ROOT: x}}
""",
    "namespace": """
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: all, namespace: ns}
spec: {concurrency: 3, environmentVariables: {LEVEL: namespace, NAMESPACE: x}}
""",
    "group": """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata:
  name: machines
  namespace: ns
  annotations:
    proxy.istio.io/config: "{concurrency: 4, proxyMetadata: {LEVEL: group, GROUP: x}}"
spec: {template: {serviceAccount: reviews, labels: {app: reviews}}}
""",
    "pod": """
apiVersion: v1
kind: Pod
metadata:
  name: reviews-v1
  namespace: ns
  annotations:
    proxy.istio.io/config: "{concurrency: 5, proxyMetadata: {LEVEL: pod, POD: x}}"
spec: {serviceAccountName: reviews}
""",
    "selector": """
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: some, namespace: ns}
spec:
  selector: {matchLabels: {app: reviews}}
  concurrency: 6
  environmentVariables: {LEVEL: selector, SELECTOR: x}
""",
}


def test_levels() -> None:
    """What comes later counts; variables are merged."""
    for count in range(len(_LEVELS) + 1):
        for chosen in itertools.combinations(_LEVELS, count):
            view = meshes.world("---".join(_LEVELS[one] for one in chosen)).view()
            config = effective(view, SUBJECT)
            places = [list(_LEVELS).index(one) + 1 for one in chosen]
            assert config.concurrency == (max(places) if places else None), chosen
            metadata = dict(config.proxy_metadata)
            assert metadata.pop("LEVEL", None) == (chosen[-1] if chosen else None)
            assert metadata == {one.upper(): "x" for one in chosen}
            # What is the whole mesh's is not its own: that follows the mesh.
            said = own(view, SUBJECT)
            mine = [one for one in chosen if one != "mesh"]
            assert said.get("concurrency") == (max(places) if mine else None)
            assert "MESH" not in said.get("proxyMetadata", {})


def test_the_oldest_holds_and_selectors_of_other_namespaces_are_for_them() -> None:
    text = "---".join(
        f"""
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{matchLabels: {{app: reviews}}}}, concurrency: {number}}}
"""
        for name, namespace, number in (
            ("elsewhere", "other", 7),
            ("root", "istio-system", 8),
            ("first", "ns", 2),
            ("second", "ns", 3),
        )
    )
    view = meshes.world(text).view()
    assert effective(view, SUBJECT).concurrency == 2
    other = Subject("ns", "reviews", "reviews-v1", (("app", "ratings"),))
    assert effective(view, other).concurrency is None


def test_a_pod_of_another_account_says_nothing_about_it() -> None:
    text = _LEVELS["pod"].replace("serviceAccountName: reviews", "serviceAccountName: bank")
    assert effective(meshes.world(text).view(), SUBJECT).concurrency is None


def test_the_groups_probe_is_the_workloads() -> None:
    text = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: of-another-account, namespace: ns}
spec: {template: {serviceAccount: bank}, probe: {tcpSocket: {port: 1}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: of-other-labels, namespace: ns}
spec: {template: {serviceAccount: reviews, labels: {app: page}}, probe: {tcpSocket: {port: 2}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: machines, namespace: ns}
spec: {template: {serviceAccount: reviews, labels: {app: reviews}}, probe: {tcpSocket: {port: 3}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: named, namespace: ns}
spec: {template: {serviceAccount: reviews, labels: {app: z}}, probe: {tcpSocket: {port: 4}}}
"""
    view = meshes.world(text).view()
    probe = effective(view, SUBJECT).readiness_probe
    assert probe is not None
    assert probe.tcp_socket is not None
    assert probe.tcp_socket.port == 3
    named = Subject(SUBJECT.namespace, SUBJECT.account, SUBJECT.name, SUBJECT.labels, "named")
    probe = effective(view, named).readiness_probe
    assert probe is not None
    assert probe.tcp_socket is not None
    assert probe.tcp_socket.port == 4
    for name, why in (
        ("nobody", "there is no WorkloadGroup ns/nobody"),
        ("of-another-account", "is for service account bank, not reviews"),
    ):
        subject = Subject("ns", "reviews", "reviews-v1", SUBJECT.labels, name)
        with pytest.raises(NoGroup, match=why):
            effective(view, subject)


def test_what_cannot_be_read_says_nothing() -> None:
    for text in ("concurrency: [", "concurrency: many", "- 1"):
        broken = _LEVELS["pod"].replace(
            '"{concurrency: 5, proxyMetadata: {LEVEL: pod, POD: x}}"', f'"{text}"'
        )
        view = meshes.world(broken + "---" + _LEVELS["root"]).view()
        assert effective(view, SUBJECT).concurrency == 2


def test_nothing_is_kept_of_who_asks() -> None:
    """Labels and names are many: whoever may choose his version could fill the memory."""
    view = meshes.world("---".join(_LEVELS.values())).view()
    effective(view, SUBJECT)
    size = len(view.graph)
    for number in range(20):
        labels = (("app", "reviews"), ("version", f"v{number}"))
        effective(view, Subject("ns", "reviews", f"reviews-{number}", labels))
        with pytest.raises(NoGroup):
            effective(view, Subject("ns", "reviews", "a", labels, f"group-{number}"))
    assert len(view.graph) == size


def test_a_token_is_not_handed_out() -> None:
    text = _LEVELS["pod"].replace(
        "concurrency: 5", "tracing: {lightstep: {address: 'a:1', accessToken: hush}}"
    )
    assert "hush" not in str(own(meshes.world(text).view(), SUBJECT))
