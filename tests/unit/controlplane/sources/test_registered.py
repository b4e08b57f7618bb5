"""Workloads that announce themselves: when they count, when they go, that no other takes over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controlplane import durable
from controlplane.ca.names import is_name
from controlplane.resources.common.probe import ReadinessProbe, TCPHealthCheckConfig
from controlplane.resources.workload_entry import naming
from controlplane.resources.workload_entry.schema import WorkloadEntry
from controlplane.resources.workload_group.schema import ObjectMeta, WorkloadGroup
from controlplane.sources.registered import Registered
from controlplane.world.proxy import Locality, Proxy
from controlplane.xds.identity import Identity

PROXY = Proxy(
    type="sidecar",
    id="reviews-v1.default",
    namespace="default",
    service_account="reviews",
    addresses=("127.64.0.1",),
    labels=(("app", "reviews"), ("version", "v1")),
    locality=Locality("eu", "a"),
    metadata=(("AUTO_REGISTER", "on-ready"),),
)
AT_ONCE = replace(PROXY, metadata=(("AUTO_REGISTER", "true"),))
REVIEWS = Identity("cluster.local", "default", "reviews")
INTERN = Identity("cluster.local", "default", "intern")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def names(source: Registered) -> list[str]:
    return [one.name for one in (await source.list()).resources]


async def addresses(source: Registered) -> dict[str, str]:
    return {one.name: one.spec.address for one in (await source.list()).resources}


def test_an_entry_is_what_was_proved_and_said() -> None:
    async def test() -> None:
        source = Registered()
        source.came(AT_ONCE)
        (entry,) = (await source.list()).resources
        assert (entry.namespace, entry.name) == ("default", "reviews-v1")
        assert entry.spec.address == "127.64.0.1"
        assert entry.spec.service_account == "reviews"
        assert entry.spec.locality == "eu/a"
        assert entry.spec.labels["security.istio.io/tlsMode"] == "istio"
        assert entry.spec.labels["app"] == "reviews"

    run(test())


def test_it_counts_when_its_application_is_ready() -> None:
    async def test() -> None:
        source = Registered()
        source.came(PROXY)
        assert await names(source) == []
        source.ready(REVIEWS, "reviews-v1")
        assert await names(source) == ["reviews-v1"]
        source.leaving(REVIEWS, "reviews-v1")
        assert await names(source) == []

    run(test())


def test_ready_may_come_before_the_sidecar() -> None:
    async def test() -> None:
        source = Registered()
        source.ready(REVIEWS, "reviews-v1")
        source.came(PROXY)
        assert await names(source) == ["reviews-v1"]

    run(test())


def test_a_reconnect_costs_nothing_and_an_end_takes_it_out() -> None:
    async def test() -> None:
        source = Registered(grace=0.01)
        version = (await source.list()).version
        source.came(AT_ONCE)
        source.came(AT_ONCE)
        source.left(AT_ONCE)
        source.left(AT_ONCE)
        source.came(AT_ONCE)
        changes = source.watch(version)
        assert [one.name for one in (await anext(changes)).updated] == ["reviews-v1"]
        source.left(AT_ONCE)
        assert [one.name for one in (await anext(changes)).removed] == ["reviews-v1"]

    run(test())


def test_nobody_takes_the_name_of_another() -> None:
    """Who comes first has the plain name; whoever comes later is beside it, with an address and an
    account of its own, and neither speaks for the other."""

    async def test() -> None:
        source = Registered(grace=0.0)
        thief = replace(AT_ONCE, service_account="intern", addresses=("127.64.0.9",))
        source.came(thief)
        source.came(PROXY)
        assert await addresses(source) == {"reviews-v1": "127.64.0.9"}
        source.ready(REVIEWS, "reviews-v1")
        beside = naming.apart("reviews-v1", "reviews")
        both = {"reviews-v1": "127.64.0.9", beside: "127.64.0.1"}
        assert await addresses(source) == both
        source.leaving(INTERN, "reviews-v1")
        assert await addresses(source) == {beside: "127.64.0.1"}
        source.ready(INTERN, "reviews-v1")
        source.leaving(REVIEWS, "reviews-v1")
        assert await addresses(source) == {"reviews-v1": "127.64.0.9"}
        source.ready(REVIEWS, "reviews-v1")
        # The first goes: the other stays where it is.
        source.left(thief)
        while "reviews-v1" in await addresses(source):
            await asyncio.sleep(0)
        source.came(PROXY)
        source.left(PROXY)
        source.ready(REVIEWS, "reviews-v1")
        assert await addresses(source) == {beside: "127.64.0.1"}
        source.left(PROXY)
        while await addresses(source):
            await asyncio.sleep(0)

    run(test())


def test_a_name_beside_cannot_be_chosen() -> None:
    async def test() -> None:
        source = Registered()
        taken = naming.apart("reviews-v1", "reviews")
        for name in ("reviews-v1", taken, f"{taken}.default"):
            source.came(
                replace(AT_ONCE, id=name, service_account="intern", addresses=("127.64.0.9",))
            )
        source.came(AT_ONCE)
        assert (await addresses(source))[taken] == "127.64.0.1"

    run(test())


@pytest.mark.parametrize("name", ["a", "a" * 253, "a" * 236 + "-b"])
def test_names_beside_are_names(name: str) -> None:
    found = naming.apart(name, "reviews")
    assert is_name(found)
    assert found != naming.apart(name, "intern")
    assert found != naming.apart(name + "b", "reviews")
    assert naming.plain(found) != found


def test_a_restart_takes_nobody_out(tmp_path: Path) -> None:
    thief = replace(AT_ONCE, service_account="intern")

    async def before() -> None:
        source = Registered(tmp_path / "registered.json")
        await source.list()
        source.came(AT_ONCE)
        source.came(thief)
        await source.close()

    async def after() -> None:
        source = Registered(tmp_path / "registered.json")
        assert await names(source) == ["reviews-v1", naming.apart("reviews-v1", "intern")]
        source.leaving(Identity("cluster.local", "default", "ratings"), "reviews-v1")
        source.came(PROXY)
        source.came(thief)
        assert await names(source) == ["reviews-v1", naming.apart("reviews-v1", "intern")]

    run(before())
    run(after())


def test_many_at_once_are_written_together_and_before_they_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "registered.json"
    writes: list[int] = []
    real = durable.write

    def write(where: str, data: bytes, mode: int) -> None:
        real(where, data, mode)
        writes.append(len(json.loads(data)))

    monkeypatch.setattr(durable, "write", write)

    async def test() -> None:
        source = Registered(path)
        version = (await source.list()).version
        for number in range(300):
            source.came(replace(AT_ONCE, id=f"reviews-{number}.default"))
        found: set[str] = set()
        async for change in source.watch(version):
            kept = {name for _, name, _, _ in json.loads(path.read_bytes())}
            found |= {one.name for one in change.updated}
            assert found <= kept
            if len(found) == 300:
                break
        await source.close()
        assert writes[-1] == 300
        assert len(writes) < 10

    run(test())


def test_a_file_that_is_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "registered.json"
    path.write_text('{"a": 1}')

    async def test() -> None:
        with pytest.raises(ValueError, match="holds no registrations"):
            await Registered(path).list()

    run(test())


def test_sidecars_that_do_not_ask_are_not_registered() -> None:
    async def test() -> None:
        source = Registered()
        source.came(replace(PROXY, metadata=()))
        source.came(replace(AT_ONCE, addresses=()))
        assert await names(source) == []

    run(test())


def test_nobody_is_made_ready_by_another() -> None:
    """Who says it before the sidecar has come says it for its own account only."""

    async def test() -> None:
        source = Registered()
        source.ready(INTERN, "reviews-v1")
        source.came(PROXY)
        assert await names(source) == []

    run(test())


def test_who_says_much_takes_nobody_his_place() -> None:
    async def test() -> None:
        source = Registered()
        source.ready(REVIEWS, "reviews-v1")
        for number in range(20_000):
            source.ready(INTERN, f"intern-{number}")
        source.came(PROXY)
        assert await names(source) == ["reviews-v1"]
        source.ready(Identity("cluster.local", "default", "ratings"), "ratings-v1")

    run(test())


@pytest.mark.parametrize("name", ["", "A", "a/b", "a\nb", "a" * 254])
def test_what_is_no_name_is_not_registered(name: str) -> None:
    async def test() -> None:
        source = Registered()
        source.came(replace(AT_ONCE, id=name))
        assert await names(source) == []
        with pytest.raises(ValueError, match="is no name"):
            source.ready(REVIEWS, name)

    run(test())


@pytest.mark.parametrize(
    "changed",
    [
        {"addresses": ("not an address",)},
        {"network": "n" * 2049},
        {"labels": (("app", "reviews"), ("istio-locality", "l" * 64))},
        {"locality": Locality("r" * 2049)},
    ],
)
def test_what_others_could_not_take_is_not_registered(
    changed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """What a sidecar says of itself is sent to all that call it."""

    async def test() -> None:
        source = Registered()
        bad = replace(AT_ONCE, **changed)
        source.came(bad)
        assert await names(source) == []
        assert "'reviews-v1.default' is not registered: node." in caplog.text
        source.came(AT_ONCE)
        source.left(bad)
        assert await names(source) == ["reviews-v1"]

    run(test())


def test_an_account_has_so_many_workloads_and_no_more() -> None:
    async def test() -> None:
        source = Registered()
        for number in range(2_001):
            source.came(replace(AT_ONCE, id=f"reviews-{number}.default"))
        assert len(await names(source)) == 2_000
        source.came(replace(AT_ONCE, id="reviews-7.default"))
        source.came(replace(AT_ONCE, id="ratings", service_account="ratings"))
        assert len(await names(source)) == 2_001

    run(test())


def test_a_stream_that_did_not_register_takes_nobody_out() -> None:
    async def test() -> None:
        source = Registered(grace=0.0)
        silent = replace(AT_ONCE, metadata=())
        source.came(AT_ONCE)
        source.came(silent)
        source.left(silent)
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        assert await names(source) == ["reviews-v1"]

    run(test())


def test_the_unhealthy_are_no_entries_until_they_are_well_again() -> None:
    async def test() -> None:
        source = Registered(grace=0.01)
        source.came(PROXY)
        source.ready(REVIEWS, "reviews-v1")
        assert source.why_unhealthy(PROXY) == ""
        source.unhealthy(REVIEWS, "reviews-v1", "GET /\nwas answered\twith 500" + "x" * 9999)
        assert await names(source) == []
        why = source.why_unhealthy(PROXY)
        assert why.startswith("GET / was answered with 500x")
        assert len(why) <= 500
        # A second stream of the sidecar makes it no better.
        source.came(PROXY)
        assert await names(source) == []
        source.ready(REVIEWS, "reviews-v1")
        assert (await names(source), source.why_unhealthy(PROXY)) == (["reviews-v1"], "")
        source.unhealthy(REVIEWS, "reviews-v1", "")
        assert source.why_unhealthy(PROXY) == "its agent does not say why"
        source.leaving(REVIEWS, "reviews-v1")
        assert source.why_unhealthy(PROXY) == ""
        # Of another's workload of that name it says nothing.
        source.ready(REVIEWS, "reviews-v1")
        source.unhealthy(INTERN, "reviews-v1", "")
        assert (await names(source), source.why_unhealthy(PROXY)) == (["reviews-v1"], "")

    run(test())


def test_who_is_unhealthy_before_its_sidecar_comes_is_not_ready() -> None:
    async def test() -> None:
        source = Registered()
        source.ready(REVIEWS, "reviews-v1")
        source.unhealthy(REVIEWS, "reviews-v1", "no answer")
        source.came(PROXY)
        assert await names(source) == []

    run(test())


def test_istios_agents_say_it_on_their_stream() -> None:
    async def test() -> None:
        source = Registered()
        source.came(AT_ONCE)
        source.health(AT_ONCE, "refused with 500")
        assert (await names(source), source.why_unhealthy(AT_ONCE)) == ([], "refused with 500")
        # A reconnect does not make it well.
        source.left(AT_ONCE)
        source.came(AT_ONCE)
        assert await names(source) == []
        source.health(AT_ONCE, None)
        assert await names(source) == ["reviews-v1"]
        # Nor does one speak for another, or for what is not registered.
        source.health(replace(AT_ONCE, service_account="intern"), "so they say")
        source.health(replace(AT_ONCE, id="ratings-v1.default"), None)
        assert await names(source) == ["reviews-v1"]

    run(test())


def test_one_name_at_two_addresses_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        source = Registered()
        source.came(AT_ONCE)
        source.came(AT_ONCE)
        assert not caplog.text
        source.came(replace(AT_ONCE, addresses=("127.64.0.2",)))
        assert "default/reviews-v1 is connected from 127.64.0.1 and from 127.64.0.2" in caplog.text
        (entry,) = (await source.list()).resources
        assert entry.spec.address == "127.64.0.2"

    run(test())


def test_a_name_is_taken_while_a_sidecar_of_it_is_connected() -> None:
    async def test() -> None:
        source = Registered()
        assert not source.connected(REVIEWS, "reviews-v1")
        source.came(PROXY)
        assert source.connected(REVIEWS, "reviews-v1")
        # Of another account it is another workload.
        assert not source.connected(INTERN, "reviews-v1")
        source.left(PROXY)
        assert not source.connected(REVIEWS, "reviews-v1")

    run(test())


GROUP = WorkloadGroup(
    template=WorkloadEntry(
        ports={"http": 8080},
        labels={"app": "reviews"},
        network="vm",
        locality="us/b",
        weight=3,
        service_account="reviews",
    ),
    metadata=ObjectMeta(labels={"version": "v1", "class": "vm"}),
)
BY_GROUP = replace(PROXY, metadata=(("AUTO_REGISTER_GROUP", "machines"),))


def test_what_it_does_not_say_its_group_says() -> None:
    async def test() -> None:
        source = Registered(group=lambda _: GROUP)
        source.came(replace(AT_ONCE, network="", locality=Locality()))
        (entry,) = (await source.list()).resources
        spec = entry.spec
        assert (dict(spec.ports), spec.weight) == ({"http": 8080}, 3)
        assert (spec.network, spec.locality, spec.address) == ("vm", "us/b", "127.64.0.1")
        assert spec.labels["class"] == "vm"
        source.came(replace(AT_ONCE, network="own"))
        (entry,) = (await source.list()).resources
        assert (entry.spec.network, entry.spec.locality) == ("own", "eu/a")

    run(test())


def test_nobody_has_some_labels_of_its_token_and_some_of_its_group() -> None:
    async def test() -> None:
        source = Registered(group=lambda _: GROUP)
        source.came(replace(AT_ONCE, labels=(("app", "reviews"), ("version", "v2"))))
        (entry,) = (await source.list()).resources
        assert "class" not in entry.spec.labels
        assert entry.spec.labels["version"] == "v2"
        # What only says again what others say is no claim.
        canonical = ("service.istio.io/canonical-name", "reviews")
        source.came(replace(AT_ONCE, labels=(*PROXY.labels, canonical)))
        (entry,) = (await source.list()).resources
        assert entry.spec.labels["class"] == "vm"

    run(test())


def test_who_asks_by_a_group_counts_at_once_or_when_it_is_well() -> None:
    async def test() -> None:
        source = Registered(group=lambda _: GROUP)
        source.came(BY_GROUP)
        assert await names(source) == ["reviews-v1"]
        probed = replace(GROUP, probe=ReadinessProbe(tcp_socket=TCPHealthCheckConfig(80)))
        source = Registered(group=lambda _: probed)
        source.came(BY_GROUP)
        assert await names(source) == []
        source.health(BY_GROUP, None)
        assert await names(source) == ["reviews-v1"]

    run(test())


def test_a_group_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    groups: list[WorkloadGroup] = []

    def group(_: Proxy) -> WorkloadGroup:
        if not groups:
            raise ValueError("there is no WorkloadGroup default/machines")
        return groups[0]

    async def test() -> None:
        source = Registered(group=group)
        source.came(BY_GROUP)
        assert await names(source) == []
        assert "is not registered: there is no WorkloadGroup default/machines" in caplog.text
        groups.append(GROUP)
        source.came(BY_GROUP)
        assert await names(source) == ["reviews-v1"]
        # One that goes later takes nobody out.
        groups.clear()
        source.ready(REVIEWS, "reviews-v1")
        assert await names(source) == ["reviews-v1"]

    run(test())
