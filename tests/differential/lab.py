"""Builds the bootstrap of a group, runs a proxy on it and observes what it does with a case."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import socket
import struct
import tempfile
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any

import yaml

from tests.differential.model import Case, Group, Listener
from tests.support import h2peer
from tests.support.client import Exchange, run_steps
from tests.support.http1 import Headers, Message
from tests.support.ports import free_port
from tests.support.proxies import OURS, Proxy
from tests.support.upstream import Blackhole, Received, Upstream

Record = dict[str, Any]

LOG_FIELDS = {
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "protocol": "%PROTOCOL%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "rx": "%BYTES_RECEIVED%",
    "tx": "%BYTES_SENT%",
    "route": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "upstream": "%UPSTREAM_HOST%",
    "upstream_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "termination": "%CONNECTION_TERMINATION_DETAILS%",
    "remote": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
}
LOG_FORMAT = "\t".join(LOG_FIELDS.values()) + "\n"
# In Envoy's default format: duration and upstream's service time.
_LOG_DURATIONS = re.compile(r'(^\[<time>\] ".*" \d+ \S+ \d+ \d+) \d+ (?:\d+|-) (?=")')
_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_UUID = re.compile(
    r"\b(?!11111111-2222)[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b"
)
_LOG_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def _machine_addresses() -> list[str]:
    """IPv4 addresses of this machine that are not loopback; Envoy puts one into x-forwarded-for."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            packed = struct.pack("256s", name.encode()[:15])
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, packed)
                found.append(socket.inet_ntoa(answer[20:24]))
    return [a for a in found if not a.startswith("127.")]


_SIOCGIFADDR = 0x8915
_PATIENCE = 3.0  # for the answer to an HTTP/2 request; some get none
_LOG_PATIENCE = 5.0
MACHINE_ADDRESSES = _machine_addresses()


def _merge(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """`more` over `base`; a null removes a field."""
    merged = base | more
    return {k: v for k, v in merged.items() if v is not None}


def build_listener(name: str, listener: Listener, port: int, log_path: str) -> dict[str, Any]:
    """The Listener resource."""
    routes = yaml.safe_load(listener.routes) or {}
    manager = {
        "@type": _HCM + "HttpConnectionManager",
        "stat_prefix": name,
        "delayed_close_timeout": "0.05s",
        "route_config": {"name": name, **routes},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": _FILE_LOG,
                    "path": log_path,
                    "log_format": {
                        "text_format_source": {"inline_string": listener.log or LOG_FORMAT}
                    },
                },
            }
        ],
    }
    manager = _merge(manager, yaml.safe_load(listener.options) or {})
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }


_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP2 = {
    "@type": f"type.googleapis.com/{_OPTIONS}",
    "explicit_http_config": {"http2_protocol_options": {}},
}


def static_cluster(name: str, port: int, **more: Any) -> dict[str, Any]:
    """A cluster with one endpoint on the loopback."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        **more,
    }


class Lab:
    """One proxy serving one group's bootstrap, with upstreams of its own."""

    def __init__(
        self, kind: str, group: Group, workdir: Path, without: Collection[str] = ()
    ) -> None:
        self.kind = kind
        self.group = group
        self.listeners = {k: v for k, v in group.listeners.items() if k not in without}
        self.workdir = Path(tempfile.mkdtemp(prefix=f"{group.name}-{kind}-", dir=workdir))
        self.upstreams: dict[str, Upstream | h2peer.Upstream] = {
            **{name: Upstream() for name in group.upstreams},
            **{name: h2peer.Upstream() for name in group.http2},
        }
        self.blackhole = Blackhole() if "blackhole" in group.clusters else None
        ports = {name: up.port for name, up in self.upstreams.items()}
        ports["refused"] = free_port()
        ports["admin"] = free_port()
        if self.blackhole:
            ports["blackhole"] = self.blackhole.port
        ports |= {f"l_{name}": free_port() for name in self.listeners}
        self.ports = ports
        self._names = {str(port): name for name, port in ports.items()}
        self._port_re = re.compile(r"\b(" + "|".join(self._names) + r")\b")
        self._log_at = dict.fromkeys(self.listeners, 0)
        for name in self.listeners:
            self._log_path(name).touch()
        text = self.bootstrap()
        # Each case waits for its lines; Envoy is always started so.
        flags = ("--file-flush-interval-msec", "10") if kind == OURS else ()
        self.proxy = Proxy(kind, text, self.workdir, ports["admin"], *flags)
        try:
            self.proxy.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the proxy and the upstreams."""
        self.proxy.stop()
        for upstream in self.upstreams.values():
            upstream.stop()
        if self.blackhole:
            self.blackhole.stop()

    def _log_path(self, listener: str) -> Path:
        return self.workdir / f"{listener}.log"

    def bootstrap(self) -> str:
        """The YAML both proxies get; only ports and paths differ."""
        group = self.group
        clusters = [static_cluster(name, self.upstreams[name].port) for name in group.upstreams]
        clusters += [
            static_cluster(
                name,
                self.upstreams[name].port,
                typed_extension_protocol_options={_OPTIONS: _HTTP2},
            )
            for name in group.http2
        ]
        clusters += yaml.safe_load(self._fill(group.clusters)) or []
        listeners = [
            build_listener(
                name,
                Listener(
                    self._fill(spec.routes),
                    self._fill(spec.options).replace("$LOG", str(self._log_path(name))),
                    spec.log,
                ),
                self.ports[f"l_{name}"],
                str(self._log_path(name)),
            )
            for name, spec in self.listeners.items()
        ]
        admin = {"socket_address": {"address": "127.0.0.1", "port_value": self.ports["admin"]}}
        tree = {
            "node": {"id": "node-1", "cluster": "differential"},
            "admin": {"address": admin},
            "static_resources": {"listeners": listeners, "clusters": clusters},
            **group.bootstrap,
        }
        return yaml.safe_dump(tree, sort_keys=False, width=100)

    def _fill(self, text: str) -> str:
        return Template(text).safe_substitute({k: str(v) for k, v in self.ports.items()})

    # -- one case ---------------------------------------------------------------------------

    def observe(self, case: Case, known: Record | None = None) -> Record:
        """What happens. `known` (an earlier record) only says how long to wait for things."""
        for name, upstream in self.upstreams.items():
            upstream.script(case.scripts.get(name, ()))  # type: ignore[arg-type]
        self._new_lines(case.listener)
        closes = known is not None and known["connection"] != "open"
        if case.asks:
            settle = 1.0 if closes else 0.12 if known is not None else case.settle
            record = self._ask(case, settle)
            lines = self._log_lines(case.listener, None if known is None else len(known["log"]))
            return {**record, **self._seen(case, lines)}
        steps: tuple[Any, ...] = tuple(
            self._send(s) if isinstance(s, bytes) else s for s in case.steps
        )
        exchange = run_steps(
            self.ports[f"l_{case.listener}"],
            steps,
            case.method_list,
            case.responses,
            settle=5.0 if closes else case.settle if known is None else min(case.settle, 0.12),
        )
        lines = self._log_lines(case.listener, None if known is None else len(known["log"]))
        return self._record(case, exchange, lines)

    def _ask(self, case: Case, settle: float) -> Record:
        with h2peer.Client(self.ports[f"l_{case.listener}"]) as client:
            responses = []
            for ask in case.asks:
                if client.closed != "open":
                    break
                stream = client.request(ask.headers, ask.body, ask.trailers, _PATIENCE)
                responses.append(self._response2(stream))
            client.wait_closed(settle)
            told = "" if client.goaway is None else f", GOAWAY {int(client.goaway.error_code or 0)}"
            return {"responses": responses, "connection": client.closed + told}

    def _send(self, data: bytes) -> bytes:
        for name, port in self.ports.items():
            data = data.replace(b"${%s}" % name.encode(), str(port).encode())
        return data

    def _new_lines(self, listener: str) -> list[str]:
        with self._log_path(listener).open("rb") as log:
            log.seek(self._log_at[listener])
            data = log.read()
        end = data.rfind(b"\n") + 1
        self._log_at[listener] += end
        return data[:end].decode("latin-1").splitlines()

    def _log_lines(self, listener: str, expected: int | None) -> list[str]:
        """All lines the case wrote: waits for the expected number, then for silence."""
        lines: list[str] = []
        wanted = 1 if expected is None else expected
        end = time.monotonic() + (1.0 if expected is None else _LOG_PATIENCE)
        pause = 0.08 if expected is None else 0.04
        quiet = time.monotonic() + pause
        while time.monotonic() < (quiet if len(lines) >= wanted else end):
            if new := self._new_lines(listener):
                lines += new
                quiet = time.monotonic() + pause
            time.sleep(0.01)
        return lines

    # -- normal form ------------------------------------------------------------------------

    def _text(self, text: str) -> str:
        """Ports by name, ids and times by kind."""
        text = self._port_re.sub(lambda m: "${" + self._names[m[1]] + "}", text)
        text = re.sub(r"(127\.0\.0\.1:)\d+", r"\1<port>", text)
        text = _LOG_TIME.sub("<time>", text)
        text = _LOG_DURATIONS.sub(r"\1 <ms> <ms> ", text)
        for address in MACHINE_ADDRESSES:
            text = text.replace(address, "<machine-address>")
        return _UUID.sub(r"<uuid-\1>", text)

    def _headers(self, headers: Headers) -> list[str]:
        return [f"{name}: {_short(self._header(name.lower(), value))}" for name, value in headers]

    def _header(self, name: str, value: str) -> str:
        if name == "date" and _is_now(value):
            return "<date>"
        if name == "x-envoy-upstream-service-time" and value.isdigit():
            return "<ms>"
        return self._text(value)

    def _body(self, body: bytes) -> str:
        if len(body) > 400:
            return f"<{len(body)} bytes, sha1 {_sha1(body)}>"
        return self._text(body.decode("latin-1"))

    def _response(self, message: Message) -> Record:
        record: Record = {
            "start": message.start,
            "headers": self._headers(message.headers),
            "body": self._body(message.body),
            "framing": message.framing,
        }
        if message.trailers:
            record["trailers"] = self._headers(message.trailers)
        if not message.complete:
            record["incomplete"] = True
        return record

    def _response2(self, stream: h2peer.Stream) -> Record:
        record: Record = {
            "start": stream.get(":status") or "",
            "headers": self._headers(stream.headers),
            "body": self._body(stream.body),
            "framing": "http2",
        }
        if stream.informational:
            record["informational"] = [str(each) for each in stream.informational]
        if stream.trailers:
            record["trailers"] = self._headers(stream.trailers)
        if stream.reset is not None:
            record["reset"] = stream.reset
        elif not stream.ended:
            record["incomplete"] = True
        return record

    def _request2(self, name: str, request: h2peer.Stream) -> Record:
        record: Record = {"to": name, "start": "", "headers": self._headers(request.headers)}
        if request.body:
            record["body"] = self._body(request.body)
        if request.trailers:
            record["trailers"] = self._headers(request.trailers)
        if not request.ended:
            record["incomplete"] = True
        return record

    def _request(self, name: str, request: Received | h2peer.Stream) -> Record:
        if isinstance(request, h2peer.Stream):
            return self._request2(name, request)
        record: Record = {
            "to": name,
            "start": _short(self._text(request.start)),
            "headers": self._headers(request.headers),
        }
        if request.framing != "none":
            record["body"] = self._body(request.body)
            record["framing"] = request.framing
        if request.trailers:
            record["trailers"] = self._headers(request.trailers)
        if not request.complete:
            record["incomplete"] = True
        return record

    def _record(self, case: Case, exchange: Exchange, lines: list[str]) -> Record:
        record: Record = {
            "responses": [self._response(m) for m in exchange.messages],
            "connection": exchange.closed,
        }
        if exchange.leftover:
            record["leftover"] = self._text(exchange.leftover.decode("latin-1"))
        return {**record, **self._seen(case, lines)}

    def _seen(self, case: Case, lines: list[str]) -> Record:
        """What the upstreams got and the log says."""
        record: Record = {
            "upstream": [
                self._request(name, request)
                for name, upstream in self.upstreams.items()
                for request in upstream.requests
            ],
        }
        if self.group.listeners[case.listener].log:
            record["log"] = [self._text(line) for line in lines]
        else:
            record["log"] = [
                {
                    key: _short(self._text(value))
                    for key, value in zip(LOG_FIELDS, line.split("\t"), strict=False)
                    if value != "-"
                }
                for line in lines
            ]
        return record


def _is_now(value: str) -> bool:
    """A date header of about now, in the one right form."""
    with contextlib.suppress(ValueError):
        seen = datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        return abs(datetime.now(UTC) - seen) < timedelta(hours=1)
    return False


def _short(text: str) -> str:
    """Long texts by length and digest."""
    if len(text) <= 400:
        return text
    return f"{text[:40]}...<{len(text)} characters, sha1 {_sha1(text.encode('latin-1'))}>"


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()[:12]
