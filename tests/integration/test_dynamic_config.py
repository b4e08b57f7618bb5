"""Configuration that changes while serving: files moved into place, under load, nothing lost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config
from tests.support.client import Connection
from tests.support.load import Load
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.upstream import Reply, Upstream
from tests.support.waiting import refuses, serves

_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Mesh:
    """A process whose listeners, clusters, routes and endpoints are all in files."""

    def __init__(self, start: StartMesh, folder: Path, upstream: Upstream) -> None:
        self._start = start
        self.lds, self.cds, self.rds, self.eds = (
            folder / f"{name}.yaml" for name in ("lds", "cds", "rds", "eds")
        )
        self.port = free_port()
        self.admin_port = free_port()
        self.proxy: Proxy
        self.put_endpoints(upstream.port)
        self.put_routes(config.route("/", "one"))
        self.put_clusters(config.eds_cluster("one", self.eds))
        self.put_listeners(self.listener())

    def start(self) -> Proxy:
        """Serve."""
        text = config.bootstrap(self.admin_port, self.lds, self.cds)
        self.proxy = self._start(text, self.admin_port, "--drain-time-s", "2")
        return self.proxy

    def listener(self, name: str = "web", port: int | None = None, **manager: Any) -> config.Tree:
        """The listener with routes by RDS."""
        return config.listener(name, port or self.port, config.hcm(self.rds, **manager))

    def put_listeners(self, *listeners: config.Tree) -> None:
        config.move_in(self.lds, config.discovery(config.LISTENER, list(listeners)))

    def put_clusters(self, *clusters: config.Tree) -> None:
        config.move_in(self.cds, config.discovery(config.CLUSTER, list(clusters)))

    def put_routes(self, *routes: config.Tree, **more: Any) -> None:
        tree = config.route_config("routes", *routes, **more)
        config.move_in(self.rds, config.discovery(config.ROUTES, [tree]))

    def put_endpoints(self, *ports: int) -> None:
        tree = config.load_assignment("one", *ports)
        config.move_in(self.eds, config.discovery(config.ENDPOINTS, [tree]))


@pytest.fixture
def mesh(start: StartMesh, tmp_path: Path, upstream: Upstream, upstream_b: Upstream) -> Mesh:
    """Upstream answers `a`, upstream_b answers `b`."""
    for up, name in ((upstream, b"a"), (upstream_b, b"b")):
        up.by_path["/"] = Reply((b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + name,))
    return Mesh(start, tmp_path, upstream)


def test_everything_from_files(mesh: Mesh) -> None:
    """LDS, CDS, RDS and EDS by path_config_source."""
    proxy = mesh.start()
    assert serves(mesh.port)
    assert proxy.wait_stat("listener_manager.lds.update_success", 1)
    assert proxy.wait_stat("cluster_manager.cds.update_success", 1)
    assert proxy.wait_stat("http.web.rds.routes.update_success", 1)
    assert proxy.wait_stat("cluster.one.update_success", 1)


def test_routes_change_under_load(mesh: Mesh, upstream_b: Upstream) -> None:
    """RDS there and back again."""
    mesh.put_clusters(config.eds_cluster("one", mesh.eds), config.cluster("two", upstream_b.port))
    proxy = mesh.start()
    with Load(mesh.port) as load:
        load.wait_body("a")
        for target, body in (("two", "b"), ("one", "a"), ("two", "b")):
            mesh.put_routes(config.route("/", target))
            load.wait_only(body)
    assert (load.lost, load.statuses()) == ([], {200})
    assert load.reconnects == 0, "a change of routes must not touch connections"
    assert proxy.wait_stat("http.web.rds.routes.update_success", 4)


def test_endpoints_change_under_load(mesh: Mesh, upstream: Upstream, upstream_b: Upstream) -> None:
    """EDS: an endpoint replaced, added, removed; requests on old connections end well."""
    proxy = mesh.start()
    with Load(mesh.port) as load:
        load.wait_body("a")
        mesh.put_endpoints(upstream_b.port)
        load.wait_only("b")
        mesh.put_endpoints(upstream.port, upstream_b.port)
        load.wait_body("a")
        load.wait_body("b")
        mesh.put_endpoints(upstream.port)
        load.wait_only("a")
    assert (load.lost, load.statuses(), load.reconnects) == ([], {200}, 0)
    assert proxy.wait_stat("cluster.one.membership_total", 1) == 1


def test_a_cluster_that_comes_back_while_a_retry_waits(mesh: Mesh, upstream: Upstream) -> None:
    """The retry's place was one of the cluster that went: the new one's are all free."""
    head = b"HTTP/1.1 503 Service Unavailable\r\nx-wait: 2\r\ncontent-length: 0\r\n\r\n"
    upstream.by_path["/"] = Reply((head,))
    limits = {"circuit_breakers": {"thresholds": [{"max_retries": 1}]}}
    one = config.cluster("one", upstream.port, **limits)
    waits = {"reset_headers": [{"name": "x-wait", "format": "SECONDS"}]}
    policy = {"retry_on": "5xx", "num_retries": 1, "rate_limited_retry_back_off": waits}
    mesh.put_clusters(one)
    mesh.put_routes(config.route("/", "one", retry_policy=policy))
    proxy = mesh.start()
    with Connection(mesh.port) as conn:
        conn.methods = ["GET"]
        conn.send(_GET)
        upstream.wait_requests(1)
        mesh.put_clusters()
        assert proxy.wait_stat("cluster_manager.cluster_removed", 1)
        mesh.put_clusters(one)
        assert proxy.wait_stat("cluster_manager.cluster_added", 2)
        conn.wait_for(1)
        assert conn.exchange().last.status == 503
        assert proxy.wait_stat("cluster.one.upstream_rq_retry", 1) == 1
        conn.request(_GET)
        assert proxy.stat("cluster.one.upstream_rq_retry") == 2
        assert not proxy.stat("cluster.one.upstream_rq_retry_overflow")


def test_request_on_a_removed_endpoint_finishes(
    mesh: Mesh, upstream: Upstream, upstream_b: Upstream
) -> None:
    """In flight when its endpoint goes: it still gets its answer."""
    upstream.by_path["/slow"] = Reply((1.0, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow"))
    mesh.start()
    assert serves(mesh.port)
    with Connection(mesh.port) as conn:
        conn.methods = ["GET"]
        conn.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        upstream.wait_requests(2)
        mesh.put_endpoints(upstream_b.port)
        conn.wait_for(1)
        assert conn.exchange().last.body == b"slow"


def test_no_endpoints_is_503_and_comes_back(mesh: Mesh, upstream: Upstream) -> None:
    """An empty assignment: no healthy upstream; then there is one again."""
    mesh.start()
    assert serves(mesh.port)
    mesh.put_endpoints()
    with Connection(mesh.port) as conn:
        end = time.monotonic() + 20
        while (answer := conn.request(_GET)).status == 200 and time.monotonic() < end:
            time.sleep(0.02)
        assert (answer.status, answer.body) == (503, b"no healthy upstream")
        mesh.put_endpoints(upstream.port)
        while (answer := conn.request(_GET)).status != 200 and time.monotonic() < end:
            time.sleep(0.02)
        assert answer.status == 200


def test_clusters_change_under_load(mesh: Mesh, upstream: Upstream, upstream_b: Upstream) -> None:
    """CDS: others come and go, the one in use changes; nothing is lost."""
    proxy = mesh.start()
    one = config.eds_cluster("one", mesh.eds)
    with Load(mesh.port) as load:
        load.wait_body("a")
        mesh.put_clusters(one, config.cluster("two", upstream_b.port))
        proxy.wait_stat("cluster_manager.active_clusters", 2)
        load.wait(50)
        mesh.put_clusters(config.cluster("one", upstream_b.port))
        load.wait_only("b")
        mesh.put_clusters(
            config.cluster(
                "one", upstream.port, circuit_breakers={"thresholds": [{"max_requests": 50}]}
            )
        )
        load.wait_only("a")
    assert (load.lost, load.statuses(), load.reconnects) == ([], {200}, 0)
    assert proxy.wait_stat("cluster_manager.cluster_added", 2)
    assert proxy.wait_stat("cluster_manager.cluster_modified", 2)
    assert proxy.wait_stat("cluster_manager.cluster_removed", 1)


def test_removed_cluster_in_use_is_503(mesh: Mesh) -> None:
    """A route that is left without its cluster: 503, and 200 again when it is back."""
    mesh.start()
    assert serves(mesh.port)
    mesh.put_clusters()
    with Connection(mesh.port) as conn:
        end = time.monotonic() + 20
        while (answer := conn.request(_GET)).status == 200 and time.monotonic() < end:
            time.sleep(0.02)
        assert answer.status == 503
        mesh.put_clusters(config.eds_cluster("one", mesh.eds))
        while (answer := conn.request(_GET)).status != 200 and time.monotonic() < end:
            time.sleep(0.02)
        assert answer.status == 200


def test_listeners_come_and_go_under_load(mesh: Mesh) -> None:
    """LDS: a second listener is added and removed; the first and its connections feel nothing."""
    proxy = mesh.start()
    second = free_port()
    with Load(mesh.port) as load:
        load.wait(20)
        mesh.put_listeners(mesh.listener(), mesh.listener("second", second))
        assert serves(second)
        assert proxy.wait_stat("listener_manager.total_listeners_active", 2) == 2
        mesh.put_listeners(mesh.listener())
        assert refuses(second)
        load.wait(20)
    assert (load.lost, load.statuses(), load.reconnects) == ([], {200}, 0)
    assert proxy.wait_stat("listener_manager.listener_added", 2)
    assert proxy.wait_stat("listener_manager.listener_removed", 1)


def test_changed_listener_under_load(mesh: Mesh) -> None:
    """LDS changes the listener in use: old connections drain, no request is lost, no connection is
    refused."""
    proxy = mesh.start()
    with Load(mesh.port, threads=8) as load:
        load.wait(50)
        mesh.put_listeners(mesh.listener(server_name="second"))
        proxy.wait_stat("listener_manager.listener_modified", 1)
        load.wait(200)
    assert (load.lost, load.statuses()) == ([], {200})
    with Connection(mesh.port) as conn:
        assert conn.request(_GET).get("server") == "second"


def test_long_request_survives_a_listener_change(mesh: Mesh, upstream: Upstream) -> None:
    """In flight on the old listener when the new one takes over."""
    upstream.by_path["/slow"] = Reply((1.0, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow"))
    proxy = mesh.start()
    assert serves(mesh.port)
    with Connection(mesh.port) as conn:
        conn.methods = ["GET"]
        conn.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        upstream.wait_requests(2)
        mesh.put_listeners(mesh.listener(server_name="second"))
        proxy.wait_stat("listener_manager.listener_modified", 1)
        conn.wait_for(1)
        assert conn.exchange().last.body == b"slow"


def test_removed_listener_drains(mesh: Mesh, upstream: Upstream) -> None:
    """New connections are refused at once; what is in flight finishes."""
    upstream.by_path["/slow"] = Reply((0.8, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow"))
    mesh.start()
    assert serves(mesh.port)
    with Connection(mesh.port) as conn:
        conn.methods = ["GET"]
        conn.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        upstream.wait_requests(2)
        mesh.put_listeners()
        assert refuses(mesh.port)
        conn.wait_for(1)
        assert conn.exchange().last.body == b"slow"


def test_burst_of_updates(mesh: Mesh, upstream: Upstream, upstream_b: Upstream) -> None:
    """A hundred moves in a row: the last one holds, nothing is lost on the way."""
    mesh.start()
    with Load(mesh.port) as load:
        load.wait(20)
        for i in range(100):
            mesh.put_endpoints(upstream_b.port if i % 2 else upstream.port)
            mesh.put_routes(config.route("/", "one", timeout=f"{i + 1}s"))
        load.wait_only("b")
    assert (load.lost, load.statuses(), load.reconnects) == ([], {200}, 0)


def test_json_resources(mesh: Mesh, upstream_b: Upstream, tmp_path: Path) -> None:
    """Files in JSON."""
    mesh.rds = tmp_path / "rds.json"
    tree = config.route_config("routes", config.route("/", "one"))
    config.move_in(mesh.rds, config.discovery(config.ROUTES, [tree], as_json=True))
    mesh.put_listeners(mesh.listener())
    mesh.start()
    assert serves(mesh.port)
    tree = config.route_config("routes", config.route("/", "two"))
    mesh.put_clusters(
        config.cluster("one", upstream_b.port), config.cluster("two", upstream_b.port)
    )
    config.move_in(mesh.rds, config.discovery(config.ROUTES, [tree], as_json=True))
    with Load(mesh.port) as load:
        load.wait_only("b")


def test_watched_directory(
    start: StartMesh, tmp_path: Path, upstream: Upstream, upstream_b: Upstream
) -> None:
    """Kubernetes' way: a symlinked folder is swapped."""
    for up, name in ((upstream, b"a"), (upstream_b, b"b")):
        up.by_path["/"] = Reply((b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + name,))
    port, admin_port = free_port(), free_port()
    for version, up in (("v1", upstream), ("v2", upstream_b)):
        (tmp_path / version).mkdir()
        tree = config.cluster("one", up.port)
        (tmp_path / version / "cds.yaml").write_text(config.discovery(config.CLUSTER, [tree]))
    link = tmp_path / "data"
    link.symlink_to("v1")
    (tmp_path / "cds.yaml").symlink_to("data/cds.yaml")
    source = {
        "path_config_source": {
            "path": str(tmp_path / "cds.yaml"),
            "watched_directory": {"path": str(tmp_path)},
        },
        "resource_api_version": "V3",
    }
    routes = config.route_config("local", config.route("/", "one"), validate_clusters=False)
    text = config.bootstrap(
        admin_port, [config.listener("web", port, config.hcm(routes))], [],
        dynamic_resources={"cds_config": source},
    )  # fmt: skip
    start(text, admin_port)
    with Load(port) as load:
        load.wait_body("a")
        fresh = tmp_path / "data.new"
        fresh.symlink_to("v2")
        fresh.rename(link)
        load.wait_only("b")
    assert (load.lost, load.statuses()) == ([], {200})


# -- bad updates ----------------------------------------------------------------------------

_STATS = {
    "lds": "listener_manager.lds",
    "cds": "cluster_manager.cds",
    "rds": "http.web.rds.routes",
    "eds": "cluster.one",
}


def _bad(mesh: Mesh, which: str, kind: str) -> str:
    """The text of a bad file for that API."""
    good = {
        "lds": (config.LISTENER, mesh.listener()),
        "cds": (config.CLUSTER, config.eds_cluster("one", mesh.eds)),
        "rds": (config.ROUTES, config.route_config("routes", config.route("/", "one"))),
        "eds": (config.ENDPOINTS, config.load_assignment("one", 1)),
    }[which]
    type_url, tree = good
    match kind:
        case "syntax":
            return "resources: [\n"
        case "unknown_field":
            return config.discovery(type_url, [{**tree, "bogus_field": 1}])
        case "wrong_type":
            return config.discovery("type.googleapis.com/bogus.Type", [tree])
        case "constraint":
            broken = {
                "lds": {**tree, "address": config.address(70_000)},
                "cds": {**tree, "connect_timeout": "0s"},
                "rds": config.route_config("routes", {"match": {}, "route": {"cluster": "one"}}),
                "eds": config.load_assignment("one", 70_000),
            }[which]
            return config.discovery(type_url, [broken])
        case _:
            raise ValueError(kind)


@pytest.mark.parametrize("which", list(_STATS))
@pytest.mark.parametrize("kind", ["syntax", "wrong_type", "constraint"])
def test_bad_update_keeps_the_last_good_state(
    mesh: Mesh, which: str, kind: str, upstream_b: Upstream
) -> None:
    """Rejected and counted; traffic feels nothing; the next good update is taken."""
    proxy = mesh.start()
    with Load(mesh.port) as load:
        load.wait_body("a")
        config.move_in(getattr(mesh, which), _bad(mesh, which, kind))
        # A text that is no DiscoveryResponse at all is a failure, not a rejection, in Envoy.
        end = time.monotonic() + 20
        prefix = _STATS[which]
        while time.monotonic() < end:
            if (proxy.stat(f"{prefix}.update_rejected") or 0) + (
                proxy.stat(f"{prefix}.update_failure") or 0
            ) >= 1:
                break
            time.sleep(0.02)
        else:
            pytest.fail(f"{prefix}.update_rejected and .update_failure stay 0")
        load.wait(50)
        match which:
            case "lds":
                mesh.put_listeners(mesh.listener(server_name="second"))
                proxy.wait_stat("listener_manager.listener_modified", 1)
                load.wait(50)
            case "cds":
                mesh.put_clusters(config.cluster("one", upstream_b.port))
                load.wait_only("b")
            case "rds":
                mesh.put_routes(config.route("/", "one", timeout="3s"))
                proxy.wait_stat(f"{prefix}.update_success", 2)
                load.wait(50)
            case "eds":
                mesh.put_endpoints(upstream_b.port)
                load.wait_only("b")
    assert (load.lost, load.statuses()) == ([], {200})


def test_rejection_is_counted_logged_and_dumped(mesh: Mesh) -> None:
    """update_rejected, a line in the log, error_state in /config_dump with the reason."""
    proxy = mesh.start()
    assert serves(mesh.port)
    mesh.put_listeners({**mesh.listener(), "address": config.address(70_000)})
    proxy.wait_stat("listener_manager.lds.update_rejected", 1)
    assert "port_value" in proxy.log() or "PortValue" in proxy.log()
    assert serves(mesh.port)


def _listener_entry(proxy: Proxy, name: str) -> dict[str, Any]:
    """The listener's entry in /config_dump."""
    dump = json.loads(proxy.admin("GET", "/config_dump")[1])
    section = next(c for c in dump["configs"] if c["@type"].endswith("ListenersConfigDump"))
    entry: dict[str, Any] = next(d for d in section["dynamic_listeners"] if d["name"] == name)
    return entry


def test_error_state_in_config_dump(mesh: Mesh) -> None:
    """A listener that does not compile: Envoy shows the attempt and the reason."""
    proxy = mesh.start()
    assert serves(mesh.port)
    hosts = [{"name": n, "domains": ["*"], "routes": [config.route("/", "one")]} for n in "ab"]
    routes = {"name": "x", "virtual_hosts": hosts}
    mesh.put_listeners(config.listener("web", mesh.port, config.hcm(routes)))
    proxy.wait_stat("listener_manager.lds.update_rejected", 1)
    entry = _listener_entry(proxy, "web")
    assert entry["error_state"]["details"]
    assert entry["active_state"]["listener"]["name"] == "web"
    assert serves(mesh.port)


def test_a_filter_that_cannot_be_built_is_a_rejection(mesh: Mesh) -> None:
    """Of its listener, with error_state; the others of the file are applied. (Envoy cannot build it
    because of its text, ours because it has no such filter.)"""
    proxy = mesh.start()
    assert serves(mesh.port)
    lua = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": "this is ( not lua"},
    }
    fine = free_port()
    bad = mesh.listener(http_filters=[{"name": "x", "typed_config": lua}])
    mesh.put_listeners(bad, mesh.listener("fine", fine))
    proxy.wait_stat("listener_manager.lds.update_rejected", 1)
    assert serves(fine)
    assert _listener_entry(proxy, "web")["error_state"]["details"]
    assert serves(mesh.port)


def test_good_parts_of_a_partly_bad_update_are_applied(mesh: Mesh) -> None:
    """LDS as Envoy: the good listener serves, the bad one does not, it counts as rejected."""
    proxy = mesh.start()
    assert serves(mesh.port)
    good, bad = free_port(), free_port()
    broken = mesh.listener("broken", bad)
    broken["filter_chains"][0]["filters"][0]["typed_config"]["route_config"] = {"name": "x"}
    broken["filter_chains"][0]["filters"][0]["typed_config"].pop("rds")
    chain = broken["filter_chains"][0]["filters"][0]["typed_config"]
    chain["http_filters"] = [*chain["http_filters"], *chain["http_filters"]]  # router twice
    mesh.put_listeners(mesh.listener(), broken, mesh.listener("fine", good))
    proxy.wait_stat("listener_manager.lds.update_rejected", 1)
    assert serves(good)
    assert refuses(bad)
    assert serves(mesh.port)


def test_unknown_field_of_a_dynamic_resource(mesh: Mesh) -> None:
    """Never ignored in silence: rejected, or taken and counted as Envoy does; named in the log."""
    proxy = mesh.start()
    assert serves(mesh.port)
    config.move_in(mesh.cds, _bad(mesh, "cds", "unknown_field"))
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if proxy.stat("cluster_manager.cds.update_rejected") or proxy.stat(
            "server.dynamic_unknown_fields"
        ):
            break
        time.sleep(0.02)
    else:
        pytest.fail("neither rejected nor counted")
    assert "bogus_field" in proxy.log()
    assert serves(mesh.port)


def test_first_file_bad_then_good(start: StartMesh, tmp_path: Path, upstream: Upstream) -> None:
    """Started on a bad routes file: it comes up (404), and serves once the file is good."""
    port, admin_port = free_port(), free_port()
    rds = tmp_path / "rds.yaml"
    rds.write_text("resources: [\n")
    manager = config.hcm(rds)
    manager["rds"]["config_source"]["initial_fetch_timeout"] = "1s"
    text = config.bootstrap(
        admin_port, [config.listener("web", port, manager)], [config.cluster("one", upstream.port)]
    )
    start(text, admin_port)
    tree = config.route_config("routes", config.route("/", "one"))
    config.move_in(rds, config.discovery(config.ROUTES, [tree]))
    assert serves(port)


def test_removed_file_changes_nothing(mesh: Mesh) -> None:
    """Deleting a file is no update."""
    proxy = mesh.start()
    with Load(mesh.port) as load:
        load.wait(20)
        for path in (mesh.lds, mesh.cds, mesh.rds, mesh.eds):
            path.unlink()
        load.wait(100)
        mesh.put_routes(config.route("/", "one", timeout="7s"))
        proxy.wait_stat("http.web.rds.routes.update_success", 2)
        load.wait(50)
    assert (load.lost, load.statuses(), load.reconnects) == ([], {200}, 0)


def test_unchanged_file_moved_in_changes_nothing(mesh: Mesh) -> None:
    """The same listener again: not modified, connections stay."""
    proxy = mesh.start()
    with Connection(mesh.port) as conn:
        assert conn.request(_GET).status == 200
        mesh.put_listeners(mesh.listener())
        proxy.wait_stat("listener_manager.lds.update_success", 2)
        time.sleep(0.2)
        assert conn.request(_GET).get("connection") is None
    assert not proxy.stat("listener_manager.listener_modified")


def test_two_workers_change_together(mesh: Mesh, upstream_b: Upstream) -> None:
    """With two workers the change reaches connections of both."""
    text = config.bootstrap(mesh.admin_port, mesh.lds, mesh.cds)
    mesh.proxy = mesh._start(text, mesh.admin_port, "--concurrency", "2")
    with Load(mesh.port, threads=16) as load:
        load.wait(100)
        mesh.put_endpoints(upstream_b.port)
        load.wait_only("b")
        mesh.put_listeners(mesh.listener(server_name="second"))
        mesh.proxy.wait_stat("listener_manager.listener_modified", 1)
        load.wait(200)
    assert (load.lost, load.statuses()) == ([], {200})
