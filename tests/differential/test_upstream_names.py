"""Which name a host is asked for and must prove: `auto_sni`, `auto_san_validation` and their like
through the stock Envoy and ours, to hosts of HTTP/1.1 and of HTTP/2.

Every request is answered twice, so that connections which are shared between names would show.
"""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import config, h2peer
from tests.support.certs import Authority
from tests.support.client import Await, run_steps
from tests.support.logs import whole_lines
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tls_config import http_options, san, upstream_tls, validation
from tests.support.upstream import Upstream

_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_LOGGED = (
    "RESPONSE_CODE",
    "RESPONSE_FLAGS",
    "RESPONSE_CODE_DETAILS",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_CLUSTER",
)
VERSIONS = (1, 2)

# By name: upstream_http_protocol_options, UpstreamTlsContext, SAN matchers.
Kind = tuple[dict[str, Any], dict[str, Any], list[config.Tree]]
_HOST = san("DNS", exact="host.test")
KINDS: dict[str, Kind] = {
    "sni": ({"auto_sni": True}, {}, []),
    "header": ({"auto_sni": True, "override_auto_sni_header": "X-Name"}, {}, []),
    "both": ({"auto_sni": True, "auto_san_validation": True}, {}, []),
    "header_both": (
        {"auto_sni": True, "auto_san_validation": True, "override_auto_sni_header": "x-name"},
        {},
        [],
    ),
    "san": ({"auto_san_validation": True}, {}, []),
    "header_san": ({"auto_san_validation": True, "override_auto_sni_header": "x-name"}, {}, []),
    "header_only": ({"override_auto_sni_header": "x-name"}, {}, []),
    "by_authority": ({"auto_sni": True, "override_auto_sni_header": ":authority"}, {}, []),
    "fixed": ({"auto_sni": True}, {"sni": "fixed.test"}, []),
    "fixed_san": ({"auto_san_validation": True}, {"sni": "fixed.test"}, []),
    "fixed_own_san": ({}, {"sni": "host.test", "auto_sni_san_validation": True}, []),
    "fixed_bad_own_san": ({}, {"sni": "fixed.test", "auto_sni_san_validation": True}, []),
    "none_own_san": ({}, {"auto_sni_san_validation": True}, []),
    "own_san": ({"auto_sni": True}, {"auto_sni_san_validation": True}, []),
    "all_san": (
        {"auto_sni": True, "auto_san_validation": True},
        {"auto_sni_san_validation": True},
        [],
    ),
    "of_host": ({}, {"auto_host_sni": True}, []),
    "of_host_san": ({}, {"auto_host_sni": True, "auto_sni_san_validation": True}, []),
    "of_host_fixed": ({}, {"auto_host_sni": True, "sni": "fixed.test"}, []),
    "of_host_auto": ({"auto_sni": True}, {"auto_host_sni": True}, []),
    "matched": ({"auto_sni": True, "auto_san_validation": True}, {}, [_HOST]),
    "matched_bad": (
        {"auto_sni": True, "auto_san_validation": True},
        {},
        [san("DNS", exact="x.test")],
    ),
    "matched_own_san": ({"auto_sni": True}, {"auto_sni_san_validation": True}, [_HOST]),
    "matched_own_san_bad": (
        {"auto_sni": True},
        {"auto_sni_san_validation": True},
        [san("DNS", exact="x.test")],
    ),
}
# What routes make of the host before the name is taken.
REWRITES: dict[str, config.Tree] = {
    "literal": {"host_rewrite_literal": "a.wild.test"},
    "header": {"host_rewrite_header": "x-name"},
    "auto": {"auto_host_rewrite": True},
    "path": {
        "host_rewrite_path_regex": {
            "pattern": {"regex": "^/rewrite_path/(.+)/.*$"},
            "substitution": "\\1",
        }
    },
}
# Head lines of requests; each is sent twice.
ASKED: dict[str, str] = {
    "name": "host: host.test",
    "port": "host: host.test:8443",
    "capitals": "host: HOST.Test",
    "wild": "host: a.wild.test",
    "deep": "host: a.b.wild.test",
    "evil": "host: evil.test",
    "ip": "host: 127.0.0.1",
    "ip_port": "host: 127.0.0.1:8443",
    "ip6": "host: [::1]",
    "ip6_port": "host: [::1]:8443",
    "ip6_long": "host: [0:0:0:0:0:0:0:1]",
    "other_ip": "host: 10.9.9.9",
    "underscore": "host: under_score.wild.test",
    "one_label": "host: local",
    "named": "host: host.test\r\nx-name: a.wild.test",
    "named_port": "host: host.test\r\nx-name: a.wild.test:99",
    "named_empty": "host: host.test\r\nx-name:",
    "named_ip": "host: host.test\r\nx-name: 127.0.0.1",
    "named_evil": "host: host.test\r\nx-name: evil.test",
    "named_capitals": "host: host.test\r\nx-name: A.Wild.TEST",
    "named_twice": "host: host.test\r\nx-name: a.wild.test\r\nx-name: b.wild.test",
    "named_uri": "host: host.test\r\nx-name: spiffe://a/b",
}
_STATS = re.compile(
    r"^cluster\.(\w+\.(ssl\.(fail|handshake|connection|no_cert)|upstream_(cx_(total|http|connect|destroy|close|active)|rq_(\d|total|pending))).*): (\d+)$"
)
Seen = dict[str, Any]


def _rewritten(name: str) -> str:
    return f"/rewrite_{name}/c.wild.test/x"


class Lab:
    """One proxy with a cluster for every kind and version."""

    def __init__(self, kind: str, folder: Path, ca: Authority) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, admin = free_port(), free_port()
        self.log = folder / "access.log"
        server = ca.issue(
            "names",
            dns=["host.test", "*.wild.test", "endpoint.test"],
            ips=["127.0.0.1", "::1"],
            uris=["spiffe://a/b"],
        )
        self.one = Upstream(tls=server.server_context())
        self.two = h2peer.Upstream(tls=server.server_context(alpn=["h2"]))
        # In one frame: whoever has it all has the end, too.
        whole = h2peer.Answer([[(":status", "200"), ("content-length", "0")]])
        self.two.by_path = dict.fromkeys(["/", *(_rewritten(name) for name in REWRITES)], whole)
        clusters = [
            self._cluster(f"{name}{version}", version, *KINDS[name], ca)
            for name in KINDS
            for version in VERSIONS
        ]
        routes = [
            {
                "match": {"prefix": f"/rewrite_{name}"},
                "route": {"cluster_header": "x-to", **how},
            }
            for name, how in REWRITES.items()
        ]
        routes.append({"match": {"prefix": "/"}, "route": {"cluster_header": "x-to"}})
        form = {"json_format": {name: f"%{name}%" for name in _LOGGED}}
        log = {
            "name": "file",
            "typed_config": {"@type": _LOG, "path": str(self.log), "log_format": form},
        }
        manager = config.hcm(config.route_config("r", *routes), access_log=[log])
        tree = config.bootstrap(admin, [config.listener("l", self.port, manager)], clusters)
        soon = () if kind == ENVOY else ("--file-flush-interval-msec", "10")
        self.proxy = Proxy(kind, tree, folder, admin, *soon)
        self.proxy.wait_ready()

    def _cluster(
        self,
        name: str,
        version: int,
        upstream: dict[str, Any],
        tls: dict[str, Any],
        sans: list[config.Tree],
        ca: Authority,
    ) -> config.Tree:
        port = self.one.port if version == 1 else self.two.port
        explicit: config.Tree = (
            {"http_protocol_options": {}} if version == 1 else {"http2_protocol_options": {}}
        )
        endpoint = {"hostname": "endpoint.test", "address": config.address(port)}
        return config.cluster(
            name,
            load_assignment={
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
            },
            transport_socket=upstream_tls(trust=validation(ca.cert, *sans), **tls),
            **http_options(explicit_http_config=explicit, upstream_http_protocol_options=upstream),
        )

    def ask(self, cluster: str, version: int, lines: str, path: str = "/") -> Seen:
        """What comes of a request that is sent twice."""
        before = self._requests(version)
        written = whole_lines(self.log)
        head = f"GET {path} HTTP/1.1\r\n{lines}\r\nx-to: {cluster}\r\n\r\n".encode()
        got = run_steps(self.port, (head, Await(1), head), ["GET", "GET"], 2, 0.0, 5.0)
        end = time.monotonic() + 10
        while (
            len(lines_now := whole_lines(self.log)) < len(written) + len(got.messages)
            and time.monotonic() < end
        ):
            time.sleep(0.005)
        requests = self._requests(version)[len(before) :]
        connections = [r.connection for r in requests]
        return {
            "answers": [(each.start, each.body.decode()) for each in got.messages],
            "logged": [json.loads(line) for line in lines_now[len(written) :]],
            "sni": [r.sni for r in requests],
            "same": len(set(connections)) == 1,
            # Whether one of them had been there for another name.
            "shared": [c in {r.connection for r in before} for c in connections],
        }

    def _requests(self, version: int) -> list[Any]:
        return list(self.one.requests if version == 1 else self.two.requests)

    def stats(self) -> dict[str, int]:
        """What clusters have counted."""
        found = {}
        for line in self.proxy.admin("GET", "/stats")[1].splitlines():
            if match := _STATS.match(line):
                found[match[1]] = int(match[len(match.groups())])
        return found

    def stop(self) -> None:
        """All of it."""
        self.proxy.stop()
        self.one.stop()
        self.two.stop()


def run(kind: str, folder: Path) -> dict[str, Any]:
    """Every kind of cluster and every request."""
    lab = Lab(kind, folder, Authority(folder / "ca"))
    try:
        seen: dict[str, Any] = {}
        for version in VERSIONS:
            for name in KINDS:
                for asked, lines in ASKED.items():
                    if asked == "named_uri" and name in ("header", "header_both"):
                        continue  # No SNI to ours (docs/differences.md).
                    seen[f"{name}{version} {asked}"] = lab.ask(f"{name}{version}", version, lines)
            for name in REWRITES:
                for to in ("both", "header_both"):
                    lines = "host: host.test\r\nx-name: b.wild.test"
                    got = lab.ask(f"{to}{version}", version, lines, _rewritten(name))
                    seen[f"rewrite {name} {to}{version}"] = got
        seen["stats"] = lab.stats()
        return seen
    finally:
        lab.stop()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By proxy."""
    folder = tmp_path_factory.mktemp("names")
    with ThreadPoolExecutor() as pool:
        jobs = {kind: pool.submit(run, kind, folder / kind) for kind in (ENVOY, OURS)}
        return {kind: job.result() for kind, job in jobs.items()}


CLUSTERS = [f"{name}{version}" for version in VERSIONS for name in KINDS]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_names(seen: dict[str, dict[str, Any]], cluster: str) -> None:
    """Answers, logs, server names and which requests share a connection."""
    envoy, ours = (
        {name: each for name, each in seen[kind].items() if name.startswith(f"{cluster} ")}
        for kind in (ENVOY, OURS)
    )
    assert len(ours) >= len(ASKED) - 1
    for name, each in envoy.items():
        assert ours[name] == each, name


def test_rewritten_hosts(seen: dict[str, dict[str, Any]]) -> None:
    """What a route writes is asked for; `auto_host_rewrite` comes too late for that."""
    envoy, ours = (
        {name: each for name, each in seen[kind].items() if name.startswith("rewrite ")}
        for kind in (ENVOY, OURS)
    )
    assert len(envoy) == len(REWRITES) * 2 * len(VERSIONS)
    for name, each in envoy.items():
        assert ours[name] == each, name


def test_statistics(seen: dict[str, dict[str, Any]]) -> None:
    """`ssl.fail_verify_san` and its like, connections, requests."""
    envoy, ours = (seen[kind]["stats"] for kind in (ENVOY, OURS))
    assert envoy["both1.ssl.fail_verify_san"] > 0
    assert {name: ours.get(name) for name in envoy} == envoy
