"""How much of the load each priority and locality gets, ours against the stock Envoy.

By a table the shares are the same to the request; by turns and by chance both have to have those
that Envoy documents, within bounds that chance leaves once in a hundred million runs.
"""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from tests.support import config, tls_config
from tests.support.hosts import Hosts
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import wait_for

Tree = dict[str, Any]

_KEYS = [f"key-{n}" for n in range(300)]
_REQUESTS = 500
#: So many standard deviations may a share be off.
_SIGMAS = 5.8
_POLICIES = "type.googleapis.com/envoy.extensions.load_balancing_policies."
_STATS = ("membership_", "lb_healthy_panic", "lb_subsets_fallback", "ring_hash_lb.", "maglev_lb.")

_H, _U, _D, _L = "HEALTHY", "UNHEALTHY", "DEGRADED", "DRAINING"


def _group(priority: int, *health: str, first: int = 1, zone: str = "", **more: Any) -> Tree:
    """Hosts of one priority: 127.0.<priority>.<first> and on."""
    group: Tree = {"priority": priority, "lb_endpoints": []}
    if zone:
        group["locality"] = {"zone": zone}
    if weight := more.pop("weight", None):
        group["load_balancing_weight"] = weight
    for number, state in enumerate(health, first):
        address = {"address": f"127.0.{priority + 1}.{number}"}
        group["lb_endpoints"].append({"endpoint": address, "health_status": state, **more})
    return group


#: Groups; shares of priorities (or hosts, or of "503"); fields of the assignment and the cluster.
_CASES: dict[str, tuple[list[Tree], dict[str, float], Tree]] = {
    "spill": ([_group(0, _H, _U), _group(1, _H)], {"1": 70, "2": 30}, {}),
    "enough": ([_group(0, _H, _H, _H, _U), _group(1, _H)], {"1": 100}, {}),
    "last_group_first": ([_group(1, _H), _group(0, _H, _U)], {"1": 70, "2": 30}, {}),
    "factor_100": (
        [_group(0, _H, _U), _group(1, _H)],
        {"1": 50, "2": 50},
        {"policy": {"overprovisioning_factor": 100}},
    ),
    "factor_200": (
        [_group(0, _H, _U, _U), _group(1, _H)],
        {"1": 66, "2": 34},
        {"policy": {"overprovisioning_factor": 200}},
    ),
    "three": (
        [_group(0, _H, _U, _U, _U), _group(1, _H, _U, _U, _U), _group(2, _H)],
        {"1": 35, "2": 35, "3": 30},
        {},
    ),
    "gap": ([_group(2, _H, _U), _group(4, _H)], {"3": 70, "5": 30}, {}),
    "all_of_the_first_fail": ([_group(0, _U, _U), _group(1, _H, _H)], {"2": 100}, {}),
    "degraded": (
        [_group(0, _H, _D, _U, _U), _group(1, _H, _U, _U, _U)],
        {"127.0.1.1": 35, "127.0.1.2": 30, "127.0.2.1": 35},
        {},
    ),
    "degraded_only": ([_group(0, _U, _D), _group(1, _D)], {"127.0.1.2": 70, "127.0.2.1": 30}, {}),
    "draining": ([_group(0, _H, _L, _L), _group(1, _H)], {"127.0.1.1": 100}, {}),
    "panic_in_one": (
        [_group(0, _H, _U, _U, _U, _U), _group(1, _H, _H, _U, _U)],
        {
            **{f"127.0.1.{n}": 29 / 5 for n in range(1, 6)},
            "127.0.2.1": 71 / 2,
            "127.0.2.2": 71 / 2,
        },
        {},
    ),
    "panic_in_all": (
        [_group(0, _H, _U, _U, _U), _group(1, _U, _U)],
        {f"127.0.1.{n}": 67 / 4 for n in range(1, 5)} | {"127.0.2.1": 33 / 2, "127.0.2.2": 33 / 2},
        {},
    ),
    "panic_off": (
        [_group(0, _U), _group(1, _U)],
        {"503": 100},
        {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}},
    ),
    "panic_off_few": (
        [_group(0, _H, *[_U] * 9), _group(1, _H, *[_U] * 19)],
        {"127.0.1.1": 67, "127.0.2.1": 33},
        {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}},
    ),
    "fail_on_panic": (
        [_group(0, _H, _U, _U, _U, _U), _group(1, _H, _H, _U, _U)],
        {"503": 29, "2": 71},
        {"common_lb_config": {"zone_aware_lb_config": {"fail_traffic_on_panic": True}}},
    ),
    "weighted_health": (
        [
            _group(0, _H, load_balancing_weight=1),
            _group(0, _U, first=2, load_balancing_weight=3),
            _group(1, _H),
        ],
        {"1": 35, "2": 65},
        {"policy": {"weighted_priority_health": True}},
    ),
}
_LOCALITIES: dict[str, tuple[list[Tree], dict[str, float], Tree]] = {
    "localities": (
        [
            _group(0, _H, _H, zone="a", weight=3),
            _group(0, _H, first=3, zone="b", weight=1),
            _group(0, _H, first=4, zone="without"),
        ],
        {"127.0.1.1": 37.5, "127.0.1.2": 37.5, "127.0.1.3": 25},
        {},
    ),
    # Of a one in two is healthy: it keeps 70 % of its weight; 93 % of all is priority 0's.
    "localities_sick": (
        [
            _group(0, _H, _U, zone="a", weight=2),
            _group(0, _H, first=3, zone="b", weight=1),
            _group(1, _H, zone="a", weight=1),
            _group(1, _H, first=2, zone="b", weight=3),
        ],
        {
            "127.0.1.1": 93 * 1.4 / 2.4,
            "127.0.1.3": 93 * 1 / 2.4,
            "127.0.2.1": 7 / 4,
            "127.0.2.2": 7 * 3 / 4,
        },
        {},
    ),
    "localities_degraded": (
        [
            _group(0, _D, zone="a", weight=1),
            _group(0, _D, first=2, zone="b", weight=3),
            _group(0, _U, first=3, zone="c", weight=9),
        ],
        {"127.0.1.1": 25, "127.0.1.2": 75},
        {},
    ),
    "localities_panic": (
        [
            _group(0, _H, zone="a", weight=9),
            _group(0, _U, _U, first=2, zone="b", weight=1),
        ],
        {f"127.0.1.{n}": 100 / 3 for n in range(1, 4)},
        {"common_lb_config": {"healthy_panic_threshold": {"value": 60}}},
    ),
}


def _cluster(name: str, groups: list[Tree], port: int, **more: Any) -> Tree:
    """`policy` is the assignment's."""
    assignment: Tree = {"cluster_name": name, "endpoints": json.loads(json.dumps(groups))}
    for group in assignment["endpoints"]:
        for host in group["lb_endpoints"]:
            host["endpoint"] = {"address": config.address(port, host["endpoint"]["address"])}
    if policy := more.pop("policy", None):
        assignment["policy"] = policy
    return {**config.cluster(name), "load_assignment": assignment, **more}


def _weighing(more: Tree) -> Tree:
    common = {**more.get("common_lb_config", {}), "locality_weighted_lb_config": {}}
    return {**more, "common_lb_config": common}


def _clusters(port: int, **more: Any) -> dict[str, tuple[Tree, dict[str, float]]]:
    """Each case, with its shares."""
    cases = {**_CASES}
    for name, (groups, shares, fields) in _LOCALITIES.items():
        cases[name] = (groups, shares, _weighing(fields))
    return {
        name: (_cluster(name, groups, port, **fields, **more), shares)
        for name, (groups, shares, fields) in cases.items()
    }


class Lab:
    """One listener; the path names the cluster, `x-key` is hashed."""

    def __init__(self, clusters: list[Tree], folder: Path, **routes: Tree) -> None:
        self.clusters = clusters
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self._routes = routes

    def run(self, kind: str, keys: list[str]) -> tuple[dict[str, list[str]], list[str], list[Tree]]:
        """By path who had each request, the statistics, and `/clusters` as JSON."""
        by_key: Tree = {"hash_policy": [{"header": {"header_name": "x-key"}}]}
        names = {cluster["name"]: {"cluster": cluster["name"]} for cluster in self.clusters}
        routes = [
            {"match": {"path": f"/{path}"}, "route": {**action, **by_key}}
            for path, action in {**names, **self._routes}.items()
        ]
        manager = config.hcm(config.route_config("r", *routes))
        listeners = [config.listener("in", self.port, manager)]
        text = config.bootstrap(self.admin_port, listeners, self.clusters)
        with Proxy(kind, text, self.folder / kind, self.admin_port) as proxy:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as conn:
                seen = {
                    path: [_get(conn, f"/{path}", {"x-key": key} if key else {}) for key in keys]
                    for path in (*names, *self._routes)
                }
            stats = proxy.admin("GET", "/stats")[1].splitlines()
            shown = json.loads(proxy.admin("GET", "/clusters?format=json")[1])["cluster_statuses"]
        return seen, [line for line in stats if any(name in line for name in _STATS)], shown


def _get(conn: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> str:
    """The host, or the status."""
    conn.request("GET", path, headers=headers)
    response = conn.getresponse()
    body = response.read().decode()
    return body if response.status == 200 else str(response.status)


def _hosts_shown(shown: list[Tree]) -> dict[str, list[Tree]]:
    """What `/clusters` says about hosts, without their counters."""
    return {
        cluster["name"]: [
            {key: value for key, value in host.items() if key != "stats"}
            for host in cluster.get("host_statuses", [])
        ]
        for cluster in shown
    }


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with Hosts() as hosts:
        yield hosts


@pytest.mark.parametrize("policy", ["RING_HASH", "MAGLEV"])
def test_by_a_table_each_request_has_the_same_host(
    hosts: Hosts, tmp_path: Path, policy: str
) -> None:
    """The hash decides the priority, too; and what the admin port shows of it is the same."""
    clusters = [cluster for cluster, _ in _clusters(hosts.port, lb_policy=policy).values()]
    lab = Lab(clusters, tmp_path)
    envoy, envoy_stats, envoy_shown = lab.run(ENVOY, _KEYS)
    ours, our_stats, our_shown = lab.run(OURS, _KEYS)
    assert ours == envoy
    assert our_stats == envoy_stats
    assert _hosts_shown(our_shown) == _hosts_shown(envoy_shown)
    assert {host.split(".")[2] for host in ours["three"]} == {"1", "2", "3"}


@pytest.mark.parametrize("policy", ["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"])
def test_every_priority_has_its_share(hosts: Hosts, tmp_path: Path, policy: str) -> None:
    clusters = _clusters(hosts.port, lb_policy=policy)
    lab = Lab([cluster for cluster, _ in clusters.values()], tmp_path)
    for kind in (ENVOY, OURS):
        seen, stats, _ = lab.run(kind, [""] * _REQUESTS)
        for name, (_, shares) in clusters.items():
            _check(f"{kind} {name}", seen[name], shares)
        counted = dict(line.split(": ") for line in stats)
        assert counted["cluster.panic_in_all.lb_healthy_panic"] == str(_REQUESTS)
        assert counted["cluster.spill.lb_healthy_panic"] == "0"
        assert counted["cluster.draining.membership_excluded"] == "2"


def _check(what: str, seen: list[str], shares: dict[str, float]) -> None:
    """`shares`: per cent of a host, a status, or of a priority (the third part of addresses)."""
    found: Counter[str] = Counter()
    for host in seen:
        found[host if host in shares else host.split(".")[2] if "." in host else host] += 1
    assert set(found) <= set(shares), f"{what}: {found}"
    for name, share in shares.items():
        part = share / 100
        bound = _SIGMAS * sqrt(len(seen) * part * (1 - part))
        assert abs(found[name] - len(seen) * part) <= bound, f"{what}: {found}, {name} has {share}"


def test_priorities_of_subsets(hosts: Hosts, tmp_path: Path) -> None:
    """Loads are worked out among the hosts of the subset."""

    def stage(name: str) -> Tree:
        return {"metadata": {"filter_metadata": {"envoy.lb": {"stage": name}}}}

    groups = [
        _group(0, _U, _H, **stage("prod")),
        _group(0, _U, first=3, **stage("dev")),
        _group(0, _H, first=4),
        _group(1, _H, _U, **stage("prod")),
        _group(1, _H, first=3, **stage("dev")),
        _group(2, _H, **stage("late")),
        _group(2, _U, first=2, **stage("sick")),
    ]
    routes: dict[str, Tree] = {}
    clusters = []
    for fallback in ("ANY_ENDPOINT", "DEFAULT_SUBSET"):
        subset: Tree = {
            "fallback_policy": fallback,
            "default_subset": {"stage": "prod"},
            "subset_selectors": [{"keys": ["stage"]}],
        }
        name = fallback.lower()
        more: Tree = {"lb_policy": "RING_HASH", "lb_subset_config": subset}
        clusters.append(_cluster(name, groups, hosts.port, **more))
        single = {"keys": ["stage"], "single_host_per_subset": True}
        more["lb_subset_config"] = {**subset, "subset_selectors": [single]}
        clusters.append(_cluster(f"{name}_single", groups, hosts.port, **more))
        for wanted in ("prod", "dev", "late", "sick", "none"):
            match = {"metadata_match": stage(wanted)["metadata"]}
            for cluster in (name, f"{name}_single"):
                routes[f"{cluster}/{wanted}"] = {"cluster": cluster, **match}
    lab = Lab(clusters, tmp_path, **routes)
    envoy, envoy_stats, _ = lab.run(ENVOY, _KEYS[:100])
    ours, our_stats, _ = lab.run(OURS, _KEYS[:100])
    assert ours == envoy
    counted = [line for line in our_stats if "_lb." not in line]
    assert counted == [line for line in envoy_stats if "_lb." not in line]
    assert set(ours["any_endpoint/prod"]) == {"127.0.1.2", "127.0.2.1"}
    assert set(ours["any_endpoint/dev"]) == {"127.0.2.3"}
    assert set(ours["any_endpoint/late"]) == {"127.0.3.1"}


def test_dns_clusters_have_priorities(hosts: Hosts, tmp_path: Path) -> None:
    """And weights of localities."""
    cases = {
        f"dns_{name}": (groups, shares, _weighing(fields) if name in _LOCALITIES else fields)
        for name, (groups, shares, fields) in {**_CASES, **_LOCALITIES}.items()
        if name in {"spill", "three", "degraded", "localities", "localities_sick"}
    }
    clusters = [
        _cluster(name, groups, hosts.port, **fields, type="STRICT_DNS", lb_policy="MAGLEV")
        for name, (groups, _, fields) in cases.items()
    ]
    lab = Lab(clusters, tmp_path)
    envoy, _, _ = lab.run(ENVOY, _KEYS)
    ours, _, _ = lab.run(OURS, _KEYS)
    assert ours == envoy
    for name, (_, shares, _) in cases.items():
        if name != "dns_degraded":
            assert len(set(ours[name])) >= len(shares), name


def test_priorities_come_and_go(hosts: Hosts, tmp_path: Path) -> None:
    """EDS adds one in front, empties it, moves a host to another, removes them."""
    steps: list[tuple[list[Tree], set[str]]] = [
        ([_group(0, _U, _H), _group(1, _H)], {"127.0.1.2", "127.0.2.1"}),
        ([_group(0, _U, _U), _group(1, _H, _U), _group(2, _H)], {"127.0.2.1", "127.0.3.1"}),
        ([_group(0), _group(1, _U), _group(3, _H)], {"127.0.4.1"}),
        # The host of what was priority 3 is of 0 now.
        ([{**_group(3, _H), "priority": 0}, _group(1, _H)], {"127.0.4.1"}),
        ([_group(0, _H, _H)], {"127.0.1.1", "127.0.1.2"}),
        ([_group(0, _U)], {"127.0.1.1"}),
    ]
    port, admin_port = free_port(), free_port()
    route: Tree = {
        "match": {"prefix": "/"},
        "route": {"cluster": "one", "hash_policy": [{"header": {"header_name": "x-key"}}]},
    }
    listeners = [config.listener("in", port, config.hcm(config.route_config("r", route)))]

    def run(kind: str) -> list[tuple[list[str], list[str]]]:
        folder = tmp_path / kind
        folder.mkdir()
        eds = folder / "eds.yaml"

        def put(groups: list[Tree]) -> None:
            assignment = _cluster("one", groups, hosts.port)["load_assignment"]
            config.move_in(eds, config.discovery(config.ENDPOINTS, [assignment]))

        put(steps[0][0])
        clusters = [config.eds_cluster("one", eds, lb_policy="RING_HASH")]
        text = config.bootstrap(admin_port, listeners, clusters)
        found = []
        with (
            Proxy(kind, text, folder / "run", admin_port) as proxy,
            closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as conn,
        ):
            for groups, expected in steps:
                put(groups)
                seen: list[str] = []

                def are_expected(expected: set[str] = expected, seen: list[str] = seen) -> bool:
                    seen[:] = [_get(conn, "/", {"x-key": key}) for key in _KEYS[:100]]
                    return set(seen) == expected

                wait_for(are_expected, f"{kind}: {expected}")
                stats = proxy.admin("GET", "/stats")[1].splitlines()
                members = [line for line in stats if "cluster.one.membership_" in line]
                found.append((seen, members))
        return found

    assert run(OURS) == run(ENVOY)


def test_drop_overloads(hosts: Hosts, tmp_path: Path) -> None:
    """Some requests are answered at once, those of TCP never; health does not matter."""

    def dropping(numerator: int, denominator: str = "HUNDRED") -> Tree:
        share = {"numerator": numerator, "denominator": denominator}
        overload: Tree = {"category": "lb", "drop_percentage": share}
        return {"policy": {"drop_overloads": [overload]}}

    one = [_group(0, _H)]
    clusters = [
        _cluster("all", one, hosts.port, **dropping(100)),
        _cluster(
            "all_by_name", one, hosts.port, type="STRICT_DNS", **dropping(1_000_000, "MILLION")
        ),
        _cluster("without_hosts", [], hosts.port, **dropping(10_000, "TEN_THOUSAND")),
        _cluster("some", one, hosts.port, **dropping(2_500, "TEN_THOUSAND")),
        _cluster("none", one, hosts.port, **dropping(0)),
    ]
    port, admin_port = free_port(), free_port()
    tcp_port = free_port()
    log: Tree = {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "log",
            "log_format": {
                "text_format_source": {
                    "inline_string": "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% "
                    "%RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER% %BYTES_SENT%\n"
                }
            },
        },
    }
    retried: Tree = {"retry_policy": {"retry_on": "5xx", "num_retries": 3}}
    routes: list[Tree] = [
        {
            "match": {"path": f"/{cluster['name']}"},
            "route": {"cluster": cluster["name"], **retried},
            "response_headers_to_add": [{"header": {"key": "x-route", "value": "yes"}}],
        }
        for cluster in clusters
    ]
    names = [cluster["name"] for cluster in clusters if cluster["name"] != "some"]

    def run(kind: str) -> tuple[list[Any], list[str], list[str], list[str]]:
        folder = tmp_path / kind
        folder.mkdir()
        log["typed_config"]["path"] = str(folder / "access.log")
        manager = config.hcm(config.route_config("r", *routes), access_log=[log])
        tunnel = tls_config.tcp_proxy(stat_prefix="t", cluster="all")
        listeners = [
            config.listener("in", port, manager),
            tls_config.listener("tcp", tcp_port, tls_config.chain(tunnel)),
        ]
        text = config.bootstrap(admin_port, listeners, clusters)
        with Proxy(kind, text, folder / "run", admin_port) as proxy:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as conn:
                told: list[Any] = [_whole(conn, f"/{name}") for name in names]
                some = [_get(conn, "/some", {}) for _ in range(_REQUESTS)]
            with closing(http.client.HTTPConnection("127.0.0.1", tcp_port, timeout=20)) as conn:
                told.append(_get(conn, "/", {}))
            logged = len(names) + _REQUESTS
            wait_for(lambda: len(_lines(folder)) == logged, "all lines of the log")
            stats = proxy.admin("GET", "/stats")[1].splitlines()
        counted = [
            line
            for line in stats
            if line.startswith(("cluster.all.", "cluster.without_hosts.")) and "upstream_rq" in line
        ]
        return told, counted, [line for line in _lines(folder) if "/some" not in line], some

    envoy, ours = run(ENVOY), run(OURS)
    assert ours[:3] == envoy[:3]
    assert ours[0][-1] == "127.0.1.1"
    for kind, found in ((ENVOY, envoy), (OURS, ours)):
        _check(f"{kind} some", found[3], {"503": 25, "127.0.1.1": 75})


def _lines(folder: Path) -> list[str]:
    """Of the access log."""
    return (folder / "access.log").read_text().splitlines()


def _whole(conn: http.client.HTTPConnection, path: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers without those that differ each time, body."""
    conn.request("GET", path)
    response = conn.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    for name in ("date", "x-envoy-upstream-service-time", "server"):
        headers.pop(name, None)
    return response.status, headers, response.read()
