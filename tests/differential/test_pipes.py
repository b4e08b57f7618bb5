"""Pipes on both sides: headers, logs, statistics and admin output, ours against the stock Envoy.

Both run in folders of their own and know their pipes by relative paths, so that both say the same.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.differential.chains import proxy_v2
from tests.support import config, pipes, tls_config
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy, envoy_binary, mesh_binary
from tests.support.tcp import TcpServer, read_all, wait_for

_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_ENDS = ("DOWNSTREAM_LOCAL", "DOWNSTREAM_DIRECT_LOCAL", "DOWNSTREAM_REMOTE")
_ENDS += ("DOWNSTREAM_DIRECT_REMOTE", "UPSTREAM_LOCAL", "UPSTREAM_REMOTE")
_FORMAT = " ".join(
    f"{name}=%{name}%"
    for name in (
        *(f"{end}_ADDRESS" for end in _ENDS),
        *(f"{end}_ADDRESS_WITHOUT_PORT" for end in _ENDS),
        *(f"{end}_PORT" for end in _ENDS),
        *("UPSTREAM_HOST UPSTREAM_HOST_NAME UPSTREAM_HOST_NAME_WITHOUT_PORT".split()),
        *("REQ(X-FORWARDED-FOR) RESPONSE_FLAGS UPSTREAM_TRANSPORT_FAILURE_REASON".split()),
    )
)
_ABSTRACT = "@fastmesh-differential"
_RANGES = {
    "port": {"destination_port": 80},
    "ten": {"prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]},
    "all": {"prefix_ranges": [{"address_prefix": "0.0.0.0", "prefix_len": 0}]},
}
_SOURCES = {
    "local": {"source_type": "SAME_IP_OR_LOOPBACK"},
    "external": {"source_type": "EXTERNAL"},
}
_EXTERNAL = {"external": {"source_type": "EXTERNAL"}, "any": None}
_PORTS = {"ports": {"source_ports": [1]}, "any": None}
_ALL = [{"address_prefix": "0.0.0.0", "prefix_len": 0}]
_DIRECT = {"direct": {"direct_source_prefix_ranges": _ALL}}
_DIRECT_NET = {
    "ten": {"direct_source_prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]},
    "any": None,
}
_SOURCE_NET = {"all": {"source_prefix_ranges": _ALL}}
_INPUT = "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3."


def _log(path: str) -> dict[str, Any]:
    form = {"text_format_source": {"inline_string": _FORMAT + "\n"}}
    typed = {"@type": _LOG, "path": path, "log_format": form}
    return {"access_log": [{"name": "file", "typed_config": typed}]}


def _json_log(path: str) -> config.Tree:
    fields = {name: f"%{name}%" for name in re.findall(r"=%([^%]*)%", _FORMAT)}
    typed = {"@type": _LOG, "path": path, "log_format": {"json_format": fields}}
    return {"name": "file", "typed_config": typed}


def _says(name: str) -> config.Tree:
    manager = config.hcm(config.route_config("r", tls_config.direct_response("/", body=name)))
    return tls_config.http_filter(manager)


def _chains(matches: dict[str, Any]) -> list[config.Tree]:
    return [tls_config.chain(_says(n), match=match, name=n) for n, match in matches.items()]


def _tree(name: str) -> config.Tree:
    """A filter_chain_matcher that asks for one input and has an answer to any value."""
    action = {
        "name": "yes",
        "typed_config": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": "yes",
        },
    }
    predicate = {
        "single_predicate": {
            "input": {"name": "in", "typed_config": {"@type": _INPUT + name}},
            "value_match": {"safe_regex": {"google_re2": {}, "regex": ".*"}},
        }
    }
    return {
        "matcher_list": {
            "matchers": [{"predicate": predicate, "on_match": {"action": action}}],
        }
    }


_INPUTS = ("DestinationIPInput", "DestinationPortInput", "SourceIPInput", "SourcePortInput")
_INPUTS += ("DirectSourceIPInput", "SourceTypeInput")


@dataclass
class Seen:
    """What one proxy did."""

    answers: dict[str, str] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    admin: dict[str, str] = field(default_factory=dict)


class Lab:
    """Both proxies in turn."""

    managers: ClassVar[dict[str, dict[str, Any]]] = {
        "plain": {},
        "remote": {"use_remote_address": True, "append_x_forwarded_port": True},
        "internal": {
            "use_remote_address": True,
            "internal_address_config": {"unix_sockets": True},
        },
        "not_internal": {
            "use_remote_address": True,
            "internal_address_config": {
                "cidr_ranges": [{"address_prefix": "0.0.0.0", "prefix_len": 0}]
            },
        },
        "hops": {"use_remote_address": True, "xff_num_trusted_hops": 1},
        "stripped": {"strip_matching_host_port": True},
        "stripped_any": {"strip_any_host_port": True},
    }
    scenes: ClassVar[dict[str, dict[str, Any]]] = {
        "ranges": _RANGES,
        "sources": _SOURCES,
        "external": _EXTERNAL,
        "source_ports": _PORTS,
        "direct": _DIRECT,
        "direct_net": _DIRECT_NET,
        "source_net": _SOURCE_NET,
    }

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def listeners(self) -> list[config.Tree]:
        """One for each way."""
        routes = config.route_config(
            "r", config.route("/dead", "dead"), config.route("/tcp", "tcp"), config.route("/", "up")
        )
        all_of_them = []
        for name, more in self.managers.items():
            manager = config.hcm(
                routes, stat_prefix=name, generate_request_id=False, **_log(f"{name}.log"), **more
            )
            if name == "remote":
                manager["access_log"] = [_json_log(f"{name}.log")]
            pipe = {"address": pipes.pipe(f"{name}.sock")}
            all_of_them.append(config.listener(name, 0, manager, **pipe, **_log("conn.log")))
        for name, matches in self.scenes.items():
            pipe = {"address": pipes.pipe(f"{name}.sock")}
            all_of_them.append(tls_config.listener(name, 0, *_chains(matches), **pipe))
        for name in _INPUTS:
            more = {"address": pipes.pipe(f"{name}.sock"), "filter_chain_matcher": _tree(name)}
            yes, no = tls_config.chain(_says("yes"), name="yes"), tls_config.chain(_says("no"))
            all_of_them.append(tls_config.listener(name, 0, yes, default=no, **more))
        proxied = tls_config.listener_filter("proxy_protocol", "proxy_protocol.v3.ProxyProtocol")
        manager = config.hcm(routes, generate_request_id=False, use_remote_address=True)
        manager |= _log("proxied.log")
        pipe = {"address": pipes.pipe("proxied.sock"), "listener_filters": [proxied]}
        all_of_them.append(config.listener("proxied", 0, manager, **pipe))
        tunnel = tls_config.chain(tls_config.tcp_proxy("up", **_log("tunnel.log")))
        more = {"additional_addresses": [{"address": pipes.pipe("tunnel.sock", 0o600)}]}
        pipe = {"address": pipes.pipe(_ABSTRACT)}
        all_of_them.append(tls_config.listener("tunnel", 0, tunnel, **pipe, **more))
        tunnel = tls_config.chain(tls_config.tcp_proxy("up", **_log("proxied-tunnel.log")))
        pipe = {"address": pipes.pipe("proxied-tunnel.sock"), "listener_filters": [proxied]}
        all_of_them.append(tls_config.listener("proxied-tunnel", 0, tunnel, **pipe))
        dead = tls_config.chain(tls_config.tcp_proxy("dead", **_log("dead.log")))
        pipe = {"address": pipes.pipe("dead-tunnel.sock")}
        all_of_them.append(tls_config.listener("dead", 0, dead, **pipe))
        filters = [
            tls_config.listener_filter("original_dst", "original_dst.v3.OriginalDst"),
            tls_config.listener_filter("original_src", "original_src.v3.OriginalSrc", mark=1),
        ]
        manager = config.hcm(routes, generate_request_id=False) | _log("original.log")
        pipe = {"address": pipes.pipe("original.sock"), "listener_filters": filters}
        all_of_them.append(config.listener("original", 0, manager, **pipe, use_original_dst=True))
        return all_of_them

    def run(self, kind: str, tcp_port: int) -> Seen:
        """Everything, once."""
        workdir = self.folder / kind
        workdir.mkdir()
        clusters = [
            pipes.cluster("up", "up"),
            pipes.cluster("dead", "nobody"),
            config.cluster("tcp", tcp_port),
        ]
        admin_port = free_port()
        text = config.bootstrap(admin_port, self.listeners(), clusters)
        seen = Seen()
        with pipes.mirror_at(workdir / "up"), Proxy(kind, text, workdir, admin_port) as proxy:
            self.ask_all(workdir, seen)
            proxy.wait_stat("cluster.dead.upstream_cx_connect_fail", 2)
            for what in ("/listeners", "/listeners?format=json", "/clusters", "/config_dump"):
                seen.admin[what] = proxy.admin("GET", what)[1]
            seen.admin["/clusters?format=json"] = proxy.admin("GET", "/clusters?format=json")[1]
            for what in ("/stats", "/stats?format=prometheus"):
                seen.admin[what] = proxy.admin("GET", what)[1]
            mode = (workdir / "tunnel.sock").stat().st_mode
            seen.answers["mode"] = f"{mode & 0o777:o}"
            logs = [*(f"{n}.log" for n in self.managers), "proxied.log", "tunnel.log", "dead.log"]
            logs += ["proxied-tunnel.log"]
            logs += ["conn.log", "original.log"]
            wait_for(lambda: all((workdir / n).exists() for n in logs), "the logs")
            wait_for(lambda: len(_lines(workdir / "conn.log")) >= 24, "connections' logs")
            proxy.terminate()
            proxy.wait_exit()
        seen.logs = {name: sorted(_lines(workdir / name)) for name in logs}
        left = sorted(path.name for path in workdir.glob("*.sock"))
        seen.answers["left behind"] = " ".join(left)
        return seen

    def ask_all(self, workdir: Path, seen: Seen) -> None:
        """One request a case, each on its own connection."""
        answers = seen.answers

        def ask(
            case: str, name: str, target: str = "/", *headers: str, before: bytes = b""
        ) -> None:
            said = pipes.fetch(workdir / f"{name}.sock", target, *headers, before=before)
            lines = sorted(said.body.decode().splitlines())
            answers[case] = "\n".join([f"{said.status}", *lines])

        for name in self.managers:
            ask(name, name)
            ask(f"{name} xff", name, "/", "x-forwarded-for: 1.2.3.4, 10.0.0.1")
            ask(f"{name} tcp", name, "/tcp")
        ask("dead", "plain", "/dead")
        ask("internal header", "internal", "/", "x-envoy-retry-on: 5xx")
        ask("external header", "remote", "/", "x-envoy-retry-on: 5xx")
        for name in (*self.scenes, *_INPUTS):
            try:
                ask(name, name)
            except IndexError:
                answers[name] = "closed"
        ask("proxied", "proxied", before=proxy_v2("1.1.1.1:5", "10.0.0.1:6"))
        local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
        ask("proxied local", "proxied", before=local)
        ask("proxied tunnel", "proxied-tunnel", before=proxy_v2("1.1.1.1:5", "10.0.0.1:6"))
        ask("original", "original")
        ask("tunnel", "tunnel")
        said = pipes.fetch(_ABSTRACT)
        answers["abstract"] = said.body.decode()
        with pipes.connect(workdir / "dead-tunnel.sock") as conn:
            answers["dead tunnel"] = read_all(conn).decode()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Seen]]:
    """What each did."""
    with TcpServer(pipes.mirror) as tcp:
        lab = Lab(tmp_path_factory.mktemp("pipes"))
        yield {kind: lab.run(kind, tcp.port) for kind in (ENVOY, OURS)}


def test_answers(seen: dict[str, Seen]) -> None:
    """What the upstream got, or which chain answered."""
    assert seen[OURS].answers == seen[ENVOY].answers


def test_logs(seen: dict[str, Seen]) -> None:
    """Every operator that shows an address; TCP ports of our own vary."""

    def steady(logs: dict[str, list[str]]) -> dict[str, list[str]]:
        port = re.compile(r'(UPSTREAM_LOCAL_(ADDRESS(=|":")127.0.0.1:|PORT(=|":)))\d+')
        return {n: [port.sub(r"\1*", line) for line in lines] for n, lines in logs.items()}

    assert steady(seen[OURS].logs) == steady(seen[ENVOY].logs)


def test_listeners_and_clusters(seen: dict[str, Seen]) -> None:
    """As text and as JSON."""
    ours, envoy = seen[OURS].admin, seen[ENVOY].admin
    assert sorted(ours["/listeners"].splitlines()) == sorted(envoy["/listeners"].splitlines())

    def statuses(text: str) -> list[Any]:
        found = json.loads(text)["listener_statuses"]
        return sorted(found, key=lambda status: str(status["name"]))

    what = "/listeners?format=json"
    assert statuses(ours[what]) == statuses(envoy[what])
    rows = re.compile(r"^(up|dead)::(?!.*(cx_|rq_)).*$", re.MULTILINE)
    found = [rows.finditer(said["/clusters"]) for said in (ours, envoy)]
    assert {m[0] for m in found[0]} == {m[0] for m in found[1]}

    def addresses(text: str) -> dict[str, Any]:
        clusters = json.loads(text)["cluster_statuses"]
        return {c["name"]: [h["address"] for h in c["host_statuses"]] for c in clusters}

    what = "/clusters?format=json"
    assert addresses(ours[what])["up"] == addresses(envoy[what])["up"]


def test_config_dump(seen: dict[str, Seen]) -> None:
    """Paths and modes as they were given."""

    def pipes_of(text: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for section in json.loads(text)["configs"]:
            for static in section.get("static_listeners", []):
                listener = static["listener"]
                own = [listener["address"], listener.get("additional_addresses")]
                found["listener " + listener["name"]] = own
            for static in section.get("static_clusters", []):
                cluster = static["cluster"]
                if cluster["name"] != "tcp":
                    found["cluster " + cluster["name"]] = cluster["load_assignment"]
        return found

    dumps = [pipes_of(seen[kind].admin["/config_dump"]) for kind in (OURS, ENVOY)]
    assert dumps[0] == dumps[1]
    assert dumps[0]["listener tunnel"][1] is not None


def test_names_of_statistics(seen: dict[str, Seen]) -> None:
    """Of listeners, which have their address in them."""
    for what, wanted in (
        ("/stats", re.compile(r"^listener\.[^:]*downstream_cx_total: \d+$", re.MULTILINE)),
        (
            "/stats?format=prometheus",
            re.compile(r"^envoy_listener_\w*downstream_cx_total\{.*$", re.MULTILINE),
        ),
    ):
        found = [
            {line for line in wanted.findall(seen[kind].admin[what]) if "admin" not in line}
            for kind in (OURS, ENVOY)
        ]
        assert found[0] == found[1]


_BAD = {
    "too long": pipes.pipe("/" + "x" * 107),
    "just right": pipes.pipe("/tmp/" + "x" * 102),
    "abstract too long": pipes.pipe("@" + "x" * 107),
    "abstract just right": pipes.pipe("@" + "x" * 106),
    "empty": pipes.pipe(""),
    "mode too large": pipes.pipe("/tmp/x", 0o1000),
    "abstract with a mode": pipes.pipe("@x", 0o600),
    "NUL": pipes.pipe("/tmp/a\0b"),
    "missing folder": pipes.pipe("/no/such/folder/a.sock"),
}


@pytest.mark.parametrize("case", _BAD)
@pytest.mark.parametrize("where", ["listener", "endpoint", "dns", "admin"])
def test_what_is_refused(case: str, where: str, tmp_path: Path) -> None:
    """When the configuration is validated; nothing is bound then."""
    address = _BAD[case]
    manager = config.hcm(config.route_config("r", config.route("/", "up")))
    listener = config.listener("in", free_port(), manager)
    cluster = config.cluster("up", free_port())
    if where == "listener":
        listener["address"] = address
    elif where != "admin":
        endpoint = {"endpoint": {"address": address}}
        cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [endpoint]}]
    if where == "dns":
        cluster["type"] = "STRICT_DNS"
    more = {"admin": {"address": address}} if where == "admin" else {}
    path = tmp_path / "bootstrap.yaml"
    path.write_text(config.bootstrap(free_port(), [listener], [cluster], **more))
    envoy = [str(envoy_binary()), "--mode", "validate", "-c", str(path)]
    ours = [str(mesh_binary()), "proxy", "--mode", "validate", "-c", str(path)]
    said = [
        subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        for argv in (envoy, ours)
    ]
    expected = said[0].returncode == 0
    if where in ("dns", "admin"):
        expected = False  # Envoy resolves the name '', and has its admin port on pipes
    assert (said[1].returncode == 0) == expected, [s.stdout + s.stderr for s in said]
