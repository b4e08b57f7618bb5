"""A sidecar between clients and an upstream, each of either protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.conftest import StartMesh
from tests.support import config, h2peer, tls_config
from tests.support.h2peer import Client
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.upstream import Upstream as Upstream1
from tests.support.waiting import until

NO_ERROR, REFUSED, CANCEL = 0, 7, 8
TRAILERS1 = tls_config.http_options(
    explicit_http_config={"http_protocol_options": {"enable_trailers": True}}
)


class Bridge:
    """A process between clients and one upstream of either protocol."""

    def __init__(self, start: StartMesh, folder: Path) -> None:
        self._start = start
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.log = folder / "access.log"
        self.proxy: Proxy
        self._up2: h2peer.Upstream | None = None
        self._up1: Upstream1 | None = None

    @property
    def up(self) -> h2peer.Upstream:
        """The upstream that speaks HTTP/2."""
        if self._up2 is None:
            self._up2 = h2peer.Upstream()
        return self._up2

    @up.setter
    def up(self, upstream: h2peer.Upstream) -> None:
        self._up2 = upstream

    @property
    def up1(self) -> Upstream1:
        """The upstream that speaks HTTP/1."""
        if self._up1 is None:
            self._up1 = Upstream1()
        return self._up1

    def __call__(
        self,
        *flags: str,
        to: int = 2,
        manager: dict[str, Any] | None = None,
        cluster: dict[str, Any] | None = None,
        route: dict[str, Any] | None = None,
        tls: config.Tree | None = None,
        **listener: Any,
    ) -> Proxy:
        """Serve: everything to the upstream of that version."""
        more = (tls_config.http2() if to == 2 else {}) | (cluster or {})
        port = self.up.port if to == 2 else self.up1.port
        fields = ("REQ(:PATH)", "PROTOCOL", "RESPONSE_CODE", "RESPONSE_FLAGS")
        fields += ("RESPONSE_CODE_DETAILS",)
        kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
        text = {"inline_string": "\t".join(f"%{f}%" for f in fields) + "\n"}
        log = {"@type": kind, "path": str(self.log), "log_format": {"text_format_source": text}}
        hcm = config.hcm(
            config.route_config("local", config.route("/", "up", **(route or {}))),
            access_log=[{"name": "log", "typed_config": log}],
            **(manager or {}),
        )
        chain = tls_config.chain(tls_config.http_filter(hcm), tls=tls)
        tree = tls_config.listener("web", self.port, chain, **listener)
        text = config.bootstrap(self.admin_port, [tree], [config.cluster("up", port, **more)])
        self.proxy = self._start(text, self.admin_port, *flags)
        return self.proxy

    def client(self, **more: Any) -> Client:
        return Client(self.port, **more)

    def stop(self) -> None:
        for up in (self._up1, self._up2):
            if up is not None:
                up.stop()

    def logged(self, count: int) -> list[list[str]]:
        """Lines of the access log, when there are so many."""
        until(lambda: self.log.exists() and self.log.read_text().count("\n") >= count)
        return [line.split("\t") for line in self.log.read_text().splitlines()]


def body(size: int) -> bytes:
    """Bytes of which each piece differs."""
    return b"".join(i.to_bytes(8, "big") for i in range(size // 8))
