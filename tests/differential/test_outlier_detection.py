"""Outlier detection, ours against the stock Envoy: who is out, who is not, what is counted.

Every case has a cluster of its own in one proxy. Requests say which host does what
(`tests/support/moody.py`); hosts are asked by turns, so that after as many rounds each has failed
as often. Then who still serves, the statistics, `/clusters` and the log of ejections are the same
in both.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import config, h2peer, tls_config
from tests.support.logs import whole_lines
from tests.support.moody import Moody
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import wait_for

Tree = dict[str, Any]
_FIRST = "127.0.0.11"


def _address(number: int) -> str:
    return f"127.0.0.{10 + number}"


@dataclass(frozen=True)
class Case:
    """`rounds` of requests to all hosts with this plan, until `seen` is counted; then `quiet` ones
    to find out who serves."""

    outliers: Tree
    plan: str = f"{_FIRST}=500"
    rounds: int = 3
    # (counter, value): comes by itself, or with more rounds where those of one interval count.
    seen: tuple[str, int] | None = None
    hosts: int = 3
    cluster: Tree = field(default_factory=dict)
    route: Tree = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    # Of the first host instead of the servers': nobody listens there.
    nobody: bool = False
    # Until it is seen: so many requests at a time. For an interval enough of them, wherever it
    # begins.
    at_a_time: int = 0
    # Which one of several is out is chance: they are counted only.
    any_host: bool = False
    # Tunnels instead of requests, and so many attempts each.
    attempts: int = 0
    # Nobody is out and the first host goes on failing: how many more rows of failures are seen
    # depends on when the main thread begins the next one.
    goes_on: bool = False
    # In the end all are back.
    comes_back: bool = False


_ALL = {"max_ejection_percent": 100}
_5XX = ("ejections_detected_consecutive_5xx", 1)
_GATEWAY = ("ejections_detected_consecutive_gateway_failure", 1)
_LOCAL = ("ejections_detected_consecutive_local_origin_failure", 1)
_GATEWAY_ONLY = {
    **_ALL,
    "consecutive_5xx": 0,
    "consecutive_gateway_failure": 2,
    "enforcing_consecutive_gateway_failure": 100,
}
_SPLIT = {
    **_ALL,
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 2,
    "consecutive_5xx": 2,
}
_NO_ROWS = {**_ALL, "consecutive_5xx": 0, "interval": "1s"}
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _errors(*statuses: int) -> Tree:
    """A cluster whose hosts fail with these statuses, and with no others."""
    rules = [
        {
            "http_response_headers_match": {
                "headers": [{"name": ":status", "string_match": {"exact": str(status)}}]
            }
        }
        for status in statuses
    ]
    options = {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http_protocol_options": {}},
        "outlier_detection": {
            "error_matcher": {"or_match": {"rules": rules}} if rules[1:] else rules[0]
        },
    }
    return {"typed_extension_protocol_options": {_HTTP_OPTIONS: options}}


_RING: Tree = {
    "lb_policy": "RING_HASH",
    "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
}
_BY_KEY: Tree = {"hash_policy": [{"header": {"header_name": "x-key"}}]}
_RETRY: Tree = {"retry_policy": {"retry_on": "5xx", "num_retries": 1}}
_TIMEOUT: Tree = {"timeout": "0.1s"}
_GRPC = {"content-type": "application/grpc"}
_ALT = {"x-envoy-upstream-rq-timeout-alt-response": "1"}
_FIRST_TWO = f"{_FIRST}=500,{_address(2)}=500"
_FIRST_THREE = f"{_FIRST_TWO},{_address(3)}=500"


CASES: dict[str, Case] = {
    "five_in_a_row": Case(_ALL, rounds=5, seen=_5XX),
    "four_in_a_row": Case(_ALL, rounds=4),
    "ten_per_cent": Case({}, rounds=5, seen=_5XX),
    "always_one": Case({"always_eject_one_host": True}, rounds=5, seen=_5XX),
    "half": Case(
        {"max_ejection_percent": 50, "consecutive_5xx": 2},
        plan=_FIRST_TWO,
        at_a_time=1,
        seen=("ejections_overflow", 1),
        any_host=True,
    ),
    "not_enforced": Case({**_ALL, "enforcing_consecutive_5xx": 0}, rounds=5, seen=_5XX),
    "gateway": Case(_GATEWAY_ONLY, plan=f"{_FIRST}=503", rounds=2, seen=_GATEWAY),
    "gateway_504": Case(_GATEWAY_ONLY, plan=f"{_FIRST}=504", rounds=2, seen=_GATEWAY),
    "no_gateway": Case(_GATEWAY_ONLY, plan=f"{_FIRST}=500"),
    "no_gateway_505": Case(_GATEWAY_ONLY, plan=f"{_FIRST}=505"),
    "no_failure": Case({**_ALL, "consecutive_5xx": 1}, plan=f"{_FIRST}=404"),
    "listed": Case(
        {**_ALL, "consecutive_5xx": 2},
        plan=f"{_FIRST}=429",
        rounds=2,
        cluster=_errors(429),
        seen=_5XX,
    ),
    "one_of_the_list": Case(
        {**_ALL, "consecutive_5xx": 2},
        plan=f"{_FIRST}=429",
        rounds=2,
        cluster=_errors(418, 429),
        seen=_5XX,
    ),
    "not_in_the_list": Case(
        {**_ALL, "consecutive_5xx": 2}, plan=f"{_FIRST}=500", cluster=_errors(418, 429)
    ),
    "listed_gateway_failure": Case(
        {**_GATEWAY_ONLY, "consecutive_5xx": 2},
        plan=f"{_FIRST}=503",
        rounds=2,
        cluster=_errors(503),
        seen=_GATEWAY,
    ),
    "not_in_the_list_but_of_grpc": Case(
        {**_ALL, "consecutive_5xx": 2},
        plan=f"{_FIRST}=grpc-14",
        rounds=2,
        headers=_GRPC,
        cluster=_errors(429, 503),
        seen=_5XX,
    ),
    "listed_of_grpc": Case(
        _GATEWAY_ONLY,
        plan=f"{_FIRST}=grpc-14,{_address(2)}=200,{_address(3)}=200",
        rounds=2,
        headers=_GRPC,
        cluster=_errors(200),
        seen=_GATEWAY,
    ),
    "closed_with_a_list": Case(
        _GATEWAY_ONLY, plan=f"{_FIRST}=close", rounds=2, cluster=_errors(429), seen=_GATEWAY
    ),
    "grpc": Case(_GATEWAY_ONLY, plan=f"{_FIRST}=grpc-14", rounds=2, headers=_GRPC, seen=_GATEWAY),
    "grpc_internal": Case(
        {**_ALL, "consecutive_5xx": 2},
        plan=f"{_FIRST}=grpc-13",
        rounds=2,
        headers=_GRPC,
        seen=_5XX,
    ),
    "grpc_not_found": Case({**_ALL, "consecutive_5xx": 2}, plan=f"{_FIRST}=grpc-5", headers=_GRPC),
    "no_grpc": Case({**_ALL, "consecutive_5xx": 2}, plan=f"{_FIRST}=grpc-14"),
    "closed": Case(_GATEWAY_ONLY, plan=f"{_FIRST}=close", rounds=2, seen=_GATEWAY),
    "closed_split": Case(_SPLIT, plan=f"{_FIRST}=close", rounds=2),
    "refused": Case(_GATEWAY_ONLY, nobody=True, rounds=2, seen=_GATEWAY),
    "refused_split": Case(_SPLIT, nobody=True, rounds=2, seen=_LOCAL),
    "refused_split_not_enforced": Case(
        {**_SPLIT, "enforcing_consecutive_local_origin_failure": 0},
        nobody=True,
        goes_on=True,
        rounds=2,
        seen=_LOCAL,
    ),
    "answers_split": Case(_SPLIT, rounds=2, seen=_5XX),
    "late": Case(_GATEWAY_ONLY, plan=f"{_FIRST}=hang", rounds=2, route=_TIMEOUT, seen=_GATEWAY),
    "late_split": Case(_SPLIT, plan=f"{_FIRST}=hang", rounds=2, route=_TIMEOUT),
    "late_alt": Case(
        {**_ALL, "consecutive_5xx": 1},
        plan=f"{_FIRST}=hang",
        rounds=2,
        route=_TIMEOUT,
        headers=_ALT,
    ),
    "retried": Case({**_ALL, "consecutive_5xx": 3}, rounds=2, hosts=1, route=_RETRY, seen=_5XX),
    "ring": Case(
        {**_ALL, "consecutive_5xx": 2},
        rounds=6,
        hosts=4,
        cluster=_RING,
        route=_BY_KEY,
        seen=_5XX,
    ),
    "maglev": Case(
        {**_ALL, "consecutive_5xx": 2},
        rounds=6,
        hosts=4,
        cluster={**_RING, "lb_policy": "MAGLEV"},
        route=_BY_KEY,
        seen=_5XX,
    ),
    "random": Case(
        {**_ALL, "consecutive_5xx": 1},
        rounds=10,
        hosts=2,
        cluster={"lb_policy": "RANDOM"},
        seen=_5XX,
    ),
    "panic": Case(
        {**_ALL, "consecutive_5xx": 2},
        plan=_FIRST_THREE,
        at_a_time=1,
        hosts=4,
        seen=("ejections_enforced_total", 3),
    ),
    "nobody_left": Case(
        {**_ALL, "consecutive_5xx": 2},
        rounds=2,
        hosts=1,
        cluster={"common_lb_config": {"healthy_panic_threshold": {"value": 0}}},
        seen=_5XX,
    ),
    "success_rate": Case(
        {
            **_NO_ROWS,
            "success_rate_minimum_hosts": 4,
            "success_rate_request_volume": 4,
            "success_rate_stdev_factor": 1000,
        },
        hosts=4,
        at_a_time=48,
        seen=("ejections_enforced_success_rate", 1),
    ),
    "failure_percentage": Case(
        {
            **_NO_ROWS,
            "success_rate_minimum_hosts": 10,
            "failure_percentage_minimum_hosts": 3,
            "failure_percentage_request_volume": 4,
            "failure_percentage_threshold": 50,
            "enforcing_failure_percentage": 100,
        },
        at_a_time=48,
        seen=("ejections_enforced_failure_percentage", 1),
    ),
    "failure_percentage_local": Case(
        {
            **_NO_ROWS,
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 0,
            "success_rate_minimum_hosts": 10,
            "failure_percentage_minimum_hosts": 3,
            "failure_percentage_request_volume": 4,
            "failure_percentage_threshold": 50,
            "enforcing_failure_percentage_local_origin": 100,
        },
        nobody=True,
        at_a_time=48,
        seen=("ejections_enforced_local_origin_failure_percentage", 1),
    ),
    "success_rate_local": Case(
        {
            **_NO_ROWS,
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 0,
            "success_rate_minimum_hosts": 4,
            "success_rate_request_volume": 4,
            "success_rate_stdev_factor": 1000,
        },
        hosts=4,
        nobody=True,
        at_a_time=48,
        seen=("ejections_enforced_local_origin_success_rate", 1),
    ),
    "comes_back": Case(
        {**_ALL, "consecutive_5xx": 2, "interval": "0.1s", "base_ejection_time": "0.1s"},
        rounds=2,
        seen=_5XX,
        comes_back=True,
    ),
    "tunnel": Case({**_ALL, "consecutive_5xx": 2}, nobody=True, attempts=1, rounds=2, seen=_5XX),
    "tunnel_gateway": Case(_GATEWAY_ONLY, nobody=True, attempts=1, rounds=2, seen=_GATEWAY),
    "tunnel_again": Case(
        {**_ALL, "consecutive_5xx": 2}, nobody=True, attempts=2, rounds=3, seen=_5XX
    ),
    "tunnel_split": Case(_SPLIT, nobody=True, attempts=1, rounds=2, seen=_LOCAL),
    # What comes through it is nobody's business.
    "tunnel_of_failures": Case({**_ALL, "consecutive_5xx": 1}, attempts=1),
    "tunnel_that_ends": Case(_SPLIT, plan=f"{_FIRST}=close", attempts=1),
}


def _cluster(name: str, case: Case, port: int, nobody: int) -> Tree:
    def endpoint(number: int) -> Tree:
        at = nobody if case.nobody and number == 1 else port
        return {"endpoint": {"address": config.address(at, _address(number))}}

    hosts = [endpoint(number) for number in range(1, case.hosts + 1)]
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}
    more = {"outlier_detection": case.outliers, **case.cluster}
    # Else Envoy's workers hear of a second ejection up to a second later.
    balancing = {**case.cluster.get("common_lb_config", {}), "update_merge_window": "0s"}
    more["common_lb_config"] = balancing
    return {**config.cluster(name), "load_assignment": assignment, **more}


class Bench:
    """A proxy with all cases, one connection and the hosts behind it."""

    def __init__(self, proxy: Proxy, port: int, tunnels: dict[str, int]) -> None:
        self.proxy = proxy
        self.tunnels = tunnels
        self.conn = _to(port)

    def get(self, name: str, headers: dict[str, str]) -> str:
        """Who answered with 200, or the status."""
        if name not in self.tunnels:
            return _said(self.conn, f"/{name}/", headers)
        with closing(_to(self.tunnels[name])) as conn:
            try:
                return _said(conn, "/", headers)
            except (ConnectionError, http.client.HTTPException):
                return "closed"

    def run(self, name: str, case: Case) -> dict[str, Any]:
        """Everything that both proxies have to agree on."""
        bad = {"x-plan": case.plan, **case.headers}

        def ask(count: int, headers: dict[str, str]) -> list[str]:
            requests = [{**headers, "x-key": f"{n}"} for n in range(count)]
            return [self.get(name, each) for each in requests]

        ask(case.at_a_time or case.rounds * case.hosts, bad)
        if case.seen:
            counter, least = case.seen
            stat = f"cluster.{name}.outlier_detection.{counter}"
            while case.at_a_time and (self.proxy.stat(stat) or 0) < least:
                ask(case.at_a_time, bad)
            self.proxy.wait_stat(stat, least)
        if case.comes_back:
            active = f"cluster.{name}.outlier_detection.ejections_active"
            wait_for(lambda: self.proxy.stat(active) == 0, f"{name}: all to come back")
        quiet = [] if case.goes_on else ask(8 * case.hosts, {})
        serves: Any = sorted(set(quiet))
        if case.route is _BY_KEY:
            serves = quiet
        return {
            "serves": len(serves) if case.any_host else serves,
            "stats": self.stats(name),
            "flags": sorted(self.flags(name, case)),
        }

    def stats(self, name: str) -> list[str]:
        """Those of outliers, and how many are healthy."""
        prefix = f"cluster.{name}."
        wanted = (f"{prefix}outlier_detection.", f"{prefix}membership_")
        lines = self.proxy.admin("GET", "/stats")[1].splitlines()
        return [line for line in lines if line.startswith(wanted)]

    def flags(self, name: str, case: Case) -> list[str]:
        """Of each host."""
        lines = self.proxy.admin("GET", "/clusters")[1].splitlines()
        lines = [line for line in lines if line.startswith(f"{name}::")]
        flags = [line for line in lines if "::health_flags::" in line]
        return [line.rpartition("::")[2] for line in flags] if case.any_host else flags


def _to(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=20)


def _said(conn: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> str:
    conn.request("GET", path, headers=headers)
    response = conn.getresponse()
    body = response.read().decode()
    return body if response.status == 200 else f"{response.status}"


def _events(log: Path, name: str, case: Case) -> list[Tree]:
    """What was logged of a cluster, host by host. Times are each proxy's own; the slower one has
    some hosts back."""
    events = [json.loads(line) for line in whole_lines(log)]
    events = [event for event in events if event["cluster_name"] == name]
    for event in events:
        assert len(event.pop("timestamp")) >= len("2026-01-01T00:00:00Z")
        if "secs_since_last_action" in event:
            assert int(event.pop("secs_since_last_action")) >= 0
            event["is_not_the_first"] = True
    events.sort(key=lambda event: str(event["upstream_url"]))
    for event in events if case.any_host else []:
        del event["upstream_url"]
    return [event for event in events if case.comes_back or event["action"] == "EJECT"]


@pytest.fixture(scope="module")
def moody() -> Iterator[Moody]:
    with Moody() as hosts:
        yield hosts


@pytest.fixture(scope="module")
def observed(
    moody: Moody, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, dict[str, Any]]]:
    """What both proxies did, by kind and case."""
    nobody = free_port()
    clusters = [_cluster(name, case, moody.port, nobody) for name, case in CASES.items()]
    requests = {name: case for name, case in CASES.items() if not case.attempts}
    routes = [config.route(f"/{name}/", name, **case.route) for name, case in requests.items()]

    def run(kind: str) -> dict[str, dict[str, Any]]:
        port, admin_port = free_port(), free_port()
        manager = config.hcm(config.route_config("r", *routes))
        listeners = [config.listener("in", port, manager)]
        tunnels = {name: free_port() for name, case in CASES.items() if case.attempts}
        for name, own in tunnels.items():
            tcp = tls_config.tcp_proxy(name, max_connect_attempts=CASES[name].attempts)
            listeners.append(tls_config.listener(name, own, tls_config.chain(tcp)))
        folder = tmp_path_factory.mktemp(kind)
        log = folder / "ejections.log"
        logged = {"outlier_detection": {"event_log_path": str(log)}}
        text = config.bootstrap(admin_port, listeners, clusters, cluster_manager=logged)
        with Proxy(kind, text, folder, admin_port) as proxy:
            bench = Bench(proxy, port, tunnels)
            with closing(bench.conn):
                found = {name: bench.run(name, case) for name, case in CASES.items()}
            proxy.terminate()
            proxy.wait_exit()
        for name, case in CASES.items():
            found[name]["events"] = _events(log, name, case)
        return found

    return {kind: run(kind) for kind in (ENVOY, OURS)}


@pytest.mark.parametrize("name", CASES)
def test_the_same_hosts_are_out(name: str, observed: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Who serves afterwards, what is counted and logged, what `/clusters` says."""
    assert observed[OURS][name] == observed[ENVOY][name]


# Over HTTP/2: how the host answers, its cluster, what is counted then.
_GRPC_HEAD = [(":status", "200"), ("content-type", "application/grpc")]
_UNAVAILABLE = ("grpc-status", "14")
STREAMS: dict[str, tuple[h2peer.Answer, Tree, tuple[str, int] | None]] = {
    "answered": (h2peer.Answer(([(":status", "500")],)), {**_ALL, "consecutive_5xx": 2}, _5XX),
    "reset": (h2peer.Answer((("reset", 2),)), _GATEWAY_ONLY, _GATEWAY),
    "reset_split": (h2peer.Answer((("reset", 2),)), _SPLIT, None),
    "refused": (h2peer.Answer((("reset", 7),)), _GATEWAY_ONLY, _GATEWAY),
    "closed": (h2peer.Answer(("close",)), _GATEWAY_ONLY, _GATEWAY),
    "half": (
        h2peer.Answer(([(":status", "200")], b"ha", ("reset", 2))),
        {**_ALL, "consecutive_5xx": 1},
        _5XX,
    ),
    "grpc": (h2peer.Answer(([*_GRPC_HEAD, _UNAVAILABLE],)), _GATEWAY_ONLY, _GATEWAY),
    "grpc_trailers": (
        h2peer.Answer((_GRPC_HEAD, b"", [_UNAVAILABLE])),
        {**_ALL, "consecutive_5xx": 1},
        None,
    ),
}


def test_streams_of_http2_are_judged_alike(tmp_path: Path) -> None:
    """Two requests each; whatever they come to is counted by both."""

    def run(kind: str, upstream: h2peer.Upstream) -> dict[str, list[str]]:
        port, admin_port = free_port(), free_port()
        clusters, routes = [], []
        for name, (answer, outliers, _) in STREAMS.items():
            upstream.by_path[f"/{name}/"] = answer
            more = {"outlier_detection": outliers, **tls_config.http2()}
            clusters.append(config.cluster(name, upstream.port, **more))
            routes.append(config.route(f"/{name}/", name))
        manager = config.hcm(config.route_config("r", *routes))
        text = config.bootstrap(admin_port, [config.listener("in", port, manager)], clusters)
        found = {}
        with Proxy(kind, text, tmp_path / kind, admin_port) as proxy:
            for name, (_, _, seen) in STREAMS.items():
                for _ in range(2):
                    with closing(_to(port)) as conn:
                        try:
                            _said(conn, f"/{name}/", _GRPC if "grpc" in name else {})
                        except (ConnectionError, http.client.HTTPException):
                            assert name == "half"
                prefix = f"cluster.{name}.outlier_detection."
                if seen:
                    proxy.wait_stat(prefix + seen[0], seen[1])
                lines = proxy.admin("GET", "/stats")[1].splitlines()
                found[name] = [line for line in lines if line.startswith(prefix)]
        return found

    with h2peer.Upstream() as upstream:
        expected, ours = (run(kind, upstream) for kind in (ENVOY, OURS))
    assert ours == expected


@pytest.mark.parametrize("closes", [False, True])
def test_tunnels_end_with_their_hosts_ejection_where_that_is_asked(
    closes: bool, moody: Moody, tmp_path: Path
) -> None:
    """`close_connections_on_host_health_failure`: of TCP; who sends requests is not cut off."""

    def run(kind: str) -> dict[str, Any]:
        port, tcp_port, admin_port = free_port(), free_port(), free_port()
        case = Case({**_ALL, "consecutive_5xx": 2})
        cluster = _cluster("one", case, moody.port, 0)
        cluster["close_connections_on_host_health_failure"] = closes
        manager = config.hcm(config.route_config("r", config.route("/", "one")))
        chain = tls_config.chain(tls_config.tcp_proxy("one"))
        listeners = [
            config.listener("in", port, manager),
            tls_config.listener("tcp", tcp_port, chain),
        ]
        text = config.bootstrap(admin_port, listeners, [cluster])
        with Proxy(kind, text, tmp_path / kind, admin_port) as proxy:
            tunnels = [_to(tcp_port) for _ in range(case.hosts)]
            by_host = {_said(tunnel, "/", {}): tunnel for tunnel in tunnels}
            for tunnel in tunnels:
                tunnel.auto_open = 0
            assert len(by_host) == case.hosts
            with closing(_to(port)) as conn:
                for _ in range(2 * case.hosts):
                    _said(conn, "/", {"x-plan": f"{_FIRST}=500"})
                proxy.wait_stat("cluster.one.outlier_detection.ejections_active", 1)
                if closes:
                    assert by_host[_FIRST].sock.recv(1) == b""
                else:
                    proxy.wait_stat("cluster.one.upstream_cx_destroy", 1)
                alive = [_is_alive(by_host[host], host) for host in sorted(by_host)]
                requests = _said(conn, "/", {})
            for tunnel in tunnels:
                tunnel.close()
        return {"alive": alive, "requests": requests != "503"}

    expected = {"alive": [not closes, True, True], "requests": True}
    assert run(ENVOY) == expected
    assert run(OURS) == expected


def _is_alive(tunnel: http.client.HTTPConnection, host: str) -> bool:
    try:
        return _said(tunnel, "/", {}) == host
    except (ConnectionError, http.client.HTTPException):
        return False
