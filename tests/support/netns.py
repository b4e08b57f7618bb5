"""Network namespaces for tests: addresses, routes and iptables of their own, gone with the test.

A namespace lives as long as the process that holds it; nothing is left in /run/netns. A socket
stays in the namespace that it was made in, so only making it needs a thread that has entered.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import http.client
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.proxies import Proxy, die_with_parent

_NEWNET = 0x40000000
_PATIENCE = 20.0
_libc = ctypes.CDLL("libc.so.6", use_errno=True)


class Namespace:
    """One namespace, its loopback up."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec sleep 600"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if not self._holder.stdout.readline():
            raise OSError(self._holder.stderr.read().decode().strip())
        self.path = f"/proc/{self._holder.pid}/ns/net"
        self.enter = ["nsenter", f"--net={self.path}", "--"]
        # Without duplicate address detection IPv6 is there at once.
        for interfaces in ("all", "default"):
            self.sysctl(f"net.ipv6.conf.{interfaces}.accept_dad", 0)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *argv: str) -> str:
        """Output of a command inside; raises with what it says if it fails."""
        done = subprocess.run(
            [*self.enter, *argv], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
        if done.returncode:
            raise OSError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def ip(self, text: str) -> None:
        """An `ip` command."""
        self.run("ip", *text.split())

    def iptables(self, text: str, *, v6: bool = False) -> None:
        """An iptables rule."""
        self.run("ip6tables" if v6 else "iptables", "-w", *text.split())

    def sysctl(self, name: str, value: int) -> None:
        """A setting of the namespace."""
        self.run("sh", "-c", f"echo {value} > /proc/sys/{name.replace('.', '/')}")

    def netstat(self, name: str) -> int:
        """A counter of /proc/net/netstat (TcpExt)."""
        rows = self.run("cat", "/proc/self/net/netstat").splitlines()
        for keys, values in zip(rows[::2], rows[1::2], strict=True):
            found = dict(zip(keys.split(), values.split(), strict=True))
            if name in found:
                return int(found[name])
        raise KeyError(name)

    def socket(self, family: int = socket.AF_INET) -> socket.socket:
        """A TCP socket inside."""
        made: list[socket.socket | OSError] = []

        def work() -> None:
            try:
                with open(self.path) as namespace:
                    if _libc.setns(namespace.fileno(), _NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                made.append(socket.socket(family))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        found = made[0]
        if isinstance(found, OSError):
            raise found
        found.settimeout(_PATIENCE)
        return found

    def connect(self, host: str, port: int) -> socket.socket:
        """A client's socket."""
        conn = self.socket(_family(host))
        try:
            conn.connect((host, port))
        except OSError:
            conn.close()
            raise
        return conn

    def listen(self, host: str, port: int) -> socket.socket:
        """A server's socket."""
        listener = self.socket(_family(host))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
        listener.settimeout(None)
        return listener

    def stop(self) -> None:
        """Let go of it; it ends with its last process and socket."""
        self._holder.kill()
        self._holder.communicate()


class NamespacedProxy(Proxy):
    """A proxy inside a namespace, its admin port too."""

    def __init__(self, namespace: Namespace, kind: str, *args: Any, **more: Any) -> None:
        self._namespace = namespace
        super().__init__(kind, *args, prefix=namespace.enter, **more)

    def admin(self, method: str, path: str) -> tuple[int, str]:
        """Status and body of a request to the admin port."""
        conn = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        conn.sock = self._namespace.connect("127.0.0.1", self.admin_port)
        with contextlib.closing(conn):
            conn.request(method, path)
            response = conn.getresponse()
            return response.status, response.read().decode()


@contextlib.contextmanager
def namespaces(count: int = 1) -> Iterator[list[Namespace]]:
    """So many of them."""
    made: list[Namespace] = []
    try:
        made.extend(Namespace() for _ in range(count))
        yield made
    finally:
        for each in made:
            each.stop()


def link(a: Namespace, name_a: str, b: Namespace, name_b: str) -> None:
    """A cable between two."""
    a.ip(f"link add {name_a} type veth peer name {name_b} netns {Path(b.path).parts[2]}")
    a.ip(f"link set {name_a} up")
    b.ip(f"link set {name_b} up")


@functools.cache
def why_not() -> str:
    """Why there can be no namespaces here; empty if there can."""
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            return f"there is no `{tool}` (Debian: util-linux, iproute2)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with namespaces(2) as (a, b):
            link(a, "a0", b, "b0")
    except OSError as error:
        return f"no network namespaces here: {error}"
    return ""


@functools.cache
def why_no_iptables(rule: str, *, v6: bool = False) -> str:
    """Why a rule cannot be had here; empty if it can."""
    if reason := why_not():
        return reason
    try:
        with namespaces() as (inside,):
            inside.iptables(rule, v6=v6)
    except OSError as error:
        return f"no such iptables rule here: {error}"
    return ""


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
