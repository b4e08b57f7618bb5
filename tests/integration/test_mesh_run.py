"""Programs in the mesh: mutual TLS, splits, policies, leaving, restarts, as users see them."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.manifests import STRICT, service
from tests.support.mesh import Mesh, Workload, until
from tests.support.proxies import ENVOY, OURS

SERVICES = service("reviews") + STRICT
SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
"""


def split(first: int, second: int) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http:
  - match: [{{headers: {{end-user: {{exact: jason}}}}}}]
    route: [{{destination: {{host: reviews, subset: v2}}}}]
  - route:
    - {{destination: {{host: reviews, subset: v1}}, weight: {first}}}
    - {{destination: {{host: reviews, subset: v2}}, weight: {second}}}
"""


ONLY_PRODUCTPAGE = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews}
spec:
  selector: {matchLabels: {app: reviews}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/productpage]}}]
    to: [{operation: {methods: [GET]}}]
"""


#: Envoy knows no such operator; Istio passes values on as they are.
UNKNOWN_OPERATOR = split(100, 0).replace(
    "  - route:\n",
    '  - headers: {request: {set: {x-bad: "%NO_SUCH_OPERATOR%"}}}\n    route:\n',
)
ODD = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: odd}
spec:
  action: DENY
  selector: {matchLabels: {app: nobody}}
  rules: [{to: [{operation: {methods: [GET]}}]}]
"""
#: A filter whose configuration comes by ECDS.
BY_NAME = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: by-name}}
spec:
  workloadSelector: {{labels: {{app: reviews}}}}
  configPatches:
  - applyTo: HTTP_FILTER
    match: {{context: SIDECAR_INBOUND}}
    patch:
      operation: INSERT_FIRST
      value:
        name: example.by-name
        config_discovery:
          config_source: {{ads: {{}}, resource_api_version: V3, initial_fetch_timeout: 0s}}
          type_urls:
          - type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
  - applyTo: EXTENSION_CONFIG
    patch:
      operation: ADD
      value:
        name: example.by-name
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
          mutations:
            request_mutations: [{{append: {{header: {{key: x-by-name, value: {value}}}}}}}]
"""  # noqa: E501


ZIPKIN = """
apiVersion: v1
kind: Service
metadata: {name: zipkin}
spec: {ports: [{port: 9411, name: http}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
    - name: zipkin
      zipkin: {service: zipkin.default.svc.cluster.local, port: 9411}
"""
SPANS = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: spans}
spec: {tracing: [{providers: [{name: zipkin}], randomSamplingPercentage: 100}]}
"""


@pytest.fixture(scope="module", params=[OURS, ENVOY])
def mesh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("mesh"), request.param) as running:
        running.write("services.yaml", SERVICES)
        yield running


def test_a_mesh_from_nothing(mesh: Mesh) -> None:
    """One after the other, because a mesh is costly to start: each step is a state of the mesh."""
    for version in ("v1", "v2"):
        mesh.run("reviews", "--port", "9080:auto", version=version)
    page = mesh.run("productpage", command=["sleep", "600"])
    intern = mesh.run("intern", command=["sleep", "600"])
    until(lambda: page.get("reviews:9080")[0] == 200, "reviews does not answer", mesh.log)

    # Mutual TLS: the application is told who calls, and nobody without a certificate gets in.
    _, answer = page.get("reviews:9080", "/who")
    told = answer["headers"]["x-forwarded-client-cert"]
    assert "URI=spiffe://cluster.local/ns/default/sa/productpage" in told
    assert "By=spiffe://cluster.local/ns/default/sa/reviews" in told

    # Routes by header and by weight follow a change of the file.
    mesh.write("subsets.yaml", SUBSETS)
    mesh.write("split.yaml", split(100, 0))
    until(lambda: seen(page) == {"reviews-v1"}, "the split is not followed", mesh.log)
    assert page.get("reviews:9080", headers={"end-user": "jason"})[1]["name"] == "reviews-v2"
    mesh.write("split.yaml", split(0, 100))
    until(lambda: seen(page) == {"reviews-v2"}, "the split is not followed", mesh.log)

    # Who may never is told so by its own sidecar, and by which policy; who may not do this, by the
    # sidecar of the one that is called.
    mesh.write("policy.yaml", ONLY_PRODUCTPAGE)
    until(lambda: intern.get("reviews:9080")[0] == 403, "the policy is not followed", mesh.log)
    told = intern.get("reviews:9080")[1]
    assert told == "RBAC: access denied: no rule of default/reviews admits default/intern\n"
    until(
        lambda: not intern.stats("reviews.default.svc.cluster.local.membership_total"),
        "what it cannot use is not taken back",
        mesh.log,
    )
    assert page.get("reviews:9080")[0] == 200
    # Connections of before the policy are drained, not cut.
    until(
        lambda: page.get("reviews:9080", method="DELETE") == (403, "RBAC: access denied"),
        "the policy is not followed",
        mesh.log,
    )

    # What is wrong is refused, and changes nothing.
    mesh.write("split.yaml", split(100, 0).replace("weight", "wieght"))
    until(lambda: "did you mean weight?" in mesh.log("control"), "nothing is said", mesh.log)
    assert seen(page) == {"reviews-v2"}
    states = [one["types"] for one in mesh.debug("/debug/syncz")]
    assert len(states) == 4
    assert {kind["state"] for types in states for kind in types.values()} <= {"SYNCED", "NOT SENT"}


def test_what_is_applied_is_everywhere_or_it_is_said_why_not(mesh: Mesh) -> None:
    page = mesh.workloads["productpage-v1"]
    for weights, name in (((100, 0), "reviews-v1"), ((0, 100), "reviews-v2")):
        done = mesh.command("apply", "-f", "-", "--wait", text=split(*weights))
        assert (done.returncode, done.stderr) == (0, "")
        assert "of 4 proxies concerned, all have it" in done.stdout
        assert seen(page) == {name}

    # What the sidecars refuse: their words, and the last good state serves on.
    done = mesh.command("apply", "-f", "-", "--wait", text=UNKNOWN_OPERATOR)
    assert done.returncode == 1
    why = "Not supported field in StreamInfo: NO_SUCH_OPERATOR"
    if mesh.kind != ENVOY:
        why = "value: unknown format operator NO_SUCH_OPERATOR"
    name = "virtualservice.networking.istio.io/reviews"
    assert f"{name}: productpage-v1.default refuses it: RDS: " in done.stderr
    assert why in done.stderr
    assert seen(page) == {"reviews-v2"}
    table = mesh.mesh("status", "-v")
    assert "ERROR (" in table
    assert "productpage-v1.default RDS: " in table
    assert why in table
    told = mesh.mesh("status", "productpage-v1")
    assert "RDS ERROR: " in told
    assert why in told
    assert "changed since it was accepted: VirtualService default/reviews" in told
    # Again, although nothing changes.
    assert mesh.command("apply", "-f", "-", "--wait", text=UNKNOWN_OPERATOR).returncode == 1

    done = mesh.command("delete", "vs", "reviews", "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    assert "it is gone from all" in done.stdout
    assert "ERROR" not in mesh.mesh("status", "-v")
    assert seen(page) == {"reviews-v1", "reviews-v2"}

    # What the sources refuse and warn of is told as well.
    mesh.write("odd.yaml", ODD + "---\n" + SUBSETS.replace("host:", "hots:"))
    until(lambda: mesh.debug("/api/v1/refused")["refused"], "nothing is refused", mesh.log)
    assert "name the ports in to.operation.ports" in mesh.log("control")
    table = mesh.mesh("status")
    assert "DestinationRule default/reviews: spec.hots: there is no such field" in table
    assert "odd.yaml:8: AuthorizationPolicy default/odd: spec.rules[0]: warning: has" in table
    (mesh.config / "odd.yaml").unlink()
    until(lambda: not mesh.debug("/api/v1/refused")["warnings"], "it stays", mesh.log)


def test_a_filters_configuration_comes_by_name(mesh: Mesh) -> None:
    page = mesh.workloads["productpage-v1"]
    for value in ("one", "two"):
        done = mesh.command("apply", "-f", "-", "--wait", text=BY_NAME.format(value=value))
        assert done.returncode == 0, done.stderr
        # What the patch changes is another resource than the listener, which is not touched.
        until(
            lambda value=value: page.get("reviews:9080")[1]["headers"].get("x-by-name") == value,
            "the filter does not run",
            mesh.log,
        )
    done = mesh.command("delete", "envoyfilter", "by-name", "--wait")
    assert done.returncode == 0, done.stderr


def test_spans_are_asked_of_who_has_them(mesh: Mesh) -> None:
    """And a mesh that has them configured serves with every sidecar."""
    page = mesh.workloads["productpage-v1"]
    done = mesh.command("apply", "-f", "-", "--wait", text=ZIPKIN)
    assert done.returncode == 0, done.stderr
    done = mesh.command("apply", "-f", "-", "--wait", text=SPANS)
    assert done.returncode == 0, done.stderr
    assert "sidecars of ours (`mesh proxy`) report no spans yet; Envoys do" in done.stderr

    def asked() -> bool:
        held = mesh.mesh("pc", "listeners", "productpage-v1", "-o", "json")
        return "envoy.tracers.zipkin" in held

    if mesh.kind == ENVOY:
        until(asked, "nobody is asked for spans", mesh.log)
    assert asked() == (mesh.kind == ENVOY)
    assert seen(page) == {"reviews-v1", "reviews-v2"}
    assert mesh.command("delete", "telemetry", "spans", "--wait").returncode == 0
    done = mesh.command("delete", "-f", "-", "--wait", text=ZIPKIN)
    assert done.returncode == 0, done.stderr


def test_what_a_sidecar_holds(mesh: Mesh) -> None:
    host = "reviews.default.svc.cluster.local"
    clusters = mesh.mesh("proxy-config", "clusters", "productpage-v1", "--fqdn", host)
    assert [line.split()[1:5] for line in clusters.splitlines()[1:]] == [
        ["9080", "-", "outbound", "EDS"],
        ["9080", "v1", "outbound", "EDS"],
        ["9080", "v2", "outbound", "EDS"],
    ]
    listeners = mesh.mesh("pc", "l", "reviews-v1.default", "--port", "9080")
    assert listeners.splitlines()[1].endswith("   9080   Trans: tls   Inline Route: /*")
    routes = mesh.mesh("pc", "r", "productpage-v1", "--name", "http_proxy", "--fqdn", host)
    assert routes.splitlines()[1].split()[:2] == ["http_proxy", f"{host}:9080"]
    endpoints = mesh.mesh("pc", "ep", "productpage-v1", "--fqdn", host, "--subset", "v2")
    (endpoint,) = endpoints.splitlines()[1:]
    assert endpoint.split()[1:] == ["HEALTHY", "OK", f"outbound|9080|v2|{host}"]
    secrets = mesh.mesh("pc", "s", "reviews-v1")
    assert [line.split()[0] for line in secrets.splitlines()[1:]] == ["ROOTCA", "default"]
    assert secrets.count("ACTIVE   true") == 2
    assert "PRIVATE KEY" not in mesh.mesh("pc", "all", "reviews-v1", "-o", "yaml")
    dumped = mesh.directory / "dump.json"
    dumped.write_text(mesh.mesh("pc", "all", "reviews-v1", "-o", "json"))
    assert mesh.mesh("pc", "s", "-f", str(dumped)) == secrets
    detail = mesh.mesh("status", "productpage-v1")
    assert detail.splitlines()[-4:] == [
        "Clusters match", "Listeners match", "Endpoints match", "Routes match",
    ]  # fmt: skip
    levels = mesh.mesh("pc", "log", "reviews-v1", "--level", "upstream:debug")
    assert levels.startswith("reviews-v1.default:\nactive loggers:\n")
    assert "  upstream: debug\n" in levels
    same = mesh.mesh("pc", "rootca-compare", "reviews-v1", "productpage-v1")
    assert same.startswith("reviews-v1.default and productpage-v1.default have the same roots: CN=")
    version = mesh.mesh("version", "--remote")
    own = "envoy/" if mesh.kind == ENVOY else "fastmesh/"
    assert f"data plane version: {own}" in version
    assert "(4 proxies)" in version


def test_certificates_renew_under_traffic(mesh: Mesh) -> None:
    page, reviews = mesh.workloads["productpage-v1"], mesh.workloads["reviews-v2"]
    statuses = set()
    for _ in range(3):
        before = mesh.log(reviews.name).count("a new certificate")
        reviews.process.send_signal(signal.SIGUSR2)
        until(
            lambda before=before: mesh.log(reviews.name).count("a new certificate") > before,
            "no new certificate",
            mesh.log,
        )
        statuses.add(page.get("reviews:9080")[0])
    assert statuses == {200}
    audit = (mesh.state / "audit.jsonl").read_text()
    assert audit.count("sa/reviews") >= 5
    assert "PRIVATE" not in audit


def test_a_program_that_leaves_costs_no_request(mesh: Mesh) -> None:
    page = mesh.workloads["productpage-v1"]
    mesh.write("split.yaml", SERVICES)
    third = mesh.run("reviews", "--port", "9080:auto", version="v3")
    (mesh.config / "split.yaml").unlink()
    until(lambda: "reviews-v3" in seen(page), "v3 gets no requests", mesh.log)
    third.process.terminate()
    statuses: Counter[int] = Counter()
    while third.process.poll() is None:
        statuses[page.get("reviews:9080")[0]] += 1
    statuses.update(page.get("reviews:9080")[0] for _ in range(50))
    assert set(statuses) == {200}
    assert "reviews-v3" not in seen(page)


def test_the_mesh_serves_while_the_control_plane_is_away(mesh: Mesh) -> None:
    page = mesh.workloads["productpage-v1"]
    mesh.control.kill()
    mesh.control.wait()
    assert {page.get("reviews:9080")[0] for _ in range(20)} == {200}
    mesh.start_control()
    until(lambda: len(mesh.debug("/debug/syncz")) == 4, "sidecars do not come back", mesh.log)
    assert {page.get("reviews:9080")[0] for _ in range(20)} == {200}


def seen(page: Workload) -> set[str]:
    """Who answers, in twenty requests."""
    return {page.get("reviews:9080")[1]["name"] for _ in range(20)}
