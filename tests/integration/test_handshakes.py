"""Handshakes that come at once, with the control plane as it runs. gRPC ends the process by SIGSEGV
when it is handed a new certificate while another thread is in the wrong place."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from controlplane.ca.authority import roll
from tests.support.mesh import Mesh, until
from tests.support.proxies import OURS

#: Before this was mended 300 to 1,600 were enough.
_HANDSHAKES, _AT_ONCE = 3_000, 8


def test_handshakes_at_once_and_a_root_that_rolls(tmp_path: Path) -> None:
    with Mesh(tmp_path, OURS) as mesh:
        authority = mesh.state / "ca"
        context = ssl.create_default_context(cafile=authority / "root.pem")
        context.set_alpn_protocols(["h2"])

        def shake(number: int) -> str | None:
            if number == _HANDSHAKES // 2:
                roll(authority)
            address = ("127.0.0.1", mesh.ports["join"])
            with (
                socket.create_connection(address, 20) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as one,
            ):
                return one.selected_alpn_protocol()

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            assert set(pool.map(shake, range(_HANDSHAKES))) == {"h2"}
        until(lambda: "the authority has changed" in mesh.log("control"), "no roll", mesh.log)
        assert shake(0) == "h2"
        assert mesh.control.poll() is None
