"""The life of `mesh control`: sources, world, discovery, certificates, until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from datetime import timedelta
from pathlib import Path

from controlplane import descriptors, garbage
from controlplane.ca.authority import Unusable
from controlplane.ca.proofs import Invalid
from controlplane.ca.rejoin import GRACE
from controlplane.commands.arguments import Parser
from controlplane.commands.flags import DEFAULT_CONFIG, DEFAULT_STATE, config_folder, state_folder
from controlplane.control import Control, Settings
from controlplane.quiet import Quiet
from controlplane.resources.schema import parse_duration
from controlplane.xds.options import Debounce, Limits

_LOG = logging.getLogger("controlplane")
_LONGEST_REJOIN = 90 * 24 * 3600
_LONGEST_DEBOUNCE = 60.0


def main(argv: list[str]) -> int:
    """`mesh control`. Exit code 0 when it was told to end, 1 when it cannot serve."""
    options = _options(argv)
    logging.basicConfig(
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[_handler()],
    )
    try:
        for flag in ("secure", "join", "debug", "plaintext"):
            _check_address(f"--{flag}-address", getattr(options, f"{flag}_address"))
        settings = Settings(
            config=config_folder(options.config),
            state=state_folder(options.state),
            secure=options.secure_address,
            join=options.join_address,
            debug=options.debug_address,
            plaintext=options.plaintext_address,
            trust_plaintext=options.trust_plaintext,
            mesh_config=Path(options.mesh_config) if options.mesh_config else None,
            names=tuple(options.name),
            rejoin=_rejoin(options.rejoin),
            debounce=_debounce(options.debounce_after, options.debounce_max),
            limits=_limits(bool(options.plaintext_address)),
            operators=frozenset(options.operator),
        )
        garbage.look_rarely()
        asyncio.run(_serve(settings))
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"mesh control: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except (RuntimeError, ValueError, Unusable, Invalid) as error:
        print(f"mesh control: {error}", file=sys.stderr)
        return 1
    return 0


def _check_address(flag: str, text: str) -> None:
    """`HOST:PORT`, a unix socket, or "" for none. Raises ValueError."""
    host, _, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else -1
    if text and not text.startswith("unix:") and not (host and 0 <= number <= 65535):
        raise ValueError(f"{flag} {text}: write HOST:PORT, as in 127.0.0.1:15012")


def _handler() -> logging.Handler:
    made = logging.StreamHandler(sys.stderr)
    made.addFilter(Quiet())
    return made


async def _serve(settings: Settings) -> None:
    control = Control(settings)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with control:
        _LOG.info("serving: %s", control.addresses())
        waiting = loop.create_task(ended.wait())
        failing = loop.create_task(control.failed())
        done, _ = await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
        for task in {waiting, failing} - done:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if failing in done:
            failing.result()


def _rejoin(text: str) -> timedelta:
    seconds = parse_duration(text)
    if seconds is None or not 0 <= seconds <= _LONGEST_REJOIN:
        raise ValueError(f"--rejoin {text}: write a duration from 0s to {_LONGEST_REJOIN // 3600}h")
    return timedelta(seconds=seconds)


def _debounce(after: str, most: str) -> Debounce:
    """Raises ValueError for what is no duration."""
    found = []
    for flag, text in (("--debounce-after", after), ("--debounce-max", most)):
        seconds = parse_duration(text)
        if seconds is None or not 0 <= seconds <= _LONGEST_DEBOUNCE:
            raise ValueError(f"{flag} {text}: must be a duration from 0s to 1m: 100ms, 1s")
        found.append(float(seconds))
    return Debounce(*found)


def _limits(plaintext: bool) -> Limits:
    """Raises ValueError."""
    files = descriptors.raise_limit()
    found = descriptors.fitting(Limits(), files, 2 if plaintext else 1)
    if found.connections < Limits().connections:
        _LOG.info("%d open files (ulimit -n) let %d sidecars connect", files, found.connections)
    return found


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="mesh control",
        description="The control plane: Istio's configuration in, xDS and certificates out.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        metavar="DIR",
        help=f"the folder of configuration (else $MESH_CONFIG, else {DEFAULT_CONFIG})",
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        help=f"keys, tokens, audit log (else $MESH_STATE, else {DEFAULT_STATE})",
    )
    parser.add_argument(
        "--secure-address",
        metavar="HOST:PORT",
        default="127.0.0.1:15012",
        help="xDS and certificates, for those who have a certificate (%(default)s)",
    )
    parser.add_argument(
        "--join-address",
        metavar="HOST:PORT",
        default="127.0.0.1:15011",
        help="certificates for those who have a token (%(default)s)",
    )
    parser.add_argument(
        "--debug-address",
        metavar="HOST:PORT",
        default="127.0.0.1:15014",
        help="status and metrics over HTTP, on loopback (%(default)s)",
    )
    parser.add_argument(
        "--plaintext-address", metavar="HOST:PORT", default="", help="xDS without TLS, on loopback"
    )
    parser.add_argument(
        "--trust-plaintext",
        action="store_true",
        help="for development: a node of the plaintext port is what it claims to be",
    )
    parser.add_argument("--mesh-config", metavar="FILE", help="MeshConfig in YAML")
    parser.add_argument(
        "--name",
        metavar="NAME",
        action="append",
        default=[],
        help="a DNS name or address under which clients reach it; may be given again",
    )
    parser.add_argument(
        "--rejoin",
        metavar="DURATION",
        default=f"{int(GRACE.total_seconds()) // 3600}h",
        help="how long after its end a certificate may be renewed by who still has its key"
        " (%(default)s); 0s: never",
    )
    parser.add_argument(
        "--debounce-after",
        metavar="DURATION",
        default="100ms",
        help="a change leaves after so long without another (%(default)s)",
    )
    parser.add_argument(
        "--debounce-max",
        metavar="DURATION",
        default="10s",
        help="but no later than this after the first (%(default)s)",
    )
    parser.add_argument(
        "--operator",
        metavar="SPIFFE-ID",
        action="append",
        default=[],
        help="who may see the status of all sidecars (CSDS):"
        " spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT; may be given again (nobody)",
    )
    parser.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="how much is logged, on stderr (%(default)s)",
    )
    return parser.parse_args(argv)
