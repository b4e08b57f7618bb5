"""Which host gets what: hash tables and subsets, ours against the stock Envoy.

Hosts are 127.0.0.11 and up; both proxies get the same bootstrap, so that a key has the same host
in both if their tables are the same.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support import config, tls_config
from tests.support.hosts import Hosts
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import read_all, reset

_POLICIES = "type.googleapis.com/envoy.extensions.load_balancing_policies."
_KEYS = [f"key-{n}" for n in range(200)]
_FEW = _KEYS[:25]
_STATS = ("lb_subsets_", "ring_hash_lb.", "maglev_lb.", "lb_healthy_panic")

Tree = dict[str, Any]


def _host(number: int, port: int, **more: Any) -> Tree:
    """An endpoint; `lb` is its metadata."""
    endpoint: Tree = {"address": config.address(port, f"127.0.0.{10 + number}")}
    if hostname := more.pop("hostname", None):
        endpoint["hostname"] = hostname
    tree: Tree = {"endpoint": endpoint}
    if lb := more.pop("lb", None):
        tree["metadata"] = {"filter_metadata": {"envoy.lb": lb}}
    return {**tree, **more}


def _cluster(name: str, hosts: list[Tree] | list[list[Tree]], **more: Any) -> Tree:
    """A cluster; a list of lists: localities, which weigh 1, 2, 3."""
    groups: list[Tree] = [{"lb_endpoints": hosts}]
    if hosts and isinstance(hosts[0], list):
        groups = [
            {"locality": {"zone": f"z{9 - n}"}, "load_balancing_weight": n, "lb_endpoints": group}
            for n, group in enumerate(hosts, 1)
        ]
    assignment = {"cluster_name": name, "endpoints": groups}
    return {**config.cluster(name), "load_assignment": assignment, **more}


def _typed(kind: str, message: str, **fields: Any) -> Tree:
    """`load_balancing_policy` with one policy."""
    typed = {"@type": f"{_POLICIES}{kind}.v3.{message}", **fields}
    policy = {"typed_extension_config": {"name": f"envoy.{kind}", "typed_config": typed}}
    return {"policies": [policy]}


def hashing(port: int) -> list[Tree]:
    """Clusters that choose by hash."""
    five = [_host(n, port) for n in range(1, 6)]
    weighted = [_host(n, port, load_balancing_weight=n) for n in range(1, 6)]
    keyed = [_host(n, port, lb={"hash_key": f"stable-{n}"}) for n in range(1, 6)]
    named = [_host(n, port, hostname=f"pod-{n}") for n in range(1, 6)]
    localities = [weighted[:1], weighted[1:3], weighted[3:]]
    sick = [
        _host(n, port, health_status=health)
        for n, health in enumerate(("UNHEALTHY", "DEGRADED", "HEALTHY", "HEALTHY", "UNKNOWN"), 1)
    ]
    degraded = [_host(n, port, health_status="DEGRADED") for n in range(1, 6)]
    panic = [
        _host(n, port, health_status="HEALTHY" if n == 1 else "UNHEALTHY") for n in range(1, 6)
    ]
    # (healthy of five, threshold): 80 % can take all the load, so that there is no panic; 60 % not.
    thresholds = ((4, 90), (3, 90), (3, 60), (3, 60.4), (3, 60.6), (0, 0), (1, 0))
    ring: Tree = {"lb_policy": "RING_HASH"}
    maglev: Tree = {"lb_policy": "MAGLEV"}
    by_name: Tree = {"consistent_hashing_lb_config": {"use_hostname_for_hashing": True}}
    by_locality: Tree = {"locality_weighted_lb_config": {}}
    murmur: Tree = {"hash_function": "MURMUR_HASH_2"}
    small: Tree = {"minimum_ring_size": 16, "maximum_ring_size": 17}
    prime: Tree = {"maglev_lb_config": {"table_size": 1009}}
    typed_ring = _typed("ring_hash", "RingHash", hash_function="MURMUR_HASH_2")
    typed_maglev = _typed(
        "maglev",
        "Maglev",
        table_size=251,
        locality_weighted_lb_config={},
        consistent_hashing_lb_config={"use_hostname_for_hashing": True},
    )
    named_localities = [named[:2], named[2:3], named[3:]]
    return [
        _cluster("ring", five, **ring),
        _cluster("ring_murmur", five, **ring, ring_hash_lb_config=murmur),
        _cluster("ring_small", five, **ring, ring_hash_lb_config=small),
        _cluster("ring_large", five, **ring, ring_hash_lb_config={"minimum_ring_size": 300_000}),
        _cluster("ring_empty", five, **ring, ring_hash_lb_config={"minimum_ring_size": 0}),
        _cluster("ring_weighted", weighted, **ring),
        _cluster("ring_weighted_small", weighted, **ring, ring_hash_lb_config={**murmur, **small}),
        _cluster("ring_keyed", keyed, **ring),
        _cluster("ring_named", five, **ring, type="STRICT_DNS", common_lb_config=by_name),
        _cluster("ring_localities", localities, **ring, common_lb_config=by_locality),
        _cluster("ring_sick", sick, **ring),
        _cluster("ring_degraded", degraded, **ring),
        _cluster("ring_panic", panic, **ring),
        _cluster("ring_typed", weighted, load_balancing_policy=typed_ring),
        _cluster("maglev", five, **maglev),
        _cluster("maglev_small", weighted, **maglev, **prime),
        _cluster("maglev_reversed", weighted[::-1], **maglev, **prime),
        _cluster("maglev_tiny", weighted, **maglev, maglev_lb_config={"table_size": 3}),
        _cluster("maglev_keyed", keyed, **maglev, **prime),
        _cluster("maglev_named", five, **maglev, type="STRICT_DNS", common_lb_config=by_name),
        _cluster("maglev_localities", localities, **maglev, common_lb_config=by_locality),
        _cluster("maglev_sick", sick, **maglev),
        _cluster("maglev_panic", panic, **maglev),
        _cluster("maglev_typed", named_localities, load_balancing_policy=typed_maglev),
        _cluster("none", [], **ring),
        _cluster("none_by_turns", []),
        *(
            _cluster(
                f"threshold_{healthy}_{threshold}",
                [
                    _host(n, port, health_status="HEALTHY" if n <= healthy else "UNHEALTHY")
                    for n in range(1, 6)
                ],
                **ring,
                common_lb_config={"healthy_panic_threshold": {"value": threshold}},
            )
            for healthy, threshold in thresholds
        ),
        _overprovisioned("over_100", 100, [*five[:4], _host(5, port, health_status="TIMEOUT")]),
        _overprovisioned("over_200", 200, [*five[:3], *(_sick(n, port) for n in (4, 5))]),
    ]


def _sick(number: int, port: int) -> Tree:
    return _host(number, port, health_status="UNHEALTHY")


def _overprovisioned(name: str, factor: int, hosts: list[Tree]) -> Tree:
    """Panics below 90 % if the others cannot take the load."""
    threshold: Tree = {"healthy_panic_threshold": {"value": 90}}
    cluster = _cluster(name, hosts, lb_policy="RING_HASH", common_lb_config=threshold)
    cluster["load_assignment"]["policy"] = {"overprovisioning_factor": factor}
    return cluster


def subsets(port: int) -> list[Tree]:
    """Clusters with subsets, by hash within them."""
    hosts = [
        _host(1, port, lb={"stage": "prod", "version": 1}),
        _host(2, port, lb={"stage": "prod", "version": 2, "zone": ["a", "b"]}),
        _host(3, port, lb={"stage": "dev", "version": 2, "zone": ["b"]}),
        _host(4, port, lb={"stage": "dev", "version": 1, "zone": "a", "only": True}),
        _host(5, port),
        _host(6, port, lb={"stage": "sick"}, health_status="UNHEALTHY"),
    ]
    by: list[Tree] = [{"keys": ["stage"]}, {"keys": ["version", "stage"]}, {"keys": ["zone"]}]

    def cluster(name: str, selectors: list[Tree] | None = None, **options: Any) -> Tree:
        more = {"lb_policy": "RING_HASH", **options.pop("cluster", {})}
        subset: Tree = {"subset_selectors": by if selectors is None else selectors, **options}
        return _cluster(name, hosts, **more, lb_subset_config=subset)

    def own(policy: str, **more: Any) -> list[Tree]:
        selector = {"keys": ["stage", "version"], "fallback_policy": policy, **more}
        return [{"keys": ["stage"]}, selector]

    prod: Tree = {"default_subset": {"stage": "prod"}}
    redundant = _typed(
        "subset",
        "Subset",
        fallback_policy="ANY_ENDPOINT",
        allow_redundant_keys=True,
        subset_selectors=by,
        subset_lb_policy=_typed("maglev", "Maglev", table_size=251),
    )
    shadowed: list[Tree] = [
        {"keys": ["stage", "version"]},
        {"keys": ["stage"], "fallback_policy": "ANY_ENDPOINT"},
        {"keys": ["zone"], "fallback_policy": "ANY_ENDPOINT"},
    ]
    return [
        cluster("no_fallback"),
        cluster("any", fallback_policy="ANY_ENDPOINT"),
        cluster("default", fallback_policy="DEFAULT_SUBSET", **prod),
        cluster("default_all", fallback_policy="DEFAULT_SUBSET"),
        cluster("default_none", fallback_policy="DEFAULT_SUBSET", default_subset={"stage": "no"}),
        cluster(
            "panic_any",
            fallback_policy="DEFAULT_SUBSET",
            default_subset={"stage": "no"},
            panic_mode_any=True,
        ),
        cluster("panic_without_fallback", panic_mode_any=True),
        cluster("list_as_any", list_as_any=True),
        cluster(
            "list_default",
            list_as_any=True,
            fallback_policy="DEFAULT_SUBSET",
            default_subset={"zone": "b"},
        ),
        cluster("own_none", own("NO_FALLBACK"), fallback_policy="ANY_ENDPOINT"),
        cluster("own_any", own("ANY_ENDPOINT")),
        cluster("own_default", own("DEFAULT_SUBSET"), **prod),
        cluster(
            "own_keys",
            own("KEYS_SUBSET", fallback_keys_subset=["stage"]),
            fallback_policy="ANY_ENDPOINT",
        ),
        cluster("shadowed", shadowed),
        cluster("single", [{"keys": ["stage"], "single_host_per_subset": True}]),
        cluster("no_selectors", [], fallback_policy="NO_FALLBACK"),
        cluster("no_keys", [{"keys": []}], fallback_policy="ANY_ENDPOINT"),
        _cluster("not_configured", hosts, lb_policy="RING_HASH"),
        _cluster("redundant", hosts, load_balancing_policy=redundant),
    ]


# What routes ask for, by the name in their path.
_WANTED: dict[str, Tree | None] = {
    "nothing": None,
    "empty": {},
    "prod": {"stage": "prod"},
    "dev-2": {"stage": "dev", "version": 2},
    "prod-3": {"stage": "prod", "version": 3},
    "version": {"version": 1},
    "unknown": {"other": "x"},
    "more": {"stage": "dev", "version": 1, "other": "x"},
    "sick": {"stage": "sick"},
    "no-stage": {"stage": "no"},
    "zone-a": {"zone": "a"},
    "zone-list": {"zone": ["a", "b"]},
    "zone-none": {"zone": "c"},
}


def _match(lb: Tree | None) -> Tree:
    return {} if lb is None else {"metadata_match": {"filter_metadata": {"envoy.lb": lb}}}


class Http:
    """One listener whose first path segment names a cluster, the second what is asked of it."""

    def __init__(self, clusters: list[Tree], folder: Path) -> None:
        self.clusters = clusters
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.wanted: dict[str, Tree | None] = {"nothing": None}

    def routes(self) -> list[Tree]:
        """By header; and weighted clusters, which ask for more than their route."""
        by_key: Tree = {"hash_policy": [{"header": {"header_name": "x-key"}}]}
        routes = []
        for cluster in self.clusters:
            for name, lb in self.wanted.items():
                path = f"/{cluster['name']}/{name}"
                action = {"cluster": cluster["name"], **by_key, **_match(lb)}
                routes.append({"match": {"path": path}, "route": action})
        if len(self.wanted) > 1:
            weighted = {"name": "any", "weight": 1, **_match({"version": 2})}
            for name, lb in self.wanted.items():
                action = {"weighted_clusters": {"clusters": [weighted]}, **by_key, **_match(lb)}
                routes.append({"match": {"path": f"/weighted/{name}"}, "route": action})
        return routes

    def run(self, kind: str, keys: list[str]) -> tuple[dict[str, list[str]], list[str]]:
        """For every path who had which key; and the statistics."""
        manager = config.hcm(config.route_config("r", *self.routes()))
        listeners = [config.listener("in", self.port, manager)]
        text = config.bootstrap(self.admin_port, listeners, self.clusters)
        with Proxy(kind, text, self.folder / kind, self.admin_port) as proxy:
            seen = {}
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as conn:
                for route in self.routes():
                    path = route["match"]["path"]
                    seen[path] = [_get(conn, path, {"x-key": key}) for key in keys]
            stats = proxy.admin("GET", "/stats")[1].splitlines()
        return seen, [line for line in stats if any(name in line for name in _STATS)]


def _get(conn: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> str:
    """The host, or the status."""
    conn.request("GET", path, headers=headers)
    response = conn.getresponse()
    body = response.read().decode()
    return body if response.status == 200 else f"{response.status}"


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with Hosts() as hosts:
        yield hosts


def test_a_key_has_the_same_host(hosts: Hosts, tmp_path: Path) -> None:
    """Every table, 200 keys."""
    lab = Http(hashing(hosts.port), tmp_path)
    envoy, envoy_stats = lab.run(ENVOY, _KEYS)
    ours, our_stats = lab.run(OURS, _KEYS)
    assert ours == envoy
    assert our_stats == envoy_stats
    assert len(set(ours["/ring/nothing"])) == 5


def test_a_subset_is_chosen_the_same_way(hosts: Hosts, tmp_path: Path) -> None:
    """Every fallback, with requests that have a subset and such that have none."""
    lab = Http(subsets(hosts.port), tmp_path)
    lab.wanted = _WANTED
    envoy, envoy_stats = lab.run(ENVOY, _FEW)
    ours, our_stats = lab.run(OURS, _FEW)
    assert ours == envoy
    assert _of_subsets(our_stats) == _of_subsets(envoy_stats)
    assert set(ours["/no_fallback/unknown"]) == {"503"}


def _of_subsets(stats: list[str]) -> list[str]:
    """Without gauges of tables: with subsets Envoy shows those of the one that it made last."""
    return [line for line in stats if "_lb." not in line]


# What is hashed, by the path that asks for it.
_POLICIES_OF_ROUTES: dict[str, list[Tree]] = {
    "header": [{"header": {"header_name": "X-Key"}}],
    "rewritten": [
        {
            "header": {
                "header_name": "x-key",
                "regex_rewrite": {
                    "pattern": {"regex": r"^([a-z]+)-(\d)\d*"},
                    "substitution": r"\2/\1",
                },
            }
        }
    ],
    "path": [{"header": {"header_name": ":path"}}],
    "authority": [{"header": {"header_name": ":authority"}}],
    "host": [{"header": {"header_name": "host"}}, {"header": {"header_name": "x-key"}}],
    "cookie": [{"cookie": {"name": "c"}}],
    "query": [{"query_parameter": {"name": "q"}}],
    "address": [{"connection_properties": {"source_ip": True}}],
    "two": [{"header": {"header_name": "x-key"}}, {"query_parameter": {"name": "q"}}],
    "twice": [{"header": {"header_name": "x-key"}}] * 2,
    "terminal": [
        {"cookie": {"name": "absent"}, "terminal": True},
        {"header": {"header_name": "x-key"}, "terminal": True},
        {"query_parameter": {"name": "q"}},
    ],
    "made": [{"cookie": {"name": "made", "ttl": "90.7s", "path": "/p"}}],
    "session": [
        {
            "cookie": {
                "name": "made",
                "ttl": "0s",
                "attributes": [{"name": "SameSite", "value": "Lax"}, {"name": "Secure"}],
            }
        }
    ],
}


def _requests() -> list[tuple[str, list[tuple[str, str]]]]:
    """Query and headers, so that every policy finds something."""
    requests = []
    for n in range(40):
        headers = [
            ("host", f"host-{n}.test"),
            ("x-key", f"key-{n}"),
            ("x-forwarded-for", f"10.0.0.{n}"),
            ("cookie", f"a=b;  c=value-{n}; d=e"),
            ("cookie", f"c=another; made=thing-{n}"),
        ]
        requests.append((f"?a=b&q=value%20{n}&q=2", headers))
    headers = [("host", "h"), ("x-key", "b"), ("x-key", "a"), ("x-forwarded-for", "::1")]
    requests.append(("?q", [*headers, ("cookie", 'c="quoted"; made="m"')]))
    headers = [("host", "h"), ("x-key", "a"), ("x-key", "b"), ("x-forwarded-for", "2001:db8::0:1")]
    requests.append(("?q=", [*headers, ("cookie", 'nothing; c=" ;made=x=y; c=z')]))
    return requests


def test_what_routes_hash(hosts: Hosts, tmp_path: Path) -> None:
    """`RouteAction.hash_policy`: the same hosts, and the same cookies for clients without one."""
    port, admin_port, client_port = free_port(), free_port(), free_port()
    five = [_host(n, hosts.port) for n in range(1, 6)]
    ring = _cluster("ring", five, lb_policy="RING_HASH")
    routes = [
        {"match": {"path": f"/{name}"}, "route": {"cluster": "ring", "hash_policy": policy}}
        for name, policy in _POLICIES_OF_ROUTES.items()
    ]
    manager = config.hcm(config.route_config("r", *routes))
    text = config.bootstrap(admin_port, [config.listener("in", port, manager)], [ring])

    def run(kind: str) -> dict[str, list[Any]]:
        seen: dict[str, list[Any]] = {}
        with Proxy(kind, text, tmp_path / kind, admin_port):
            # The made cookie's value is that of both addresses.
            conn = http.client.HTTPConnection(
                "127.0.0.1", port, timeout=20, source_address=("127.0.0.1", client_port)
            )
            for name in _POLICIES_OF_ROUTES:
                seen[name] = [_answer(conn, f"/{name}{query}", h) for query, h in _requests()]
            for name in ("made", "session"):
                seen[name].append(_answer(conn, f"/{name}", [("cookie", "made=")]))
                seen[name].append(_answer(conn, f"/{name}", []))
            assert conn.sock is not None
            reset(conn.sock)
        return seen

    envoy, ours = run(ENVOY), run(OURS)
    assert ours == envoy
    assert all(cookies for _, cookies in ours["made"][-2:])
    assert len({host for host, _ in ours["header"]}) == 5


def _answer(
    conn: http.client.HTTPConnection, target: str, headers: list[tuple[str, str]]
) -> tuple[str, list[str]]:
    """The host, and the cookies that it was told to keep."""
    conn.putrequest("GET", target, skip_host=any(name == "host" for name, _ in headers))
    for name, value in headers:
        conn.putheader(name, value)
    conn.endheaders()
    response = conn.getresponse()
    cookies = [value for name, value in response.getheaders() if name.lower() == "set-cookie"]
    return response.read().decode(), cookies


def test_tcp_source_ip(tmp_path: Path) -> None:
    """200 clients' addresses, for both tables, with weighted clusters and subsets."""
    by_ip: Tree = {"hash_policy": [{"source_ip": {}}]}
    prod = {"filter_metadata": {"envoy.lb": {"stage": "prod"}}}
    second = {"filter_metadata": {"envoy.lb": {"version": 2}}}
    with Hosts(http=False) as hosts:
        five = [_host(n, hosts.port, load_balancing_weight=n) for n in range(1, 6)]
        listed = {each["name"]: each for each in subsets(hosts.port)}
        clusters = [
            _cluster("ring", five, lb_policy="RING_HASH"),
            _cluster("maglev", five, lb_policy="MAGLEV"),
            listed["any"],
            listed["not_configured"],
        ]
        weighted: Tree = {
            "clusters": [{"name": "any", "weight": 1, "metadata_match": second}],
        }
        proxies: dict[str, Tree] = {
            "ring": {"cluster": "ring"},
            "maglev": {"cluster": "maglev"},
            "any": {"cluster": "any", "metadata_match": prod},
            "fallback": {"cluster": "any", "metadata_match": second},
            "weighted": {"weighted_clusters": weighted, "metadata_match": prod},
            "not_configured": {"cluster": "not_configured", "metadata_match": prod},
        }
        ports = {name: free_port() for name in proxies}
        admin_port = free_port()
        listeners = []
        for name, proxy in proxies.items():
            terminal = tls_config.tcp_proxy(stat_prefix=name, **by_ip, **proxy)
            listeners.append(tls_config.listener(name, ports[name], tls_config.chain(terminal)))
        text = config.bootstrap(admin_port, listeners, clusters)

        def run(kind: str) -> dict[str, list[bytes]]:
            with Proxy(kind, text, tmp_path / kind, admin_port):
                return {
                    name: [_told(port, f"127.0.1.{n}") for n in range(1, 201)]
                    for name, port in ports.items()
                }

        envoy, ours = run(ENVOY), run(OURS)
    assert ours == envoy
    assert len(set(ours["ring"])) == len(set(ours["maglev"])) == 5
    assert set(ours["weighted"]) == {b"127.0.0.12"}
    assert len(set(ours["not_configured"])) == 5


def _told(port: int, client: str) -> bytes:
    """What a client with that address gets."""
    with socket.create_connection(("127.0.0.1", port), 20, (client, 0)) as conn:
        return read_all(conn)
