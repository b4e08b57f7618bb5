"""The admin port of ours, without an Envoy beside it."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.integration.conftest import Simple
from tests.support.client import Connection

_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
_MUTATIONS = [
    "/healthcheck/fail",
    "/healthcheck/ok",
    "/logging",
    "/logging?level=debug",
    "/drain_listeners",
    "/reset_counters",
    "/quitquitquit",
]


def test_mutations_need_post(simple: Simple) -> None:
    """GET is 405 and changes nothing."""
    proxy = simple()
    with Connection(simple.port) as conn:
        conn.request(_GET)
    proxy.wait_stat("http.web.downstream_rq_total", 1)
    for path in _MUTATIONS:
        for method in ("GET", "PUT", "DELETE"):
            code, body = proxy.admin(method, path)
            assert (code, body) == (405, f"Method {method} not allowed, POST required."), path
    assert proxy.admin("GET", "/ready") == (200, "LIVE\n")
    assert proxy.stat("http.web.downstream_rq_total") == 1
    with Connection(simple.port) as conn:
        assert conn.request(_GET).status == 200


def test_head_of_a_mutation(simple: Simple) -> None:
    """HEAD is no POST either."""
    proxy = simple()
    assert proxy.admin("HEAD", "/quitquitquit")[0] == 405
    assert proxy.process.poll() is None


def test_reset_counters(simple: Simple) -> None:
    """Counters to zero, gauges stay."""
    proxy = simple()
    with Connection(simple.port) as conn:
        conn.request(_GET)
        assert proxy.wait_stat("http.web.downstream_rq_total", 1) == 1
        assert proxy.admin("POST", "/reset_counters") == (200, "OK\n")
        assert not proxy.stat("http.web.downstream_rq_total")
        assert proxy.stat("http.web.downstream_cx_active") == 1
        conn.request(_GET)
        assert proxy.wait_stat("http.web.downstream_rq_total", 1) == 1


def test_stats_filters(simple: Simple) -> None:
    """usedonly and filter, in text and JSON."""
    proxy = simple()
    with Connection(simple.port) as conn:
        conn.request(_GET)
    proxy.wait_stat("cluster.up.upstream_rq_200", 1)
    text = proxy.admin("GET", "/stats?filter=^cluster\\.up\\.upstream_rq_200$")[1]
    assert text == "cluster.up.upstream_rq_200: 1\n"
    tree = json.loads(proxy.admin("GET", "/stats?format=json&filter=upstream_rq_200$")[1])
    assert {"name": "cluster.up.upstream_rq_200", "value": 1} in tree["stats"]
    assert "cluster.up.upstream_rq_200: 1\n" in proxy.admin("GET", "/stats?usedonly")[1]
    assert proxy.admin("GET", "/stats?filter=[")[0] == 400


def test_stats_are_sorted(simple: Simple) -> None:
    """By name, histograms after the rest."""
    proxy = simple()
    lines = proxy.admin("GET", "/stats?type=Counters")[1].splitlines()
    assert lines == sorted(lines)


def test_prometheus_is_well_formed(simple: Simple) -> None:
    """Every sample line belongs to a typed metric; labels are quoted."""
    proxy = simple()
    with Connection(simple.port) as conn:
        conn.request(_GET)
    proxy.wait_stat("cluster.up.upstream_rq_200", 1)
    text = proxy.admin("GET", "/stats/prometheus")[1]
    types: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types, f"{name} twice"
            types[name] = kind
        elif line:
            name = line.split("{")[0].split(" ")[0]
            base = name
            for suffix in ("_bucket", "_sum", "_count"):
                if name.removesuffix(suffix) in types and name.endswith(suffix):
                    base = name.removesuffix(suffix)
            assert base in types, line
            float(line.rsplit(" ", 1)[1])
    assert 'envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="up"} 1' in text


def test_logging_levels(simple: Simple) -> None:
    """POST /logging lists, sets and refuses levels."""
    proxy = simple()
    code, body = proxy.admin("POST", "/logging?level=debug")
    assert (code, body.splitlines()[0]) == (200, "active loggers:")
    assert all(line.endswith(": debug") for line in body.splitlines()[1:] if line.strip())
    assert proxy.admin("POST", "/logging?level=bogus")[0] == 400
    assert proxy.admin("POST", "/logging?nope=debug")[0] == 400


def test_unknown_path_lists_the_known(simple: Simple) -> None:
    """404 with the help."""
    code, body = simple().admin("GET", "/nope")
    assert code == 404
    assert body.startswith("invalid path. admin commands are:\n")
    assert "/quitquitquit (POST): " in body


def test_config_dump_holds_what_was_given(simple: Simple) -> None:
    """Listener, cluster and route as configured."""
    proxy = simple(route={"timeout": "7s"})
    text = proxy.admin("GET", "/config_dump")[1]
    kinds = [c["@type"].rsplit(".", 1)[1] for c in json.loads(text)["configs"]]
    assert kinds[:3] == ["BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump"]
    assert '"timeout": "7s"' in text
    assert f'"port_value": {simple.port}' in text


def test_admin_survives_rude_clients(simple: Simple) -> None:
    """Half requests and garbage do not wedge it."""
    proxy = simple()
    rude = [Connection(simple.admin_port) for _ in range(20)]
    try:
        for i, conn in enumerate(rude):
            conn.send([b"GET /re", b"\x00\xff\r\n\r\n", b"", b"POST / HTTP/1.1\r\n"][i % 4])
        assert proxy.admin("GET", "/ready") == (200, "LIVE\n")
    finally:
        for conn in rude:
            conn.close()


def test_admin_keep_alive(simple: Simple) -> None:
    """Several questions on one connection."""
    simple()
    conn = http.client.HTTPConnection("127.0.0.1", simple.admin_port, timeout=10)
    try:
        for _ in range(3):
            conn.request("GET", "/ready")
            response = conn.getresponse()
            assert (response.status, response.read()) == (200, b"LIVE\n")
    finally:
        conn.close()


@pytest.mark.parametrize("path", ["/stats", "/clusters", "/config_dump", "/server_info", "/help"])
def test_answers_under_traffic(simple: Simple, path: str) -> None:
    """Readable while requests run."""
    proxy = simple()
    with Connection(simple.port) as conn:
        for _ in range(20):
            assert conn.request(_GET).status == 200
            assert proxy.admin("GET", path)[0] == 200
