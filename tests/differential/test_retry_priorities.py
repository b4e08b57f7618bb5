"""Which priorities retries go to (`previous_priorities`), ours against the stock Envoy.

Every host answers 503, and remembers for which request; what is compared is the way of each request.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from tests.support import config
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import TcpServer

Tree = dict[str, Any]
_T = "type.googleapis.com/envoy.extensions.retry."
_H, _U, _D = "HEALTHY", "UNHEALTHY", "DEGRADED"
#: So many standard deviations may a share be off.
_SIGMAS = 5.8


class Refusing(TcpServer):
    """Answers 503 on all of 127.0.0.0/8. `ways`: of each request (`x-id`), which of
    127.0.<priority + 1>.<host> it went to, as `<priority>` or `<priority>.<host>`."""

    def __init__(self) -> None:
        self.ways: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        self._lock = threading.Lock()
        super().__init__(self._answer, listener=socket.create_server(("0.0.0.0", 0), backlog=512))

    def _answer(self, conn: socket.socket) -> None:
        _, _, third, last = str(conn.getsockname()[0]).split(".")
        pending = b""
        while data := conn.recv(65536):
            pending += data
            while b"\r\n\r\n" in pending:
                head, _, pending = pending.partition(b"\r\n\r\n")
                name = head.partition(b"x-id: ")[2].partition(b"\r\n")[0].decode()
                with self._lock:
                    self.ways[name].append((str(int(third) - 1), last))
                conn.sendall(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")


def _group(priority: int, *health: str, first: int = 1, **more: Any) -> Tree:
    hosts: list[Tree] = [
        {"endpoint": {"address": f"127.0.{priority + 1}.{n}"}, "health_status": state, **more}
        for n, state in enumerate(health, first)
    ]
    return {"priority": priority, "lb_endpoints": hosts}


def _policy(frequency: int, retries: int = 7, **more: Any) -> Tree:
    priorities = {
        "@type": _T + "priority.previous_priorities.v3.PreviousPrioritiesConfig",
        "update_frequency": frequency,
    }
    return {
        "retry_on": "5xx",
        "num_retries": retries,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"},
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": priorities,
        },
        **more,
    }


_PREVIOUS_HOSTS: Tree = {
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": _T + "host.previous_hosts.v3.PreviousHostsPredicate"},
        }
    ],
    "host_selection_retry_max_attempts": 5,
}
_STAGE: Tree = {"metadata": {"filter_metadata": {"envoy.lb": {"stage": "prod"}}}}
_SUBSETS: Tree = {
    "lb_subset_config": {
        "fallback_policy": "ANY_ENDPOINT",
        "subset_selectors": [{"keys": ["stage"]}],
    }
}

#: Groups of hosts, the policy, the way of priorities, fields of the cluster and of the route.
_WAYS: dict[str, tuple[list[Tree], Tree, str, Tree, Tree]] = {
    "three": ([_group(0, _H), _group(1, _H), _group(2, _H)], _policy(1), "01201201", {}, {}),
    "every_second": (
        [_group(0, _H), _group(1, _H), _group(2, _H)],
        _policy(2),
        "00112200",
        {},
        {},
    ),
    "every_third": ([_group(0, _H), _group(1, _H)], _policy(3), "00011100", {}, {}),
    "rarely": ([_group(0, _H), _group(1, _H)], _policy(9), "00000000", {}, {}),
    "without": (
        [_group(0, _H), _group(1, _H)],
        {"retry_on": "5xx", "num_retries": 3},
        "0000",
        {},
        {},
    ),
    "gap": ([_group(1, _H), _group(4, _H)], _policy(1), "14141414", {}, {}),
    "only_one": ([_group(0, _H, _H)], _policy(1), "00000000", {}, {}),
    "sick_between": (
        [_group(0, _H), _group(1, _U), _group(2, _H)],
        _policy(1),
        "02020202",
        {},
        {},
    ),
    "degraded_behind": ([_group(0, _H), _group(1, _D)], _policy(1), "01010101", {}, {}),
    "istio": (
        [_group(0, _H, _H), _group(1, _H, _H), _group(2, _H, _H)],
        _policy(2, 5, **_PREVIOUS_HOSTS),
        "001122",
        {},
        {},
    ),
    "random": ([_group(0, _H), _group(1, _H)], _policy(1), "01010101", {"lb_policy": "RANDOM"}, {}),
    "least": (
        [_group(0, _H), _group(1, _H)],
        _policy(1),
        "01010101",
        {"lb_policy": "LEAST_REQUEST"},
        {},
    ),
    # A table asks nobody but the hash.
    "ring": (
        [_group(0, _H), _group(1, _H)],
        _policy(1),
        "00000000",
        {"lb_policy": "RING_HASH"},
        {},
    ),
    "maglev": ([_group(0, _H), _group(1, _H)], _policy(1), "00000000", {"lb_policy": "MAGLEV"}, {}),
    # Among the hosts of the subset.
    "subset": (
        [_group(0, _H), _group(1, _H, **_STAGE), _group(2, _H), _group(3, _H, **_STAGE)],
        _policy(1),
        "13131313",
        _SUBSETS,
        {"metadata_match": _STAGE["metadata"]},
    ),
}

#: Shares of ways that chance makes, per cent.
_CHANCES: dict[str, tuple[list[Tree], Tree, dict[str, float]]] = {
    # 100 %; without it 70 % and what is left.
    "what_is_left": (
        [_group(0, _H), _group(1, _H, _U), _group(2, _H)],
        _policy(1, 1),
        {"01": 70, "02": 30},
    ),
    "all_of_what_is_left": (
        [_group(0, _H, _U), _group(1, _H)],
        _policy(1, 2),
        {"010": 70 * 0.7, "011": 70 * 0.3, "100": 30 * 0.7, "101": 30 * 0.3},
    ),
    # Not enough is left: 35 % and 35 % share all of it.
    "little_is_left": (
        [_group(0, _H), _group(1, _H, _U, _U, _U), _group(2, _H, _U, _U, _U)],
        _policy(1, 1),
        {"01": 50, "02": 50},
    ),
    "health_comes_first": (
        [_group(0, _H), _group(1, _D, _U), _group(2, _H, _U, _U, _U)],
        _policy(1, 1),
        {"01": 65, "02": 35},
    ),
    "nobody_can": (
        [_group(0, _U), _group(1, _U)],
        _policy(1, 1),
        {"00": 25, "01": 25, "10": 25, "11": 25},
    ),
}
_REQUESTS = 400


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Counter[str]]]]:
    """By proxy and cluster, how many requests went which way."""
    folder = tmp_path_factory.mktemp("retry_priorities")
    hosts = Refusing()
    with hosts:
        yield {kind: _run(kind, hosts, folder / kind) for kind in (ENVOY, OURS)}


def _run(kind: str, hosts: Refusing, folder: Path) -> dict[str, Counter[str]]:
    hosts.ways.clear()
    port, admin_port = free_port(), free_port()
    clusters, routes = [], []
    cases = _WAYS | {
        name: (groups, policy, "", {}, {}) for name, (groups, policy, _) in _CHANCES.items()
    }
    for name, (groups, policy, _, of_cluster, of_route) in cases.items():
        assignment: Tree = {"cluster_name": name, "endpoints": json.loads(json.dumps(groups))}
        for group in assignment["endpoints"]:
            for host in group["lb_endpoints"]:
                address = host["endpoint"]["address"]
                host["endpoint"] = {"address": config.address(hosts.port, address)}
        clusters.append({**config.cluster(name), "load_assignment": assignment, **of_cluster})
        hashed = {"hash_policy": [{"header": {"header_name": "x-key"}}]}
        routes.append(
            {
                "match": {"path": f"/{name}"},
                "route": {"cluster": name, "retry_policy": policy, **hashed, **of_route},
            }
        )
    manager = config.hcm(config.route_config("r", *routes))
    text = config.bootstrap(admin_port, [config.listener("in", port, manager)], clusters)
    with (
        Proxy(kind, text, folder, admin_port),
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as conn,
    ):
        for name in cases:
            for number in range(_REQUESTS if name in _CHANCES else 20):
                headers = {"x-id": f"{name} {number}", "x-key": "same"}
                conn.request("GET", f"/{name}", headers=headers)
                response = conn.getresponse()
                response.read()
                assert response.status == 503
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for request, way in hosts.ways.items():
        name = request.split()[0]
        found[name]["".join(priority for priority, _ in way)] += 1
        if name == "istio":
            # Nor the same host twice.
            assert len(set(way)) == len(way), f"{kind}: {way}"
    return found


@pytest.mark.parametrize("case", _WAYS)
def test_the_way_of_every_request(case: str, ways: dict[str, dict[str, Counter[str]]]) -> None:
    expected = _WAYS[case][2]
    assert ways[ENVOY][case] == {expected: 20}
    assert ways[OURS][case] == {expected: 20}


@pytest.mark.parametrize("case", _CHANCES)
def test_shares_among_what_is_left(case: str, ways: dict[str, dict[str, Counter[str]]]) -> None:
    shares = _CHANCES[case][2]
    for kind in (ENVOY, OURS):
        found = ways[kind][case]
        assert set(found) == set(shares), f"{kind}: {found}"
        for way, share in shares.items():
            part = share / 100
            bound = _SIGMAS * sqrt(_REQUESTS * part * (1 - part))
            assert abs(found[way] - _REQUESTS * part) <= bound, f"{kind}: {found}"
