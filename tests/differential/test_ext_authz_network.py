"""`envoy.filters.network.ext_authz` before TCP and HTTP: whom it lets pass, what the server is asked,
log lines and statistics, ours against the stock Envoy, with the same authorization server."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from google.protobuf import json_format

from tests.differential.counting import differences
from tests.support import config, tls_config
from tests.support.authorizer import Authorizer
from tests.support.certs import Authority, client_context
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tcp import TcpServer, read_all, read_exactly, wait_for

Tree = dict[str, Any]
_EXT_AUTHZ = "type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz"
_RBAC = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"
_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_FORMAT = "%FILTER_CHAIN_NAME% " + " ".join(
    f"{name}=%{name}%"
    for name in (
        "ACCESS_LOG_TYPE",
        "RESPONSE_FLAGS",
        "CONNECTION_TERMINATION_DETAILS",
        "UPSTREAM_CLUSTER",
        "BYTES_RECEIVED",
    )
)
_END = "ACCESS_LOG_TYPE=NotSet"
ALLOW, DENY = "{}", "{status: {code: 7}}"
# A CheckResponse as YAML, bytes in its place, or a status.
Says = Any


@dataclass(frozen=True)
class Scene:
    """A listener; `authz`: fields of the filter, `before` and `after`: rules of RBAC filters around
    it."""

    id: str
    says: Says = ALLOW
    authz: str = "{}"
    cluster: str = "authz"
    before: str = ""
    after: str = ""
    http: bool = False
    is_tls: bool = False
    hang: bool = False
    does: str = "talk"


def shadow(principal: str) -> str:
    """Shadow rules that find a policy for everybody, or for nobody."""
    policy = f"{{p: {{permissions: [{{any: true}}], principals: [{principal}]}}}}"
    return f"{{shadow_rules_stat_prefix: istio_, shadow_rules: {{policies: {policy}}}}}"


_ANY, _NOBODY = "{any: true}", "{not_id: {any: true}}"
_BY_RULES = (
    "{filter_enabled_metadata: {filter: envoy.filters.network.rbac, path:"
    " [{key: istio_shadow_effective_policy_id}], value: {string_match: {prefix: p}}}}"
)
_DENY_ALL = "{rules: {action: DENY, policies: {no: {permissions: [{any: true}], principals: [{any: true}]}}}}"
_CONTINUOUS = "{enforcement_type: CONTINUOUS, rules: {action: ALLOW, policies: {p: {permissions: [{any: true}], principals: [{any: true}]}}}}"
_OF_TCP = [
    Scene("allowed"),
    Scene("denied", DENY),
    Scene("denied_response", "{status: {code: 7}, denied_response: {status: {code: 401}}}"),
    Scene("unavailable", grpc.StatusCode.UNAVAILABLE),
    Scene("unavailable_open", grpc.StatusCode.UNAVAILABLE, "{failure_mode_allow: true}"),
    Scene("denied_open", DENY, "{failure_mode_allow: true}"),
    Scene("nonsense", b"\xff\xff"),
    Scene("nobody", cluster="nobody"),
    Scene("nobody_open", authz="{failure_mode_allow: true}", cluster="nobody"),
    Scene("empty", cluster="empty"),
    Scene("empty_open", authz="{failure_mode_allow: true}", cluster="empty"),
    Scene(
        "hangs",
        authz="{grpc_service: {envoy_grpc: {cluster_name: authz}, timeout: 0.1s}}",
        hang=True,
    ),
    Scene("tls", authz="{include_peer_certificate: true, include_tls_session: true}", is_tls=True),
    Scene("tls_plain", is_tls=True),
    Scene("session", authz="{include_tls_session: true}"),
    Scene("by_rules", DENY, _BY_RULES, before=shadow(_ANY)),
    Scene("not_by_rules", DENY, _BY_RULES, before=shadow(_NOBODY)),
    Scene(
        "metadata",
        authz="{metadata_context_namespaces: [envoy.filters.network.rbac, none]}",
        before=shadow(_ANY),
    ),
    Scene("rbac_denies_first", before=_DENY_ALL),
    Scene("rbac_denies_after", after=_DENY_ALL),
    Scene("continuous", after=_CONTINUOUS, does="twice"),
    Scene("twice", does="twice"),
    Scene("silent", does="silent"),
    Scene("silent_denied", DENY, does="silent"),
    Scene("dotted", authz="{stat_prefix: 'tcp.'}"),
]
SCENES = [
    *_OF_TCP,
    *(
        Scene(**{**scene.__dict__, "id": f"http_{scene.id}", "http": True, "does": "h1"})
        for scene in _OF_TCP
        if scene.does == "talk" and scene.id != "dotted"
    ),
    Scene("http_h2", http=True, does="h2"),
    Scene("http_h2_denied", DENY, http=True, does="h2"),
]


@dataclass(frozen=True)
class Seen:
    """What came of a run."""

    outcomes: dict[str, str]
    asked: dict[str, Any]
    lines: dict[str, list[str]]
    stats: dict[str, str]
    tagged: list[str]


class Lab:
    """One proxy in turn, over one echo and one server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.admin_port, self.closed_port = free_port(), free_port(), free_port()
        self.hosts = {scene.id: f"127.79.0.{n}" for n, scene in enumerate(SCENES, 1)}
        self.ca = Authority(folder / "ca")
        self.server = self.ca.server()
        self.client = self.ca.issue("client", uris=["spiffe://a/ns/b/sa/c"], dns=["c.test"])

    def run(self, kind: str) -> Seen:
        """Every scene, one after the other."""
        with (
            Authorizer() as server,
            TcpServer() as echo,
            Proxy(
                kind,
                self._bootstrap(kind, server.port, echo.port),
                self.folder / kind,
                self.admin_port,
            ) as proxy,
        ):
            outcomes, asked = {}, {}
            for scene in SCENES:
                server.asked, server.metadata = [], []
                _prepare(server, scene)
                outcomes[scene.id] = self._try(scene)
                server.gate.set()
                asked[scene.id] = [_asked(each) for each in server.asked]
            wait_for(lambda: self._is_logged(kind), "the logs")
            text = proxy.admin("GET", "/stats")[1]
            prometheus = proxy.admin("GET", "/stats/prometheus")[1]
        rows = [line.split(": ", 1) for line in text.splitlines() if _is_ours(line)]
        tagged = [line for line in prometheus.splitlines() if _is_ours(line) and "#" not in line]
        return Seen(outcomes, asked, self._lines(kind), dict(rows), tagged)

    def _bootstrap(self, kind: str, authz: int, echo: int) -> str:
        h2 = tls_config.http2()
        clusters = [
            config.cluster("echo", echo),
            config.cluster("authz", authz, **h2),
            config.cluster("nobody", self.closed_port, **h2),
            config.cluster("empty", **h2),
        ]
        listeners = [self._listener(kind, scene) for scene in SCENES]
        return config.bootstrap(self.admin_port, listeners, clusters)

    def _listener(self, kind: str, scene: Scene) -> Tree:
        form = {"text_format_source": {"inline_string": _FORMAT + "\n"}}
        typed = {"@type": _LOG, "path": str(self._log(kind)), "log_format": form}
        log: Tree = {"access_log": [{"name": "file", "typed_config": typed}]}
        service = {"envoy_grpc": {"cluster_name": scene.cluster}, "timeout": "10s"}
        authz = {"@type": _EXT_AUTHZ, "stat_prefix": scene.id, "grpc_service": service}
        authz |= {"transport_api_version": "V3", **yaml.safe_load(scene.authz)}
        filters = [tls_config.network_filter("authz", authz)]
        for rules, at in ((scene.before, 0), (scene.after, len(filters) + bool(scene.before))):
            if rules:
                tree = {"@type": _RBAC, "stat_prefix": scene.id, **yaml.safe_load(rules)}
                filters.insert(at, tls_config.network_filter("rbac", tree))
        if scene.http:
            direct = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
            manager = config.hcm(config.route_config("r", direct), stat_prefix=scene.id)
            last = tls_config.http_filter(manager)
        else:
            last = tls_config.tcp_proxy("echo", stat_prefix=scene.id)
        tls = None
        if scene.is_tls:
            trust = tls_config.validation(self.ca.cert)
            tls = tls_config.downstream_tls(self.server, trust=trust)
        chain = tls_config.chain(*filters, last, tls=tls, name=scene.id)
        where = config.address(self.port, self.hosts[scene.id])
        return tls_config.listener(scene.id, self.port, chain, address=where, **log)

    def _try(self, scene: Scene) -> str:
        conn = socket.create_connection((self.hosts[scene.id], self.port), 20)
        with contextlib.closing(conn), contextlib.suppress(ConnectionError, ssl.SSLError):
            if scene.is_tls:
                context = client_context(None, self.client)
                conn = context.wrap_socket(conn, server_hostname="a.test")
            with contextlib.closing(conn):
                return _DOES[scene.does](conn)
        return "closed"

    def _log(self, kind: str) -> Path:
        return self.folder / f"{kind}.log"

    def _lines(self, kind: str) -> dict[str, list[str]]:
        path = self._log(kind)
        lines = path.read_text().splitlines() if path.exists() else []
        return {
            scene.id: [line for line in lines if line.startswith(f"{scene.id} ")]
            for scene in SCENES
        }

    def _is_logged(self, kind: str) -> bool:
        ends = [line for lines in self._lines(kind).values() for line in lines if _END in line]
        return len(ends) == len(SCENES)


def _is_ours(line: str) -> bool:
    # How often a connection brings data is chance: Envoy counts each time, ours the connection.
    return "ext_authz" in line and not ("not_by_rules" in line and "disabled" in line)


def _prepare(server: Authorizer, scene: Scene) -> None:
    server.raw, server.abort = None, None
    match scene.says:
        case grpc.StatusCode():
            server.abort = scene.says
        case bytes():
            server.raw = scene.says
        case _:
            said = json_format.ParseDict(yaml.safe_load(scene.says), CheckResponse())
            server.decide = lambda _: said
    if scene.hang:
        server.gate.clear()


def _asked(request: CheckRequest) -> Any:
    tree = json.loads(json_format.MessageToJson(request))
    tree["attributes"]["source"]["address"]["socketAddress"]["portValue"] = "..."
    return tree


def _end(conn: socket.socket) -> None:
    if isinstance(conn, ssl.SSLSocket):
        with contextlib.suppress(OSError):
            conn.unwrap()
        return
    conn.shutdown(socket.SHUT_WR)
    read_all(conn)


def _talk(conn: socket.socket) -> str:
    conn.sendall(b"hello")
    heard = read_exactly(conn, 5)
    _end(conn)
    return heard.decode() or "closed"


def _twice(conn: socket.socket) -> str:
    conn.sendall(b"hello")
    first = read_exactly(conn, 5)
    conn.sendall(b"again")
    second = read_exactly(conn, 5)
    _end(conn)
    return (first + second).decode() or "closed"


def _silent(conn: socket.socket) -> str:
    conn.shutdown(socket.SHUT_WR)
    return f"heard {read_all(conn)!r}"


def _h1(conn: socket.socket) -> str:
    conn.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    return read_all(conn).split(b"\r\n")[0].decode() or "closed"


def _h2(conn: socket.socket) -> str:
    conn.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    heard = read_exactly(conn, 9)
    return f"frame {heard[3]}" if heard else "closed"


_DOES = {"talk": _talk, "twice": _twice, "silent": _silent, "h1": _h1, "h2": _h2}
Both = dict[str, Seen]
each_scene = pytest.mark.parametrize("scene", [scene.id for scene in SCENES])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """What came of both proxies."""
    lab = Lab(tmp_path_factory.mktemp("ext_authz_network"))
    yield {kind: lab.run(kind) for kind in (ENVOY, OURS)}


@each_scene
def test_outcome(both: Both, scene: str) -> None:
    """Who passes, and what a client hears that does not."""
    assert both[OURS].outcomes[scene] == both[ENVOY].outcomes[scene]


@each_scene
def test_the_server_is_asked_what_envoy_asks(both: Both, scene: str) -> None:
    """The check."""
    assert both[OURS].asked[scene] == both[ENVOY].asked[scene]


@each_scene
def test_lines_are_envoys(both: Both, scene: str) -> None:
    """Of the listener."""
    assert both[OURS].lines[scene] == both[ENVOY].lines[scene]


def test_statistics_are_envoys(both: Both) -> None:
    """Names and values."""
    assert differences(both[ENVOY].stats, both[OURS].stats) == {}
    assert len(both[ENVOY].stats) > 100


def test_tags_are_envoys(both: Both) -> None:
    """For Prometheus."""
    assert sorted(both[OURS].tagged) == sorted(both[ENVOY].tagged)
    assert len(both[ENVOY].tagged) > 100


def test_scenes_both_pass_and_fail(both: Both) -> None:
    """The comparison compares something."""
    outcomes = list(both[ENVOY].outcomes.values())
    assert outcomes.count("hello") > 5
    assert outcomes.count("closed") > 10
    assert outcomes.count("HTTP/1.1 200 OK") > 5
