"""The admin port: what is asked of a proxy and how the answers are put into normal form."""

from __future__ import annotations

import http.client
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.upstream import Upstream

FOLDER = Path(__file__).parent / "oracle" / "admin"

BOOTSTRAP = """
node: {id: node-1, cluster: admin}
admin:
  address: {socket_address: {address: 127.0.0.1, port_value: ${admin}}}
static_resources:
  listeners:
  - name: ingress
    address: {socket_address: {address: 127.0.0.1, port_value: ${listener}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - {match: {prefix: /ok}, route: {cluster: a}}
              - {match: {prefix: /down}, route: {cluster: down}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: a
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: a
      endpoints:
      - locality: {region: r, zone: z, sub_zone: s}
        lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${a}}}}
          load_balancing_weight: 3
  - name: down
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: down
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${down}}}}}]}]
"""


# In this order: some change what later ones say.
QUESTIONS = [
    ("GET", "/ready"), ("HEAD", "/ready"), ("POST", "/ready"), ("OPTIONS", "/ready"),
    ("GET", "/ready?x=1"), ("GET", "/ready/"), ("GET", "/"), ("GET", "/nope"), ("POST", "/nope"),
    ("GET", "/help"), ("GET", "/server_info"), ("GET", "/certs"), ("GET", "/listeners"),
    ("GET", "/listeners?format=json"), ("GET", "/listeners?format=bogus"), ("GET", "/clusters"),
    ("GET", "/clusters?format=json"), ("GET", "/clusters?filter=^a$"),
    ("GET", "/stats"), ("POST", "/stats"), ("GET", "/stats?usedonly"),
    ("GET", "/stats?filter=no.such.stat"), ("GET", "/stats?filter=["),
    ("GET", "/stats?format=json"), ("GET", "/stats?format=prometheus"),
    ("GET", "/stats?format=bogus"), ("GET", "/stats?type=bogus"),
    ("GET", "/stats?histogram_buckets=bogus"), ("GET", "/stats/prometheus"),
    ("GET", "/stats/prometheus?filter=no.such.stat"), ("GET", "/config_dump"),
    ("GET", "/config_dump?resource=bogus"), ("GET", "/config_dump?resource=static_listeners"),
    ("GET", "/config_dump?mask=bogus"), ("GET", "/config_dump?include_eds"),
    ("GET", "/config_dump?name_regex=["), ("GET", "/memory"), ("GET", "/runtime"),
    ("GET", "/init_dump"), ("GET", "/hot_restart_version"),
    ("GET", "/logging"), ("POST", "/logging"), ("POST", "/logging?level=info"),
    ("POST", "/logging?level=bogus"), ("POST", "/logging?http=debug"),
    ("POST", "/logging?nope=debug"), ("POST", "/logging?paths=http:info,router:debug"),
    ("POST", "/logging?paths=nope:info"), ("POST", "/logging?level=warning"),
    ("GET", "/healthcheck/fail"), ("PUT", "/healthcheck/fail"), ("POST", "/healthcheck/fail"),
    ("GET", "/ready"), ("GET", "/stats?filter=^server.(live|state)$"),
    ("GET", "/healthcheck/ok"), ("POST", "/healthcheck/ok"), ("GET", "/ready"),
    ("GET", "/reset_counters"), ("POST", "/reset_counters"),
    ("GET", "/stats?filter=^http.web.downstream_rq_total$"),
    ("GET", "/stats?filter=^cluster.a.membership_total$"),
    ("POST", "/reopen_logs"), ("GET", "/reopen_logs"), ("GET", "/drain_listeners"),
    ("POST", "/drain_listeners"), ("GET", "/listeners"), ("GET", "/ready"),
    ("GET", "/quitquitquit"),
]  # fmt: skip


@dataclass
class Answer:
    """One admin response."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name), None)


class AdminLab:
    """A proxy on the small bootstrap above, with some traffic through it."""

    def __init__(self, kind: str, workdir: Path) -> None:
        self.upstream = Upstream()
        self.ports = {
            "admin": free_port(),
            "listener": free_port(),
            "a": self.upstream.port,
            "down": free_port(),
        }
        text = BOOTSTRAP
        for name, port in self.ports.items():
            text = text.replace("${" + name + "}", str(port))
        self.proxy = Proxy(kind, text, workdir, self.ports["admin"])
        self.proxy.wait_ready()

    def stop(self) -> None:
        """End the proxy and its upstream."""
        self.proxy.stop()
        self.upstream.stop()

    def traffic(self) -> None:
        """Two good requests on one connection, one 404, one 503; the flush of histograms."""
        with Connection(self.ports["listener"]) as conn:
            for target in ("/ok", "/ok/2", "/nothing", "/down"):
                conn.request(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        time.sleep(0.3)

    def ask(self, target: str, method: str = "GET") -> Answer:
        """One request to the admin port."""
        conn = http.client.HTTPConnection("127.0.0.1", self.ports["admin"], timeout=10)
        try:
            conn.request(method, target)
            response = conn.getresponse()
            return Answer(response.status, response.getheaders(), response.read().decode())
        finally:
            conn.close()

    def normal(self, text: str) -> str:
        """Ports by name, volatile numbers masked."""
        for name, port in self.ports.items():
            text = re.sub(rf"(?<!\d){port}(?!\d)", "${" + name + "}", text)
        return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "<time>", text)


def shape(value: Any) -> Any:
    """The keys and types of JSON; lists by their first element."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value[:1]]
    return type(value).__name__
