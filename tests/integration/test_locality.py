"""What the control plane makes of localities, run by our sidecar and by the stock Envoy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mesh import Mesh, Workload, until
from tests.support.moody import Moody
from tests.support.proxies import ENVOY, OURS

#: Where each host is, by the last part of its address. The client is in eu/a/r1.
PLACES = {"1": "eu/a/r1", "2": "eu/a/r1", "3": "eu/b/r1", "4": "us/a/r1"}


def services(port: int) -> str:
    """One that says itself that the nearest come first, and one that leaves it to a rule."""
    documents = []
    for name, more in (("near", "  trafficDistribution: PreferClose\n"), ("ruled", "")):
        documents.append(
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n{more}"
            f"  ports: [{{port: 80, targetPort: {port}, name: http}}]\n"
            "  selector: {app: placed}\n"
        )
    return "---\n".join(documents)


def workloads(unhealthy: str) -> str:
    """All hosts; `unhealthy` lists those that are."""
    documents = []
    for host, place in PLACES.items():
        health = "UNHEALTHY" if host in unhealthy else "HEALTHY"
        documents.append(
            "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"
            f"metadata: {{name: host-{host}, annotations: {{fastmesh.io/health: {health}}}}}\n"
            f"spec: {{address: 127.0.1.{host}, locality: {place}, labels: {{app: placed, tier: "
            f"{'ab'[int(host) % 2]}}}}}\n"
        )
    return "---\n".join(documents)


def rule(setting: str, *, outliers: bool) -> str:
    detection = "    outlierDetection: {consecutive5xxErrors: 1000}\n" if outliers else ""
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: ruled}}
spec:
  host: ruled
  trafficPolicy:
{detection}    loadBalancer: {{simple: ROUND_ROBIN, localityLbSetting: {setting}}}
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Moody]:
    hosts = Moody()
    with hosts:
        yield hosts


@pytest.fixture(scope="module", params=[OURS, ENVOY])
def mesh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, hosts: Moody
) -> Iterator[Mesh]:
    folder: Path = tmp_path_factory.mktemp("mesh")
    with Mesh(folder, request.param) as running:
        running.write("services.yaml", services(hosts.port))
        running.write("workloads.yaml", workloads(""))
        running.run("client", "--label", "istio-locality=eu.a.r1", command=["sleep", "600"])
        yield running


def apply(mesh: Mesh, setting: str, *, outliers: bool) -> None:
    """A rule that every sidecar has when this returns."""
    done = mesh.command("apply", "-f", "-", "--wait", text=rule(setting, outliers=outliers))
    refused = "field outlier_detection of envoy.config.cluster.v3.Cluster is not implemented"
    if outliers and mesh.kind == OURS and refused in done.stderr + mesh.log():
        pytest.skip("our sidecar has no outlier detection")
    assert done.returncode == 0, done.stderr


def shares(client: Workload, host: str, requests: int = 40) -> Counter[str]:
    """Who answers, by the last part of the address; or the status."""
    found: Counter[str] = Counter()
    for _ in range(requests):
        status, body = client.get(host)
        found[body.rpartition(".")[2] if status == 200 else str(status)] += 1
    return found


def follow(mesh: Mesh, host: str, expected: set[str]) -> Counter[str]:
    """Waits until those and no others answer."""
    client = mesh.workloads["client-v1"]
    found: Counter[str] = Counter()

    def are_expected() -> bool:
        nonlocal found
        found = shares(client, host)
        return set(found) == expected

    until(are_expected, f"not {expected}", lambda: f"{found}\n{mesh.log()}")
    return found


def failover(mesh: Mesh, host: str) -> None:
    """Nearest first, and farther as hosts fail; back when they are healthy again."""
    mesh.write("workloads.yaml", workloads(""))
    follow(mesh, host, {"1", "2"})
    # The other can take 70 % of all.
    mesh.write("workloads.yaml", workloads("1"))
    found = follow(mesh, host, {"2", "3"})
    assert found["2"] > 12
    mesh.write("workloads.yaml", workloads("1 2"))
    follow(mesh, host, {"3"})
    mesh.write("workloads.yaml", workloads("1 2 3"))
    follow(mesh, host, {"4"})
    mesh.write("workloads.yaml", workloads(""))
    follow(mesh, host, {"1", "2"})


def test_a_service_whose_nearest_hosts_come_first(mesh: Mesh) -> None:
    failover(mesh, "near:80")


def test_a_rule_that_distributes(mesh: Mesh) -> None:
    """Shares of localities, of those that the rule names only."""
    setting = '{distribute: [{from: eu/a/*, to: {"eu/a/*": 75, "us/a/*": 25}}]}'
    mesh.write("workloads.yaml", workloads(""))
    apply(mesh, setting, outliers=False)
    follow(mesh, "ruled:80", {"1", "2", "4"})
    # Localities take turns by their weights, so the shares are these to one or two.
    found = shares(mesh.workloads["client-v1"], "ruled:80", 80)
    assert abs(found["4"] - 20) <= 2, found
    # What is left of its host's load goes to the others.
    mesh.write("workloads.yaml", workloads("4"))
    follow(mesh, "ruled:80", {"1", "2"})


def test_a_rule_with_failover(mesh: Mesh) -> None:
    apply(mesh, "{failover: [{from: eu, to: us}]}", outliers=True)
    failover(mesh, "ruled:80")


def test_a_rule_with_failover_by_label(mesh: Mesh) -> None:
    """Hosts 1 and 3 have the label."""
    mesh.write("workloads.yaml", workloads(""))
    apply(mesh, "{failoverPriority: [tier=b]}", outliers=True)
    follow(mesh, "ruled:80", {"1", "3"})
    mesh.write("workloads.yaml", workloads("1 3"))
    follow(mesh, "ruled:80", {"2", "4"})


def test_retries_go_to_other_localities(mesh: Mesh, hosts: Moody) -> None:
    """Where the rule says so: two attempts in each, the nearest first."""
    mesh.write("workloads.yaml", workloads(""))
    follow(mesh, "near:80", {"1", "2"})
    client = mesh.workloads["client-v1"]
    plan = {"x-plan": ", ".join(f"127.0.1.{host}=503" for host in "123")}
    for remote, expected in ((True, "200"), (False, "503")):
        rule = (
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: near}\n"
            "spec:\n  hosts: [near]\n  http:\n  - route: [{destination: {host: near}}]\n"
            "    retries: {attempts: 4, retryOn: 5xx, "
            f"retryRemoteLocalities: {str(remote).lower()}}}\n"
        )
        done = mesh.command("apply", "-f", "-", "--wait", text=rule)
        assert done.returncode == 0, done.stderr
        hosts.asked.clear()
        status, body = client.get("near:80", headers=plan)
        asked = {host.rpartition(".")[2]: count for host, count in hosts.asked.items()}
        assert str(status) == expected, (body, asked)
        if remote:
            near = asked.pop("1", 0) + asked.pop("2", 0)
            assert (near, asked) == (2, {"3": 2, "4": 1})
        else:
            assert set(asked) == {"1", "2"}, asked
