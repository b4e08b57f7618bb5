"""`mesh run --service NAME --port N -- CMD`: a program of this machine, in the mesh."""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from controlplane.agent import join
from controlplane.agent.plan import Failed, Plan, default_proxy
from controlplane.agent.ports import reserve
from controlplane.agent.run import run
from controlplane.ca import grants
from controlplane.ca.names import is_name
from controlplane.commands.arguments import Parser
from controlplane.resources.rules.addresses import is_ip
from controlplane.translation.names import parse_port

_USAGE = "mesh run --join FILE --service NAME [--port N] [flags] -- COMMAND [ARGUMENT...]"


class _Wrong(Exception):
    """A flag cannot be taken; `str()` says which and why."""


def main(argv: list[str]) -> int:
    """The program's exit code, or 1 if it could not be run."""
    options = _options(argv)
    logging.basicConfig(
        level=options.log_level.upper(),
        format=f"mesh run [{options.service}]: %(message)s",
        stream=sys.stderr,
    )
    try:
        return asyncio.run(run(_plan(options)))
    except (_Wrong, join.BadJoin, Failed, OSError) as error:
        print(f"mesh run [{options.service}]: {error}", file=sys.stderr)
        return 1


def _plan(options: argparse.Namespace) -> Plan:
    """All that can be wrong without the control plane is said here: a join file's token is used up
    by the first who shows it. Raises _Wrong."""
    if options.gateway and options.command:
        raise _Wrong("a gateway runs no program; leave the command out")
    if not options.command and not options.gateway:
        raise _Wrong(f"no command; write {_USAGE}")
    proxy = _words(options.proxy) if options.proxy else default_proxy()
    _can_be_run(options.command[:1], proxy[:1])
    _check_numbers(options)
    if options.address and not is_ip(options.address):
        raise _Wrong(f"--address {options.address}: must be an IP address of this machine")
    outer, inner, reserved = [], [], []
    for text in options.port:
        port, _, application = text.partition(":")
        outer.append(_port(port, "--port"))
        if application == "auto":
            reserved.append(reserve())
            inner.append(reserved[-1].getsockname()[1])
        else:
            inner.append(_port(application or port, "--port"))
    labels = _all_labels(options)
    read = join.read(Path(options.join))
    return Plan(
        join=read,
        join_path=Path(options.join).absolute(),
        name=_name(options.name, "--name") or _default_name(options.service, options.version),
        name_is_fixed=bool(options.name),
        group=_name(options.group, "--group"),
        type="router" if options.gateway else "sidecar",
        labels=labels,
        ports=tuple(outer),
        application_ports=tuple(inner),
        reserved=tuple(reserved),
        command=tuple(_with_port(options.command, inner)),
        proxy=proxy,
        egress=tuple(_egress(one, read.namespace) for one in options.egress),
        address=options.address,
        http_proxy_port=options.http_proxy_port,
        admin_port=options.admin_port,
        drain_seconds=options.drain_seconds,
        start_seconds=options.start_seconds,
    )


def _can_be_run(*commands: Sequence[str]) -> None:
    for one in commands:
        if one and shutil.which(one[0]) is None:
            raise _Wrong(
                f"{one[0]}: there is no such program here or on PATH, or it may not be run"
            )


def _check_numbers(options: argparse.Namespace) -> None:
    for flag, port in (
        ("--http-proxy-port", options.http_proxy_port),
        ("--admin-port", options.admin_port),
    ):
        if port:
            _port(str(port), flag)
    for flag, seconds in (
        ("--drain-seconds", options.drain_seconds),
        ("--start-seconds", options.start_seconds),
    ):
        if seconds is not None and not 0 <= seconds < math.inf:
            raise _Wrong(f"{flag} {seconds:g}: must be seconds, 0 or more")


def _name(text: str, flag: str) -> str:
    """Without dots: behind the first one is the namespace."""
    if text and not (is_name(text) and "." not in text):
        raise _Wrong(
            f"{flag} {text}: is no name: lower-case letters, digits and hyphens, 253 at most"
        )
    return text


def _default_name(service: str, version: str) -> str:
    """`reviews-v1`; what labels may have and names may not becomes a hyphen."""
    return re.sub(r"[^a-z0-9]+", "-", f"{service}-{version}".lower()).strip("-")


def _all_labels(options: argparse.Namespace) -> dict[str, str]:
    labels = {"app": options.service, "version": options.version, **_labels(options.label)}
    try:
        grants.of_pairs(labels.items())
    except grants.Unreadable as error:
        raise _Wrong(f"--service, --version, --label: {error}") from None
    return labels


def _with_port(command: list[str], ports: list[int]) -> list[str]:
    """`{port}` in the command is the program's port."""
    first = str(ports[0]) if ports else ""
    return [word.replace("{port}", first) for word in command]


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise _Wrong(f"--proxy {command}: {error}") from None


def _port(text: str, flag: str) -> int:
    number = parse_port(text)
    if number is None:
        raise _Wrong(f"{flag} {text}: must be a port from 1 to 65535")
    return number


def _labels(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        key, separator, value = one.partition("=")
        if not (key and separator):
            raise _Wrong(f"--label {one}: write KEY=VALUE")
        found[key] = value
    return found


def _egress(text: str, namespace: str) -> tuple[int, str]:
    """`20001=ratings:9080`, a short name in the workload's namespace."""
    local, separator, remote = text.partition("=")
    host, colon, port = remote.rpartition(":")
    if not (separator and colon and host):
        raise _Wrong(f"--egress {text}: write LOCAL_PORT=HOST:PORT")
    full = host if "." in host else f"{host}.{namespace}.svc.cluster.local"
    return _port(local, "--egress"), f"{full}:{_port(port, '--egress')}"


def _options(argv: list[str]) -> argparse.Namespace:
    own, command = argv, []
    if "--" in argv:
        place = argv.index("--")
        own, command = argv[:place], argv[place + 1 :]
    parser = Parser(
        prog="mesh run",
        usage=_USAGE,
        description="Run a program with a sidecar. Its requests go through the HTTP proxy that"
        " http_proxy names. It is to listen on 127.0.0.1, on the port that its environment has in"
        " PORT and its arguments have for {port}; on several --port, the first one. The exit code"
        " is the program's. SIGTERM and Ctrl-C end it in good order, a second one at once.",
        epilog="How the sidecar starts and the program is probed the mesh says, too: ProxyConfig,"
        " MeshConfig's defaultConfig, the probe of the WorkloadGroup.",
        allow_abbrev=False,
    )
    parser.add_argument("--join", metavar="FILE", required=True, help="made by `mesh token create`")
    parser.add_argument("--service", metavar="NAME", required=True, help="the label app")
    parser.add_argument("--version", metavar="NAME", default="v1", help="the label version (v1)")
    parser.add_argument(
        "--name",
        help="of the workload (SERVICE-VERSION, and a number behind it where that is taken)",
    )
    parser.add_argument(
        "--group",
        default="",
        metavar="NAME",
        help="the WorkloadGroup whose probe holds (the one for the labels)",
    )
    parser.add_argument(
        "--port",
        metavar="N[:M]",
        action="append",
        default=[],
        help="the service's TCP port, and the program's where it is another (auto: a free one)",
    )
    parser.add_argument(
        "--gateway",
        action="store_true",
        help="no program: the ports of the Gateways that select the labels",
    )
    parser.add_argument(
        "--label",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a further label; the join file must grant it",
    )
    parser.add_argument(
        "--egress",
        metavar="PORT=HOST:PORT",
        action="append",
        default=[],
        help="a port on 127.0.0.1 for one service, for what is not HTTP",
    )
    parser.add_argument("--address", default="", help="of the workload (one on loopback)")
    parser.add_argument(
        "--http-proxy-port",
        type=int,
        default=0,
        metavar="N",
        help="where the program's requests go, on 127.0.0.1 (a free one)",
    )
    parser.add_argument(
        "--admin-port",
        type=int,
        default=0,
        metavar="N",
        help="of the sidecar, on 127.0.0.1 (the mesh's proxyAdminPort, or a free one)",
    )
    parser.add_argument(
        "--drain-seconds",
        type=float,
        metavar="S",
        help="how long what is under way may take at the end (terminationDrainDuration)",
    )
    parser.add_argument(
        "--start-seconds",
        type=float,
        default=60.0,
        metavar="S",
        help="how long sidecar and program may take to start (60)",
    )
    parser.add_argument(
        "--proxy",
        metavar="COMMAND",
        default=os.environ.get("MESH_PROXY", ""),
        help="another sidecar than ours, Envoy's for one",
    )
    parser.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning"),
        help="of the agent (info)",
    )
    options = parser.parse_args(own)
    options.command = command
    return options
