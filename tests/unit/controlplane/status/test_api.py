"""controlplane.status.api: what the routes answer, and what they refuse to be asked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from controlplane.problem import Origin, Problem, Refused
from controlplane.resources.resource import Key, Resource
from controlplane.status.api import Api
from controlplane.status.arrival import Arrivals
from controlplane.status.ledger import Ledger
from controlplane.world.proxy import Proxy
from controlplane.xds.debug import BadQuery, Busy
from controlplane.xds.type_urls import LISTENER as L
from tests.support.playing import played
from tests.unit.controlplane.xds.desk import Desk

BAD = Refused("Route", "x", "a", [Problem("spec.b", "is odd", line=4)], Origin("a.yaml", 2))
ODD = Refused("Route", "x", "b", [Problem("spec", "hm", warning=True)])


class Place:
    """An API over a world."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.ledger = Ledger()
        board = self.desk.board
        arrivals = Arrivals(self.ledger, lambda: (BAD,), board.wait, board.told)
        api = Api(
            arrivals, lambda: ((BAD,), (ODD,)), board.each, board.resources, lambda: "/config",
            "1.2.3", lambda proxy: "no answer" if proxy.id == "ill.default" else "",
        )  # fmt: skip
        self.routes = api.routes()

    async def ask(self, path: str, **query: str) -> Any:
        found = await self.routes[f"/api/v1/{path}"].answer(query)
        return json.loads(found if isinstance(found, bytes) else json.dumps(found))


@played
async def test_what_is_refused_and_warned_of_with_its_place() -> None:
    found = await Place().ask("refused")
    assert found["refused"] == [
        {
            "kind": "Route", "namespace": "x", "name": "a", "file": "a.yaml", "line": 2,
            "problems": [{"path": "spec.b", "reason": "is odd", "line": 4, "warning": False}],
            "text": "a.yaml:4: Route x/a: spec.b: is odd",
        }
    ]  # fmt: skip
    assert [one["text"] for one in found["warnings"]] == ["Route x/b: spec: warning: hm"]
    assert found["more"] == 0


@played
async def test_proxies_with_their_admin_ports_and_what_they_hold() -> None:
    place = Place()
    await place.desk.put(L, "one")
    metadata = (("FASTMESH_ADMIN", "127.0.0.1:15000"),)
    proxy = Proxy(
        "sidecar", "app.default", "default", "app", ("10.0.0.1",), metadata=metadata,
        agent="envoy/1.40.0",
    )  # fmt: skip
    client = place.desk.client(proxy=proxy)
    await client.say(L)
    await client.take(L)
    found = await place.ask("proxies")
    assert found["control"] == await place.ask("version")
    assert (found["control"]["version"], found["control"]["source"]) == ("1.2.3", "/config")
    (one,) = found["proxies"]
    assert (one["proxy"], one["admin"], one["agent"]) == (
        "app.default", "127.0.0.1:15000", "envoy/1.40.0",
    )  # fmt: skip
    assert (one["service_account"], one["address"]) == ("app", "10.0.0.1")
    assert one["unhealthy"] == ""
    assert one["types"]["lds"]["state"] == "SYNCED"
    assert [name for name, kind in one["types"].items() if kind["subscribed"]] == ["lds"]
    detail = await place.ask("proxies", name="app.default")
    assert list(detail["resources"]["lds"]) == ["one"]
    assert (await place.ask("proxies", name="other"))["proxies"] == []
    place.desk.client(proxy=Proxy("sidecar", "ill.default", "default", "app", ("10.0.0.2",)))
    (ill,) = (await place.ask("proxies", name="ill.default"))["proxies"]
    assert ill["unhealthy"] == "no answer"


@played
async def test_waiting_says_how_far_it_has_come() -> None:
    place = Place()
    place.ledger.note([Resource(Key("Route", "x", "c"), 1, version="v")], [], 0)
    found = await place.ask("wait", key="Route/x/c", version="v")
    assert found == {
        "key": "Route/x/c", "version": "v", "source": "/config", "state": "SYNCED", "text": "",
        "revision": 0, "proxies": 0, "told": 0, "lacking": [], "more": 0,
    }  # fmt: skip
    assert (await place.ask("version"))["revision"] == 0
    place.ledger.note([Resource(Key("Route", "x", "c"), 1, version="w")], [], 1)
    found = await place.ask("wait", key="Route/x/c", version="v", since="1", timeout="0")
    assert (found["state"], found["text"]) == ("ABSENT", "is of version w in the sources, not of v")
    place.ledger.note([Resource(Key("Route", "x", "c"), 1, version="v")], [], 0)
    late = place.desk.client()
    found = await place.ask("wait", key="Route/x/c", version="v", timeout="0")
    assert (found["state"], found["lacking"]) == (
        "STALE",
        [{"proxy": "app.default", "state": "NOT SENT", "text": "has asked for nothing"}],
    )
    assert late


@pytest.mark.parametrize(
    "query",
    [
        {"key": "Route"},
        {"key": "Route/x"},
        {"key": "Route/x/a/b"},
        {"key": "Route/x/a", "timeout": "-1"},
        {"key": "Route/x/a", "timeout": "1e9"},
        {"key": "Route/x/a", "timeout": "nan"},
        {"key": "Route/x/a", "timeout": "soon"},
        {"key": "Route/x/a", "since": "now"},
    ],
)
def test_what_is_no_question(query: dict[str, str]) -> None:
    with pytest.raises(BadQuery):
        asyncio.run(Place().ask("wait", **query))


@played
async def test_so_many_wait_at_once_and_no_more() -> None:
    place = Place()
    waiting = [
        asyncio.create_task(place.ask("wait", key="Route/x/c", version="v", timeout="60"))
        for _ in range(32)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await place.ask("wait", key="Route/x/c", version="v")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (await place.ask("wait", key="Route/x/c", version="v", timeout="0"))["state"] == "ABSENT"
