"""Files to a collection, and findings back to lines."""

from controlplane.analysis.load import Loaded, load
from controlplane.resources.kinds import KINDS
from controlplane.resources.mesh_config import MeshConfig
from controlplane.resources.resource import Key
from controlplane.sources.document import read


def _load(**files: str) -> Loaded:
    return load([read(text.encode(), f"{name}.yaml") for name, text in files.items()], KINDS)


SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}"


def test_resources_problems_and_places() -> None:
    loaded = _load(
        a=SERVICE,
        b="""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec:
  servers:
  - port: {number: 80, name: http, protocol: HTTPX}
    hosts: [a.example]
""",
    )
    collection = loaded.collection
    key = Key("Gateway", "ns", "gw")
    assert collection.exists("Service", "default", "a")
    # It breaks a rule and can be read all the same.
    assert collection.find("Gateway", "ns", "gw") is not None
    (problem,) = collection.problems[key]
    assert problem.path == "spec.servers[0].port.protocol"
    assert loaded.place(key, problem.path) == "b.yaml:7"
    assert loaded.place(key, "") == "b.yaml:2"
    assert loaded.place(Key("Gateway", "ns", "other"), "") == ""


def test_what_cannot_be_read_is_there_all_the_same() -> None:
    loaded = _load(a="{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: 1}}")
    collection = loaded.collection
    assert collection.find("Service", "default", "a") is None
    assert collection.exists("Service", "default", "a")
    assert collection.knows("Service")
    assert collection.unreadable("Service") == (Key("Service", "default", "a"),)


def test_the_last_one_counts() -> None:
    loaded = _load(a=SERVICE, b=SERVICE.replace("80", "81"))
    assert loaded.repeated == [
        "b.yaml:1: Service default/a is in a.yaml:1 already; the last one counts"
    ]
    (service,) = [one for one in loaded.collection.of("Service") if one.origin is not None]
    assert service.spec.spec.ports[0].port == 81


def test_what_is_no_document_and_what_nobody_looks_at() -> None:
    loaded = _load(
        a="[1]",
        b="{apiVersion: v1, kind: Service, spec: {}}",
        c="{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}}",
        d="{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a}}",
        e="{apiVersion: v1, kind: Service, metadata: {name: a, namespace: kube-system}}",
        f="{apiVersion: install.istio.io/v1alpha1, kind: IstioOperator}",
    )
    assert [str(one).partition(": ")[0] for one in loaded.unreadable] == ["a.yaml:1", "b.yaml:1"]
    assert loaded.skipped == {"Ingress": 1, "DaemonSet": 1, "IstioOperator": 1}
    assert loaded.documents == {}


def test_the_mesh_is_read_from_its_config_map() -> None:
    text = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    # a comment
    rootNamespace: root
    trustDomain: example.org
  meshNetworks: 'networks: {}'
"""
    loaded = _load(a=text)
    assert loaded.collection.mesh.root_namespace == "root"
    key = Key("ConfigMap", "istio-system", "istio")
    assert loaded.place(key, "data.mesh.trustDomain") == "a.yaml:9"
    assert loaded.place(key, "data.meshNetworks.networks") == "a.yaml:10"
    # Over the one that is given.
    base = MeshConfig(access_log_file="/a")
    mesh = load([read(text.encode(), "a.yaml")], KINDS, mesh=base).collection.mesh
    assert (mesh.access_log_file, mesh.trust_domain) == ("/a", "example.org")


def test_the_ingress_gateway_is_taken_to_be_there_unless_it_is_given() -> None:
    collection = _load(a=SERVICE).collection
    assert collection.find("Pod", "istio-system", "istio-ingressgateway") is not None
    assert not collection.knows("Pod")
    own = SERVICE.replace("name: a", "name: istio-ingressgateway, namespace: istio-system")
    service = _load(a=own).collection.find("Service", "istio-system", "istio-ingressgateway")
    assert service is not None
    assert [port.port for port in service.spec.spec.ports] == [80]


def test_the_namespace_of_those_that_name_none() -> None:
    loaded = load([read(SERVICE.encode(), "a.yaml")], KINDS, namespace="mine")
    assert loaded.collection.exists("Service", "mine", "a")
