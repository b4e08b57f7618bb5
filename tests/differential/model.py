"""What a differential test is made of: groups, listeners, cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.client import Step
from tests.support.h2peer import Answer
from tests.support.http1 import Headers
from tests.support.upstream import Reply


@dataclass(frozen=True)
class Listener:
    """One listener with one HTTP connection manager.

    `routes` is the YAML of a RouteConfiguration, `options` that of further fields of the
    HTTP connection manager, `socket` that of further fields of the Listener.
    """

    routes: str
    options: str = ""
    log: str = ""  # a text format instead of the usual fields


@dataclass(frozen=True)
class Ask:
    """One HTTP/2 request; those of a case share a connection, one after the other."""

    headers: Headers
    body: bytes | None = None
    trailers: Headers | None = None


Script = Sequence[Reply] | Sequence[Answer]


@dataclass(frozen=True)
class Case:
    """Bytes to send (or HTTP/2 requests), answers of the upstreams, what to look at."""

    id: str
    send: bytes | tuple[Step, ...] | tuple[Ask, ...]
    listener: str = "main"
    script: Mapping[str, Script] | Script = ()  # a sequence is for upstream a
    responses: int = 1  # final responses to wait for
    methods: str = ""  # of the requests sent, if not that of the first line
    settle: float = 0.25  # how long silence means that the connection stays open
    note: str = ""
    ignore: tuple[str, ...] = ()  # fields (globs) that are not compared, because they race
    any_order: bool = False  # requests reach an upstream by several connections: who comes first

    @property
    def steps(self) -> tuple[Step, ...] | tuple[Ask, ...]:
        """What the client does."""
        return (self.send,) if isinstance(self.send, bytes) else self.send

    @property
    def asks(self) -> tuple[Ask, ...]:
        """What the client does, if it speaks HTTP/2."""
        return tuple(step for step in self.steps if isinstance(step, Ask))

    @property
    def scripts(self) -> Mapping[str, Script]:
        """The answers by upstream."""
        return self.script if isinstance(self.script, Mapping) else {"a": self.script}

    @property
    def method_list(self) -> list[str]:
        """Request methods, which decide whether a response has a body."""
        if self.methods:
            return self.methods.split()
        first = next((s for s in self.steps if isinstance(s, bytes)), b"GET")
        return [first.lstrip().split(b" ")[0].decode("latin-1")]


@dataclass(frozen=True)
class Group:
    """Cases that share one bootstrap, hence one process of each proxy."""

    name: str
    listeners: Mapping[str, Listener]
    cases: Sequence[Case]
    clusters: str = ""  # YAML list of further clusters; ${a} is the port of upstream a
    upstreams: Sequence[str] = ("a", "b")
    http2: Sequence[str] = ()  # further upstreams, which speak HTTP/2
    doc: str = ""
    bootstrap: Mapping[str, object] = field(default_factory=dict)  # further top-level fields


def req(
    target: str = "/",
    *headers: str,
    method: str = "GET",
    host: str | None = "host.example",
    body: bytes = b"",
    version: str = "HTTP/1.1",
) -> bytes:
    """The bytes of a plain request; a body brings its content-length unless headers say more."""
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += headers
    framed = any(h.lower().startswith(("content-length:", "transfer-encoding:")) for h in headers)
    if body and not framed:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def ask(
    path: str = "/",
    *more: tuple[str, str],
    method: str = "GET",
    body: bytes | None = None,
    trailers: Headers | None = None,
    authority: str | None = "host.example",
    scheme: str | None = "http",
) -> tuple[Ask]:
    """A plain HTTP/2 request; None leaves a pseudo-header out."""
    head = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    fields = [(name, value) for name, value in head if value is not None]
    return (Ask([*fields, *more], body, trailers),)


def response(
    status: str = "200 OK", *headers: str, body: bytes = b"ok", version: str = "HTTP/1.1"
) -> bytes:
    """The bytes of an upstream's response; content-length is added unless headers frame it."""
    lines = [f"{version} {status}", *headers]
    framed = any(h.lower().startswith(("content-length:", "transfer-encoding:")) for h in headers)
    if not framed:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def reply(status: str = "200 OK", *headers: str, body: bytes = b"ok") -> list[Reply]:
    """A script of one such response."""
    return [Reply((response(status, *headers, body=body),))]


def raw(*parts: bytes | float | str, after: str = "body") -> list[Reply]:
    """A script of one response given as its parts."""
    return [Reply(parts, after)]


TO_A = """
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - name: all
    match: {prefix: "/"}
    route: {cluster: a}
"""
"""Everything to cluster a."""


TRAILERS_CLUSTER = """
- name: with_trailers
  type: STATIC
  connect_timeout: 1s
  typed_extension_protocol_options:
    envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
      explicit_http_config: {http_protocol_options: {enable_trailers: true}}
  load_assignment:
    cluster_name: with_trailers
    endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${a}}}}}]}]
"""
"""Upstream a, with HTTP/1 trailers on."""
