"""Discovery, the configurations peers get, and small parsers."""

import json
from pathlib import Path

import pytest

from bench import peer, scenario
from bench.cli import parser
from bench.environment import cpu_model
from bench.envoy_config import bootstrap
from bench.errors import BenchError
from bench.load_scenario import LoadScenario
from bench.loadgen import LoadResult
from bench.loads import Load
from bench.peers.haproxy import Here as Haproxy
from bench.peers.nginx import Here as Nginx
from bench.scenario import Round
from bench.scenarios.h1_1k import Here as OneK
from bench.site import Setup, Site
from bench.syscalls import parse_summary

STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 75.51    0.438035          10     40000           sendto
------ ----------- ----------- --------- --------- ----------------
100.00    0.580133           7     81372        38 total
"""
ANSWER = """{"ok": 2, "ok_in_all": 3, "seconds": 2.0, "rps": 1.0, "statuses": {"200": 2},
 "errors": {}, "mismatches": 0, "unfinished": 0, "latency_us": {"p50": 7.5}, "lag_us": {},
 "own_cpu_seconds": 0.5}"""


def site(tmp_path: Path, setup: Setup) -> Site:
    return Site(setup, listen=1001, admin=1002, upstream=1003, folder=tmp_path)


def test_a_file_is_enough_to_add_a_peer_or_a_scenario() -> None:
    assert set(peer.discover()) == {"ours", "envoy", "nginx", "haproxy", "direct"}
    assert {"h1-small", "h1-1k", "routes-5000", "idle-10k"} <= set(scenario.discover())


def test_every_bar_is_on_a_figure_of_its_scenario() -> None:
    for made in scenario.choose([]):
        assert {bar.figure for bar in made.bars} <= {figure.key for figure in made.figures}


def test_unknown_names_are_told_with_what_there_is() -> None:
    with pytest.raises(BenchError, match=r"'h2'.*h1-small"):
        scenario.choose(["h2"])
    with pytest.raises(BenchError, match=r"'caddy'.*nginx"):
        peer.choose(["caddy"])


def test_the_bootstrap_has_all_routes_and_clusters(tmp_path: Path) -> None:
    made = json.loads(bootstrap(site(tmp_path, Setup(routes=6, clusters=3))))
    resources = made["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    assert [cluster["name"] for cluster in resources["clusters"]] == ["c0", "c1", "c2"]
    assert routes[5] == {"match": {"prefix": "/svc-5/"}, "route": {"cluster": "c2"}}


def test_one_route_takes_everything() -> None:
    assert Setup().prefixes() == [("/", 0)]


def test_nginx_gets_every_route(tmp_path: Path) -> None:
    Nginx().command(site(tmp_path, Setup(routes=2, clusters=2)))
    text = (tmp_path / "nginx.conf").read_text()
    assert "location /svc-1/ { proxy_pass http://c1; }" in text
    assert "server 127.0.0.1:1003;" in text


def test_haproxy_finds_routes_in_a_map(tmp_path: Path) -> None:
    Haproxy().command(site(tmp_path, Setup(routes=2, clusters=2)))
    assert (tmp_path / "routes.map").read_text() == "/svc-0/ c0\n/svc-1/ c1\n"
    assert "backend c1" in (tmp_path / "haproxy.cfg").read_text()


def test_load_arguments() -> None:
    words = Load(connections=8, path="/x", body_size=5, rate=100, new_connections=True).arguments()
    assert words[:4] == ["--connections", "8", "--path", "/x"]
    assert words[-5:] == ["--body-size", "5", "--rate", "100", "--new-connection-per-request"]


def test_load_result() -> None:
    result = LoadResult.parse(ANSWER)
    assert (result.ok, result.latency_us["p50"], result.own_cpu_us) == (2, 7.5, 5e5)


def test_strace_summary_with_and_without_errors() -> None:
    assert parse_summary(STRACE) == 81372
    assert parse_summary(STRACE.replace("        38 total", "           total")) == 81372
    assert parse_summary("nothing") == 0


def test_added_latency_is_over_direct_in_the_same_round() -> None:
    row = {"direct": Round({"p50": 50, "p99": 90}), "ours": Round({"p50": 80, "p99": 190})}
    OneK().compare(row)
    assert (row["ours"].figures["added_p50"], row["ours"].figures["added_p99"]) == (30, 100)
    alone = {"ours": Round({"p50": 80, "p99": 190})}
    OneK().compare(alone)
    assert "added_p50" not in alone["ours"].figures


def test_load_scenarios_share_their_figures() -> None:
    keys = [figure.key for figure in LoadScenario.figures]
    assert len(keys) == len(set(keys))
    assert {"cpu_us", "rps", "p50", "p99_9", "rss_idle", "syscalls"} <= set(keys)


def test_command_line_defaults_to_all_peers() -> None:
    options = parser().parse_args(["h1-small", "--rounds", "7"])
    assert options.scenarios == ["h1-small"]
    assert options.rounds == 7
    assert options.peers == "ours,envoy,nginx,haproxy,direct"


def test_cpu_model() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: AMD EPYC\n") == "AMD EPYC"
