"""HTTP filters over time: faults that hold a request, clients that leave meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import config, h2peer
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.proxies import OURS, Proxy
from tests.support.tcp import wait_for
from tests.support.upstream import Upstream

_HTTP = "type.googleapis.com/envoy.extensions.filters.http."
_FILTERS = f"""
- name: fault
  typed_config:
    "@type": {_HTTP}fault.v3.HTTPFault
    max_active_faults: 1
    delay: {{header_delay: {{}}, percentage: {{numerator: 100}}}}
    abort: {{http_status: 418, percentage: {{numerator: 100}}}}
    headers: [{{name: x-envoy-fault-delay-request, present_match: true}}]
- name: mutation
  typed_config:
    "@type": {_HTTP}header_mutation.v3.HeaderMutation
    mutations: {{request_mutations: [{{append: {{header: {{key: x-seen, value: "yes"}}}}}}]}}
- name: router
  typed_config: {{"@type": {config.ROUTER}}}
"""
_HELD = b"GET /held HTTP/1.1\r\nhost: a\r\nx-envoy-fault-delay-request: 600000\r\n\r\n"
_PLAIN = b"GET /plain HTTP/1.1\r\nhost: a\r\n\r\n"
_ACTIVE = "http.web.fault.active_faults"
_LOG = "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"


class Site:
    """A proxy whose filters hold whoever asks for it."""

    def __init__(self, proxy: Proxy, port: int, upstream: Upstream, log: Path) -> None:
        self.proxy = proxy
        self.port = port
        self.upstream = upstream
        self._log = log

    def wait_active(self, number: int) -> None:
        """Until so many requests are held."""
        wait_for(lambda: self.proxy.stat(_ACTIVE) == number, f"{number} held")

    def wait_line(self, start: str) -> str:
        """The line of the access log that begins so."""
        found: list[str] = []

        def is_there() -> bool:
            lines = self._log.read_text().splitlines() if self._log.exists() else []
            found[:] = [line for line in lines if line.startswith(start)]
            return bool(found)

        wait_for(is_there, f"a line {start!r}")
        return found[0]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two workers, so that what they count is counted together."""
    port, admin_port, upstream = free_port(), free_port(), Upstream()
    log = tmp_path / "access.log"
    kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    form = {"text_format_source": {"inline_string": _LOG}}
    typed = {"@type": kind, "path": str(log), "log_format": form}
    routes = config.route_config("r", config.route("/", "a"))
    manager = config.hcm(
        routes,
        http_filters=yaml.safe_load(_FILTERS),
        access_log=[{"name": "file", "typed_config": typed}],
    )
    text = config.bootstrap(
        admin_port, [config.listener("l", port, manager)], [config.cluster("a", upstream.port)]
    )
    flags = ("--concurrency", "2", "--file-flush-interval-msec", "10")
    with Proxy(OURS, text, tmp_path, admin_port, *flags) as proxy:
        yield Site(proxy, port, upstream, log)
    upstream.stop()


def _get(port: int, request: bytes) -> int:
    with Connection(port) as client:
        client.methods = ["GET"]
        client.send(request)
        client.wait_for(1)
        return client.parsed()[0][0].status


def test_a_client_that_leaves_frees_its_fault(site: Site) -> None:
    """What it held is given back, and the log says what befell it."""
    with Connection(site.port) as client:
        client.send(_HELD)
        site.wait_active(1)
    site.wait_active(0)
    line = site.wait_line("/held")
    assert line == "/held 0 DI,DC downstream_remote_disconnect"
    assert not site.upstream.requests


def test_faults_at_once_are_limited_over_all_workers(site: Site) -> None:
    """Whoever comes while one is at work passes, whichever worker has it."""
    with Connection(site.port) as client:
        client.send(_HELD)
        site.wait_active(1)
        for n in range(8):
            assert _get(site.port, _HELD) == 200, n
        assert site.proxy.stat("http.web.fault.faults_overflow") == 8
    site.wait_active(0)


def test_streams_beside_a_held_one_go_on(site: Site) -> None:
    """Of one HTTP/2 connection; a reset ends the wait."""
    head = [(":method", "GET"), (":scheme", "http"), (":authority", "a")]
    with h2peer.Client(site.port) as client:
        held = client.begin(
            [*head, (":path", "/held"), ("x-envoy-fault-delay-request", "600000")], end=True
        )
        site.wait_active(1)
        plain = client.request([*head, (":path", "/plain")])
        assert plain.get(":status") == "200"
        assert not held.ended
    site.wait_active(0)


def test_after_a_delay_the_filters_behind_it_see_the_request(site: Site) -> None:
    """An abort follows; without one the request would go on where it was held."""
    request = _HELD.replace(b"600000", b"1")
    assert _get(site.port, request) == 418
    assert _get(site.port, _PLAIN) == 200
    assert [r.get("x-seen") for r in site.upstream.requests] == ["yes"]
    assert site.wait_line("/held") == "/held 418 DI,FI fault_filter_abort"
