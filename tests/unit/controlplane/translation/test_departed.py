"""Who leaves a service is accepted until clients have done without his endpoint."""

from __future__ import annotations

import asyncio

from controlplane.registry import services
from controlplane.resources.resource import Key
from controlplane.translation.clusters import identities
from controlplane.translation.clusters.departed import Departures
from controlplane.world.world import World
from tests.support.meshes import resources
from tests.support.playing import played

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: default}
spec:
  ports: [{port: 80, name: http}]
  selector: {app: echo}
"""
WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {0}, namespace: default}}
spec: {{address: {1}, serviceAccount: {0}, labels: {{app: echo}}}}
"""


class Mesh:
    """A service with two workloads, each of its own account."""

    def __init__(self, seconds: float) -> None:
        self.world = World()
        self.told = asyncio.Event()
        self.departures = Departures(self.world, self._changed, seconds)
        self.following = asyncio.create_task(self.departures.follow())
        self.put(SERVICE, WORKLOAD.format("one", "10.0.0.1"), WORKLOAD.format("two", "10.0.0.2"))

    async def _changed(self) -> None:
        self.told.set()

    def put(self, *texts: str) -> None:
        self.world.change([one for text in texts for one in resources(text)])
        self.departures.look()

    def drop(self, kind: str, name: str) -> None:
        self.world.change(removed=[Key(kind, "default", name)])
        self.departures.look()

    @property
    def accepted(self) -> list[str]:
        """Accounts that a client accepts."""
        view = self.world.view()
        (echo,) = services.named(view, "echo.default.svc.cluster.local")
        return [one.rpartition("/")[2] for one in identities.accepted(view, echo)]


@played
async def test_who_goes_is_accepted_for_a_while() -> None:
    mesh = Mesh(0.01)
    assert mesh.accepted == ["one", "two"]
    mesh.drop("WorkloadEntry", "two")
    assert mesh.accepted == ["one", "two"]
    await mesh.told.wait()
    assert mesh.accepted == ["one"]
    # And again, after the first has ended.
    mesh.told.clear()
    mesh.put(WORKLOAD.format("two", "10.0.0.2"))
    mesh.drop("WorkloadEntry", "one")
    assert mesh.accepted == ["one", "two"]
    await mesh.told.wait()
    assert mesh.accepted == ["two"]


@played
async def test_who_comes_back_stays() -> None:
    mesh = Mesh(0.01)
    mesh.drop("WorkloadEntry", "two")
    mesh.put(WORKLOAD.format("two", "10.0.0.3"))
    await mesh.told.wait()
    assert mesh.accepted == ["one", "two"]


@played
async def test_a_service_that_goes_leaves_nothing() -> None:
    mesh = Mesh(60.0)
    mesh.drop("Service", "echo")
    mesh.drop("WorkloadEntry", "two")
    mesh.put(SERVICE)
    assert mesh.accepted == ["one"]
