"""Outlier detection while hosts come and go, with two workers. Who is out and what is counted is
Envoy's choice: that is `tests/differential/test_outlier_detection.py`."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config
from tests.support.logs import whole_lines
from tests.support.moody import Moody
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import wait_for

_ACTIVE = "cluster.one.outlier_detection.ejections_active"
_ENFORCED = "cluster.one.outlier_detection.ejections_enforced_consecutive_5xx"
_TWO = {"consecutive_5xx": 2, "max_ejection_percent": 100}
_LONG = {**_TWO, "base_ejection_time": "3600s"}


@pytest.fixture
def moody() -> Iterator[Moody]:
    with Moody() as hosts:
        yield hosts


class Site:
    """A process with two workers, whose cluster and endpoints are in files."""

    def __init__(self, start: StartMesh, folder: Path, moody: Moody) -> None:
        self._start = start
        self._moody = moody
        self._cds, self._eds = folder / "cds.yaml", folder / "eds.yaml"
        self.log = folder / "ejections.log"
        self.port, self.admin_port = free_port(), free_port()
        self.proxy: Proxy

    def __call__(self, outliers: config.Tree | None, *hosts: int) -> None:
        self.put(outliers)
        self.put_hosts(*hosts)
        table = config.route_config("r", config.route("/", "one"), validate_clusters=False)
        manager = config.hcm(table)
        listeners = [config.listener("in", self.port, manager)]
        logged = {"outlier_detection": {"event_log_path": str(self.log)}}
        text = config.bootstrap(self.admin_port, listeners, self._cds, cluster_manager=logged)
        self.proxy = self._start(text, self.admin_port, "--concurrency", "2")

    def put(self, outliers: config.Tree | None, **more: Any) -> None:
        if outliers is not None:
            more["outlier_detection"] = outliers
        cluster = config.eds_cluster("one", self._eds, **more)
        config.move_in(self._cds, config.discovery(config.CLUSTER, [cluster]))

    def put_hosts(self, *hosts: int) -> None:
        """By the last part of the address."""
        endpoints = [
            {"endpoint": {"address": config.address(self._moody.port, f"127.0.0.{host}")}}
            for host in hosts
        ]
        tree = {"cluster_name": "one", "endpoints": [{"lb_endpoints": endpoints}]}
        config.move_in(self._eds, config.discovery(config.ENDPOINTS, [tree]))

    def ask(self, count: int = 16, plan: str = "") -> set[str]:
        """Who answers, or the status. A connection each, so that both workers are asked."""
        found = set()
        for _ in range(count):
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as conn:
                conn.request("GET", "/", headers={"x-plan": plan})
                response = conn.getresponse()
                body = response.read().decode()
            found.add(body.rpartition(".")[2] if response.status == 200 else str(response.status))
        return found

    def fail(self, host: int, ejections: int = 1) -> None:
        """Until so many are out."""
        self.ask(plan=f"127.0.0.{host}=500")
        wait_for(lambda: self.proxy.stat(_ACTIVE) == ejections, f"{ejections} to be out")

    def serves(self, *hosts: int) -> None:
        """Both workers come to ask these and nobody else."""
        expected = {str(host) for host in hosts}
        wait_for(lambda: self.ask() == expected, f"{expected} to serve")

    def events(self) -> list[tuple[str, str]]:
        """What is logged, and of whom."""
        events = [json.loads(line) for line in whole_lines(self.log)]
        return [(event["action"], event["upstream_url"].partition(":")[0]) for event in events]


@pytest.fixture
def site(start: StartMesh, tmp_path: Path, moody: Moody) -> Site:
    return Site(start, tmp_path, moody)


def test_a_host_is_out_for_all_workers_and_comes_back(site: Site) -> None:
    site({**_TWO, "base_ejection_time": "0.2s", "interval": "0.1s"}, 11, 12, 13)
    site.ask(plan="127.0.0.11=500")
    site.proxy.wait_stat(_ENFORCED, 1)
    wait_for(lambda: site.proxy.stat(_ACTIVE) == 0, "the host to be back")
    site.serves(11, 12, 13)
    wait_for(lambda: ("UNEJECT", "127.0.0.11") in site.events(), "the log")
    assert site.events()[0] == ("EJECT", "127.0.0.11")
    assert site.proxy.stat("cluster.one.membership_healthy") == 3


def test_what_is_known_of_a_host_outlives_other_hosts_and_ends_with_its_own(site: Site) -> None:
    site(_LONG, 11, 12, 13)
    site.fail(11)
    site.serves(12, 13)
    assert site.proxy.stat("cluster.one.membership_healthy") == 2
    # Others come and go.
    site.put_hosts(11, 12, 14)
    site.serves(12, 14)
    assert "127.0.0.11" in _out(site.proxy)
    # It goes itself, and is another one when it comes again.
    site.put_hosts(12, 14)
    wait_for(lambda: site.proxy.stat(_ACTIVE) == 0, "the host to be forgotten")
    site.put_hosts(11, 12, 14)
    site.serves(11, 12, 14)
    assert _out(site.proxy) == []
    site.fail(11)
    site.serves(12, 14)
    assert site.events() == [("EJECT", "127.0.0.11")] * 2


def test_a_cluster_that_watches_no_longer_takes_all_back(site: Site) -> None:
    site(_LONG, 11, 12)
    site.fail(11)
    site.serves(12)
    site.put(None)
    site.serves(11, 12)
    assert _out(site.proxy) == []
    site.ask(plan="127.0.0.11=500")
    site.serves(11, 12)
    # And begins anew.
    site.put(_LONG)
    site.proxy.wait_stat("cluster_manager.cluster_modified", 2)
    site.fail(12)
    site.serves(11)


def test_the_log_goes_on_in_a_new_file_where_it_is_moved(site: Site) -> None:
    site(_LONG, 11, 12, 13)
    site.fail(11)
    wait_for(lambda: site.events() == [("EJECT", "127.0.0.11")], "the log")
    site.log.rename(site.log.with_suffix(".old"))
    assert site.proxy.admin("POST", "/reopen_logs")[0] == 200
    site.serves(12, 13)
    site.fail(12, ejections=2)
    wait_for(lambda: site.log.exists() and bool(site.events()), "the new log")
    assert site.events() == [("EJECT", "127.0.0.12")]


def test_a_log_that_cannot_be_opened_is_said(start: StartMesh, tmp_path: Path) -> None:
    admin_port = free_port()
    logged = {"outlier_detection": {"event_log_path": str(tmp_path / "nowhere" / "log")}}
    text = config.bootstrap(admin_port, [], [], cluster_manager=logged)
    with pytest.raises(RuntimeError, match="exited with 1") as raised:
        start(text, admin_port)
    assert "cluster_manager.outlier_detection.event_log_path: cannot open" in str(raised.value)
    assert "No such file or directory" in str(raised.value)


def _out(proxy: Proxy) -> list[str]:
    """Whom `/clusters` says to be out, in JSON, which is what its text says."""
    text = proxy.admin("GET", "/clusters")[1].splitlines()
    flagged = [line for line in text if line.endswith("::health_flags::/failed_outlier_check")]
    tree = json.loads(proxy.admin("GET", "/clusters?format=json")[1])
    statuses = next(one for one in tree["cluster_statuses"] if one["name"] == "one")
    out = [
        host["address"]["socket_address"]["address"]
        for host in statuses["host_statuses"]
        if host["health_status"].get("failed_outlier_check")
    ]
    assert len(flagged) == len(out)
    return out
