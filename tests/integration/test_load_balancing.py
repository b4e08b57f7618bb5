"""Hash tables and subsets while hosts come and go. What they choose is Envoy's choice: that is
`tests/differential/test_load_balancing.py`."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config
from tests.support.hosts import Hosts
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import wait_for

_KEYS = [f"key-{n}" for n in range(60)]
_BY_KEY: config.Tree = {"hash_policy": [{"header": {"header_name": "x-key"}}]}


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """All addresses of the loopback, each saying its own."""
    with Hosts() as hosts:
        yield hosts


class Site:
    """A process with two workers, whose clusters and endpoints are in files."""

    def __init__(self, start: StartMesh, folder: Path, hosts: Hosts) -> None:
        self._start = start
        self._hosts = hosts
        self.cds, self.eds = folder / "cds.yaml", folder / "eds.yaml"
        self.port, self.admin_port = free_port(), free_port()
        self.proxy: Proxy

    def __call__(self, cluster: config.Tree, *routes: config.Tree) -> Proxy:
        """Serve; by default everything by its `x-key`."""
        self.put(cluster)
        routes = routes or (config.route("/", "one", **_BY_KEY),)
        table = config.route_config("r", *routes, validate_clusters=False)
        manager = config.hcm(table)
        listeners = [config.listener("in", self.port, manager)]
        text = config.bootstrap(self.admin_port, listeners, self.cds)
        self.proxy = self._start(text, self.admin_port, "--concurrency", "2")
        return self.proxy

    def put(self, cluster: config.Tree) -> None:
        config.move_in(self.cds, config.discovery(config.CLUSTER, [cluster]))

    def put_hosts(self, **hosts: dict[str, Any]) -> None:
        """By the last part of the address: `h11={...}`, with the host's `envoy.lb` metadata."""
        endpoints = [
            {
                "endpoint": {"address": config.address(self._hosts.port, f"127.0.0.{name[1:]}")},
                "metadata": {"filter_metadata": {"envoy.lb": lb}},
            }
            for name, lb in hosts.items()
        ]
        tree = {"cluster_name": "one", "endpoints": [{"lb_endpoints": endpoints}]}
        config.move_in(self.eds, config.discovery(config.ENDPOINTS, [tree]))

    def chosen(self, path: str = "/", keys: list[str] | None = None) -> list[str]:
        """Who has which key: the last part of the address, or the status. A connection each, so
        that both workers are asked."""
        chosen = []
        for key in keys or _KEYS:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as conn:
                conn.request("GET", path, headers={"x-key": key} if key else {})
                response = conn.getresponse()
                body = response.read().decode()
            is_host = response.status == 200
            chosen.append(body.rpartition(".")[2] if is_host else str(response.status))
        return chosen


@pytest.fixture
def site(start: StartMesh, tmp_path: Path, hosts: Hosts) -> Site:
    return Site(start, tmp_path, hosts)


@pytest.mark.parametrize("policy", ["RING_HASH", "MAGLEV"])
def test_a_host_that_leaves_takes_its_own_keys_along(site: Site, policy: str) -> None:
    site.put_hosts(h11={}, h12={}, h13={}, h14={})
    site(config.eds_cluster("one", site.eds, lb_policy=policy))
    before = site.chosen()
    assert set(before) == {"11", "12", "13", "14"}
    assert site.chosen() == before
    site.put_hosts(h14={}, h12={}, h13={})
    wait_for(lambda: "11" not in site.chosen(), "host 11 to leave")
    after = site.chosen()
    moved = sum(was != now for was, now in zip(before, after, strict=True))
    own = before.count("11")
    # And a few others, since those that stay get more places; by turns it would be most of them.
    assert own <= moved <= own + 20
    site.put_hosts(h11={}, h12={}, h13={}, h14={})
    wait_for(lambda: site.chosen() == before, "host 11 to be back")


def test_without_a_hash_all_hosts_are_chosen(site: Site) -> None:
    site.put_hosts(h11={}, h12={})
    site(config.eds_cluster("one", site.eds, lb_policy="RING_HASH"))
    assert set(site.chosen(keys=[""] * 40)) == {"11", "12"}


def test_a_cluster_without_hosts_has_none_to_choose(site: Site) -> None:
    site.put_hosts()
    site(config.eds_cluster("one", site.eds, lb_policy="MAGLEV"))
    assert set(site.chosen(keys=["a", ""])) == {"503"}
    site.put_hosts(h11={})
    wait_for(lambda: site.chosen(keys=["a", ""]) == ["11", "11"], "a host")


def test_subsets_follow_the_hosts(site: Site) -> None:
    site.put_hosts(h11={"stage": "prod"}, h12={"stage": "prod"}, h13={"stage": "dev"})
    subset = {"subset_selectors": [{"keys": ["stage"]}]}

    def wants(path: str, stage: str) -> config.Tree:
        match = {"filter_metadata": {"envoy.lb": {"stage": stage}}}
        return config.route(path, "one", **_BY_KEY, metadata_match=match)

    proxy = site(
        config.eds_cluster("one", site.eds, lb_policy="RING_HASH", lb_subset_config=subset),
        *(wants(f"/{stage}", stage) for stage in ("prod", "dev", "test")),
    )
    assert set(site.chosen("/prod")) == {"11", "12"}
    assert set(site.chosen("/dev")) == {"13"}
    assert set(site.chosen("/test", ["a"])) == {"503"}
    # Those of two workers, and of the main thread, as with Envoy.
    assert proxy.stat("cluster.one.lb_subsets_active") == 6
    site.put_hosts(h11={"stage": "prod"}, h12={"stage": "test"}, h14={})
    wait_for(lambda: set(site.chosen("/test")) == {"12"}, "host 12 in its new subset")
    wait_for(lambda: set(site.chosen("/dev")) == {"503"}, "the end of a subset")
    assert set(site.chosen("/prod")) == {"11"}
    counters = {
        name: proxy.stat(f"cluster.one.lb_subsets_{name}")
        for name in ("active", "created", "removed")
    }
    assert counters == {"active": 6, "created": 9, "removed": 3}


def test_policies_change_without_a_lost_request(site: Site, hosts: Hosts) -> None:
    """The names of a DNS cluster are looked up again for its new version; the old one serves."""

    def cluster(**more: Any) -> config.Tree:
        tree = config.cluster("one", **more)
        tree["type"] = "STRICT_DNS"
        addresses = [config.address(hosts.port, f"127.0.0.{n}") for n in (11, 12, 13)]
        endpoints = [{"endpoint": {"address": address}} for address in addresses]
        tree["load_assignment"] = {
            "cluster_name": "one",
            "endpoints": [{"lb_endpoints": endpoints}],
        }
        return tree

    by_table = cluster(lb_policy="RING_HASH")
    proxy = site(by_table)
    table = site.chosen()
    seen: list[str] = []

    def changed(version: int) -> bool:
        seen.extend(site.chosen())
        return (proxy.stat("cluster_manager.cluster_modified") or 0) >= version

    for version, tree in enumerate((cluster(), by_table, cluster(lb_policy="MAGLEV")), 1):
        site.put(tree)
        wait_for(lambda version=version: changed(version), "the change")  # type: ignore[misc]
    assert proxy.stat("cluster.one.ring_hash_lb.size") is None
    assert proxy.stat("cluster.one.maglev_lb.max_entries_per_host") == 21846
    site.put(by_table)
    wait_for(lambda: site.chosen() == table, "the first table")
    assert proxy.stat("cluster.one.ring_hash_lb.size") == 1026
    assert set(seen) == {"11", "12", "13"}
