"""gRPC's own xDS clients, Python's (C core) and Go's, in the mesh without a sidecar: they resolve,
balance, and follow the configuration of Istio that the control plane translates for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.gotools import go_tool
from tests.support.grpc_xds_client import PYTHON, Greeter, GrpcXdsClient
from tests.support.mesh import Mesh
from tests.support.ports import free_port
from tests.support.proxies import OURS

HOST = "greeter.default.svc.cluster.local"
NODE = {
    "id": "sidecar~127.0.0.1~caller.default~default.svc.cluster.local",
    "metadata": {"GENERATOR": "grpc", "NAMESPACE": "default"},
}
SUBSETS = f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: greeter}}
spec:
  host: {HOST}
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
"""

Start = Callable[[str], GrpcXdsClient]


def service(*greeters: Greeter) -> str:
    """Greeters are instances of the version that is their name."""
    return """
apiVersion: v1
kind: Service
metadata: {name: greeter}
spec:
  ports: [{port: 7070, name: grpc}]
  selector: {app: greeter}
---
""" + "---\n".join(
        f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: greeter-{one.name}}}
spec:
  address: 127.0.0.1
  ports: {{grpc: {one.port}}}
  labels: {{app: greeter, version: {one.name}}}
"""
        for one in greeters
    )


def split(first: int, second: int) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: greeter}}
spec:
  hosts: [{HOST}]
  http:
  - route:
    - {{destination: {{host: {HOST}, subset: v1}}, weight: {first}}}
    - {{destination: {{host: {HOST}, subset: v2}}, weight: {second}}}
"""


def applied(mesh: Mesh, *texts: str) -> None:
    """The control plane and all who are connected have it when this returns."""
    done = mesh.command("apply", "-f", "-", "--wait", text="---".join(texts))
    assert done.returncode == 0, done.stderr


@pytest.fixture
def greeters() -> Iterator[tuple[Greeter, Greeter]]:
    with Greeter("v1") as one, Greeter("v2") as two:
        yield one, two


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    port = free_port()
    flags = ("--plaintext-address", f"127.0.0.1:{port}", "--trust-plaintext")
    with Mesh(tmp_path, OURS, *flags) as mesh:
        mesh.ports["plaintext"] = port
        yield mesh


@pytest.fixture(params=["python", "go"])
def client(request: pytest.FixtureRequest, mesh: Mesh) -> Iterator[Start]:
    """Starts a client of a target."""
    command = PYTHON if request.param == "python" else (str(go_tool("xds-client")),)
    with ExitStack() as open_clients:
        yield lambda target: open_clients.enter_context(
            GrpcXdsClient(mesh.ports["plaintext"], NODE, target, command)
        )


def test_they_resolve_and_balance(
    mesh: Mesh, greeters: tuple[Greeter, Greeter], client: Start
) -> None:
    applied(mesh, service(*greeters))
    one = client(f"xds:///{HOST}:7070")
    assert one.call(40).keys() == {"v1", "v2"}, mesh.log()
    assert one.call(40) == {"v1": 20, "v2": 20}, "both are connected now: each its turn"
    # An instance that leaves, and one that comes back.
    done = mesh.command("delete", "workloadentry", "greeter-v2")
    assert done.returncode == 0, done.stderr
    while (answers := one.call(10)) != {"v1": 10}:
        assert answers.keys() <= {"v1", "v2"}
    applied(mesh, service(*greeters))
    while (answers := one.call(10)) != {"v1": 5, "v2": 5}:
        assert answers.keys() <= {"v1", "v2"}


@pytest.mark.parametrize("host", ["greeter", "greeter.default", "greeter.default.svc"])
def test_hosts_are_written_as_people_write_them(
    mesh: Mesh, greeters: tuple[Greeter, Greeter], client: Start, host: str
) -> None:
    applied(mesh, service(*greeters))
    assert client(f"xds:///{host}:7070").call(40).keys() == {"v1", "v2"}


def test_they_follow_a_split(mesh: Mesh, greeters: tuple[Greeter, Greeter], client: Start) -> None:
    applied(mesh, service(*greeters), SUBSETS, split(75, 25))
    one = client(f"xds:///{HOST}:7070")
    while len(answers := one.call(400)) != 2 or answers["v1"] < 240:
        assert answers.keys() <= {"v1", "v2"}, mesh.log()
    assert 240 <= answers["v1"] <= 360  # 300 ± 7 standard deviations
    applied(mesh, split(0, 100))
    while (answers := one.call(10)) != {"v2": 10}:
        assert answers.keys() <= {"v1", "v2"}, mesh.log()
    applied(mesh, split(100, 0))
    while (answers := one.call(10)) != {"v1": 10}:
        assert answers.keys() <= {"v1", "v2"}, mesh.log()
    assert "caller.default" in mesh.mesh("status")
    assert "refuses" not in mesh.log("control")
