"""A proxy whose listeners each ask an authorization server, and requests that try them.

A scene is a listener: the filter's configuration, its routes, TLS or not. Each of its cases is a
request and what the server says about it. What is seen: the client's answer, the request that
arrived upstream, what the server was asked, the log lines, the statistics.
"""

from __future__ import annotations

import contextlib
import json
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import yaml
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from google.protobuf import json_format

from tests.support import config, h2peer, tls_config
from tests.support.authorizer import Authorizer
from tests.support.certs import Authority, client_context
from tests.support.client import Connection
from tests.support.http1 import Message
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.tcp import wait_for
from tests.support.upstream import OK, Received, Reply, Upstream

Tree = dict[str, Any]
_EXT_AUTHZ = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_PER_ROUTE = _EXT_AUTHZ + "PerRoute"
_HTTP = "type.googleapis.com/envoy.extensions.filters.http."
_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_NAMESPACE = "envoy.filters.http.ext_authz"
NAME = "envoy.filters.http.ext_authz"
_FORMAT = "%FILTER_CHAIN_NAME% " + " ".join(
    f"{name}=%{name}%"
    for name in (
        "RESPONSE_CODE",
        "RESPONSE_FLAGS",
        "RESPONSE_CODE_DETAILS",
        "UPSTREAM_CLUSTER",
        "ROUTE_NAME",
        "BYTES_RECEIVED",
        "BYTES_SENT",
        "REQ(:PATH)",
        "REQ(X-USER)",
        f"DYNAMIC_METADATA({_NAMESPACE}:text)",
        f"DYNAMIC_METADATA({_NAMESPACE}:tree)",
        f"DYNAMIC_METADATA({_NAMESPACE}:x-meta)",
    )
)
# What differs from run to run.
_UNSTEADY = {"date", "x-request-id", "x-envoy-upstream-service-time", "server"}
CUT = "(cut)"

# A CheckResponse as YAML, bytes in its place, a status, or a response of HTTP.
Says = Any


@dataclass(frozen=True)
class Case:
    """`says`: a CheckResponse as YAML, bytes in its place, a status; or, of a server that speaks
    HTTP, its response. `hang`: it says nothing in time."""

    id: str
    says: Says = "{}"
    request: bytes = b"GET /a?b=c HTTP/1.1\r\nhost: a.test\r\n\r\n"
    hang: bool = False
    reply: bytes = OK
    is_h2: bool = False


def post(body: bytes, more: str = "", path: str = "/a") -> bytes:
    """A request with a body."""
    head = f"POST {path} HTTP/1.1\r\nhost: a.test\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def get(more: str = "", path: str = "/a?b=c") -> bytes:
    """A request without one; `more`: header lines."""
    return f"GET {path} HTTP/1.1\r\nhost: a.test\r\n{more}\r\n".encode()


def ok(fields: str = "", more: str = "") -> str:
    """A permission: fields of the OkHttpResponse, and of the CheckResponse."""
    return f"{{status: {{code: 0}}, ok_response: {{{fields}}}{', ' * bool(more)}{more}}}"


def denied(fields: str = "", more: str = "", code: int = 7) -> str:
    """A refusal."""
    return f"{{status: {{code: {code}}}, denied_response: {{{fields}}}{', ' * bool(more)}{more}}}"


def header(key: str, value: str, more: str = "") -> str:
    """A HeaderValueOption."""
    return f"{{header: {{key: '{key}', value: '{value}'}}{', ' * bool(more)}{more}}}"


def http(status: str, *lines: str, body: str = "") -> bytes:
    """What a server that speaks HTTP says."""
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *lines, "", body]
    return "\r\n".join(head).encode()


@dataclass(frozen=True)
class Scene:
    """A listener. `authz`: fields of the filter in YAML's flow style, the service apart."""

    id: str
    authz: str
    cases: tuple[Case, ...] = (Case("ok"), Case("denied", denied()))
    grpc: str = "{envoy_grpc: {cluster_name: authz}, timeout: 10s}"
    http: str = ""  # An HttpService in its place.
    routes: str = ""  # The routes of the only virtual host.
    host: str = ""  # What the virtual host says of the filter.
    before: str = ""  # HTTP filters before it.
    after: str = ""
    is_tls: bool = False
    more: str = "{}"  # Of the connection manager.

    def filters(self) -> list[Tree]:
        """The HTTP filters."""
        service = (
            {"http_service": yaml.safe_load(self.http)}
            if self.http
            else {"grpc_service": yaml.safe_load(self.grpc)}
        )
        typed = {"@type": _EXT_AUTHZ, **service, "transport_api_version": "V3"}
        typed |= yaml.safe_load(self.authz)
        router = tls_config.network_filter("router", {"@type": config.ROUTER})
        between = [tls_config.network_filter(NAME, typed)]
        before, after = (_filters(text) for text in (self.before, self.after))
        return [*before, *between, *after, router]

    def route_config(self) -> Tree:
        """The routes."""
        routes = yaml.safe_load(self.routes) if self.routes else [config.route("/", "up")]
        for route in routes:
            for said in route.get("typed_per_filter_config", {}).values():
                said.setdefault("@type", _PER_ROUTE)
        of_host = {}
        if self.host:
            said = {"@type": _PER_ROUTE, **yaml.safe_load(self.host)}
            of_host = {"typed_per_filter_config": {NAME: said}}
        hosts = [{"name": "all", "domains": ["*"], "routes": routes, **of_host}]
        return {"name": "r", "virtual_hosts": hosts}


def _filters(text: str) -> list[Tree]:
    """`{rbac.v3.RBAC: {...}}`, as HTTP filters."""
    said = yaml.safe_load(text) if text else {}
    return [
        tls_config.network_filter(kind.split(".")[0], {"@type": _HTTP + kind, **fields})
        for kind, fields in said.items()
    ]


@dataclass(frozen=True)
class Seen:
    """What came of a run: by scene and case, lines by scene, and the statistics."""

    answers: dict[tuple[str, str], Any]
    arrived: dict[tuple[str, str], Any]
    asked: dict[tuple[str, str], Any]
    lines: dict[str, list[str]]
    stats: dict[str, str]
    tagged: list[str]


class ExtAuthzLab:
    """One proxy in turn, over one upstream and one server of each kind."""

    def __init__(self, folder: Path, scenes: Sequence[Scene]) -> None:
        self.folder = folder
        self.scenes = scenes
        self.port, self.admin_port, self.closed_port = free_port(), free_port(), free_port()
        # One port, and an address of its own for each.
        self.hosts = {scene.id: f"127.78.0.{n}" for n, scene in enumerate(scenes, 1)}
        self.ca = Authority(folder / "ca")
        self.server = self.ca.server()
        self.client = self.ca.issue("client", uris=["spiffe://a/ns/b/sa/c"], dns=["c.test"])

    def run(self, kind: str) -> Seen:
        """Every case of every scene, one after the other."""
        with (
            Authorizer() as grpc_server,
            Upstream() as http_server,
            Upstream() as up,
            Proxy(
                kind,
                self._bootstrap(kind, grpc_server, http_server, up),
                self.folder / kind,
                self.admin_port,
            ) as proxy,
        ):
            answers, arrived, asked = {}, {}, {}
            for scene in self.scenes:
                for case in scene.cases:
                    at = (scene.id, case.id)
                    up.script([Reply((case.reply,))] * 2)
                    with _saying(grpc_server, http_server, case):
                        answers[at] = self._try(scene, case)
                    arrived[at] = [_received(each) for each in up.requests]
                    asked[at] = [_asked(each) for each in grpc_server.asked]
                    asked[at] += [_metadata(each) for each in grpc_server.metadata]
                    asked[at] += [_received(each) for each in http_server.requests]
            wait_for(lambda: self._is_logged(kind), "the logs")
            text = proxy.admin("GET", "/stats")[1]
            prometheus = proxy.admin("GET", "/stats/prometheus")[1]
        rows = [line.split(": ", 1) for line in text.splitlines() if _is_ours(line)]
        tagged = [line for line in prometheus.splitlines() if "ext_authz" in line and "{" in line]
        return Seen(answers, arrived, asked, self._lines(kind), dict(rows), tagged)

    def _bootstrap(
        self, kind: str, grpc_server: Authorizer, http_server: Upstream, up: Upstream
    ) -> str:
        clusters = [
            config.cluster("up", up.port),
            config.cluster("other", up.port),
            config.cluster("authz", grpc_server.port, **tls_config.http2()),
            config.cluster("authz_http", http_server.port),
            config.cluster("nobody", self.closed_port, **tls_config.http2()),
            config.cluster("nobody_http", self.closed_port),
            config.cluster("empty", **tls_config.http2()),
        ]
        listeners = [self._listener(kind, scene) for scene in self.scenes]
        return config.bootstrap(self.admin_port, listeners, clusters)

    def _listener(self, kind: str, scene: Scene) -> Tree:
        manager = config.hcm(
            scene.route_config(),
            stat_prefix=scene.id,
            http_filters=scene.filters(),
            generate_request_id=False,
            access_log=_log(self._log(kind)),
            **yaml.safe_load(scene.more),
        )
        tls = None
        if scene.is_tls:
            trust = tls_config.validation(self.ca.cert)
            tls = tls_config.downstream_tls(self.server, trust=trust)
        chain = tls_config.chain(tls_config.http_filter(manager), tls=tls, name=scene.id)
        where = config.address(self.port, self.hosts[scene.id])
        return tls_config.listener(scene.id, self.port, chain, address=where)

    def _try(self, scene: Scene, case: Case) -> Any:
        tls = client_context(None, self.client) if scene.is_tls else None
        host = self.hosts[scene.id]
        if case.is_h2:
            return _over_h2(self.port, host, case.request)
        with Connection(self.port, host, tls=tls) as conn:
            try:
                message = conn.request(case.request, case.request.split(b" ")[0].decode())
            except (ConnectionError, ssl.SSLError):
                return CUT
            return _answer(message)

    def _log(self, kind: str) -> Path:
        return self.folder / f"{kind}.log"

    def _lines(self, kind: str) -> dict[str, list[str]]:
        path = self._log(kind)
        lines = path.read_text().splitlines() if path.exists() else []
        return {
            scene.id: [line for line in lines if line.startswith(f"{scene.id} ")]
            for scene in self.scenes
        }

    def _is_logged(self, kind: str) -> bool:
        lines = sum(len(lines) for lines in self._lines(kind).values())
        return lines == sum(len(scene.cases) for scene in self.scenes)


def _is_ours(line: str) -> bool:
    is_counted = line.startswith(("cluster.up.upstream_rq", "cluster.up.internal"))
    return "ext_authz" in line or (is_counted and "_rq_time" not in line)


@contextlib.contextmanager
def _saying(grpc_server: Authorizer, http_server: Upstream, case: Case) -> Any:
    """The servers say what the case wants, and have forgotten what they were asked."""
    grpc_server.asked, grpc_server.metadata = [], []
    grpc_server.raw, grpc_server.abort = None, None
    grpc_server.decide = _decide("{}")
    http_server.script([])
    match case.says:
        case grpc.StatusCode():
            grpc_server.abort = case.says
        case bytes() if case.says.startswith(b"HTTP/1.1"):
            http_server.script([Reply((case.says,) if not case.hang else ("hang",))])
        case bytes():
            grpc_server.raw = case.says
        case _:
            grpc_server.decide = _decide(case.says)
    if case.hang:
        grpc_server.gate.clear()
    try:
        yield
    finally:
        grpc_server.gate.set()


def _decide(said: str) -> Callable[[CheckRequest], CheckResponse]:
    response = json_format.ParseDict(yaml.safe_load(said), CheckResponse())
    return lambda _: response


def _log(path: Path) -> list[Tree]:
    form = {"text_format_source": {"inline_string": _FORMAT + "\n"}}
    typed = {"@type": _LOG, "path": str(path), "log_format": form}
    return [{"name": "file", "typed_config": typed}]


def _steady(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """A multiset: what differs from run to run is only there or not."""
    shown = [(k.lower(), "..." if k.lower() in _UNSTEADY else v) for k, v in headers]
    return sorted(shown)


def _answer(message: Message) -> Any:
    return (message.start, _steady(message.headers), message.body)


def _over_h2(port: int, host: str, request: bytes) -> Any:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = [line.partition(": ") for line in lines]
    fields = [(name, value) for name, _, value in pairs if name != "host"]
    with h2peer.Client(port, host=host) as client:
        headers = h2peer.get(path, *fields, method=method)
        stream = client.begin(headers, end=not body)
        if body:
            client.send_body(stream.id, body)
        done = client.finish(stream)
        return (done.status, _steady(done.headers), bytes(done.body))


def _received(request: Received) -> Any:
    return (request.start, _steady(_ports_out(request.headers)), request.body)


_PORT = re.compile(r"(127\.\d+\.\d+\.\d+):\d+")


def _ports_out(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(k, _PORT.sub(r"\1:port", v)) for k, v in headers]


def _metadata(metadata: dict[str, str]) -> Any:
    known = ("user-agent", "grpc-accept-encoding", "accept-encoding")
    return sorted((k, v) for k, v in metadata.items() if k not in known)


def _asked(request: CheckRequest) -> Any:
    """As a tree; what differs from run to run is only there or not."""
    tree = json.loads(json_format.MessageToJson(request))
    attributes = tree["attributes"]
    source = attributes.get("source", {}).get("address", {}).get("socketAddress", {})
    if "portValue" in source:
        source["portValue"] = "..."
    asked = attributes.get("request", {})
    if "time" in asked:
        asked["time"] = "..."
    if "id" in asked.get("http", {}):
        asked["http"]["id"] = "..."
    lines = asked.get("http", {}).get("headerMap", {}).get("headers", [])
    lines.sort(key=lambda line: (line.get("key"), line.get("rawValue")))
    return tree
