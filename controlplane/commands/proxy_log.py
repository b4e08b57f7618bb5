"""`mesh proxy-config log WORKLOAD`: the log levels of a sidecar, shown or set."""

from __future__ import annotations

import argparse
from typing import Final
from urllib.parse import quote

from controlplane.commands import client, common
from controlplane.commands.arguments import Parser
from controlplane.commands.common import CommandError
from controlplane.commands.sidecar import Sidecar

_LEVELS: Final = ("trace", "debug", "info", "warning", "error", "critical", "off")
#: What istioctl calls some of them.
_OTHER_NAMES: Final = {"none": "off", "warn": "warning", "critic": "critical"}
#: What `--reset` sets, as istioctl does.
_PLAIN: Final = "warning"


def main(argv: list[str]) -> int:
    """Exit code 0 if the sidecar has said its levels, else 1."""
    options = _options(argv)
    return common.run(lambda: _log(options))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="mesh proxy-config log",
        description="The log levels of a sidecar; with --level or --reset, after they were set.",
        allow_abbrev=False,
    )
    parser.add_argument("workload", metavar="WORKLOAD[.NAMESPACE]")
    parser.add_argument("-n", "--namespace", metavar="NS", help="of the workload (default)")
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--level",
        metavar="LEVEL",
        default="",
        help=f"of all loggers, or LOGGER:LEVEL,LOGGER:LEVEL; one of {', '.join(_LEVELS)}",
    )
    change.add_argument("-r", "--reset", action="store_true", help=f"all to {_PLAIN}")
    client.add_flag(parser)
    return parser.parse_args(argv)


def _log(options: argparse.Namespace) -> int:
    changes = _changes(_PLAIN if options.reset else options.level)
    sidecar = Sidecar(client.Control(options.control), options.workload, options.namespace)
    said = ""
    for query in changes or [""]:
        said = sidecar.tell(f"/logging{query}")
    common.tell(f"{sidecar.name}:\n{said}".rstrip())
    return 0


def _changes(text: str) -> list[str]:
    """The queries that set them, in their order: all loggers first. Raises CommandError."""
    all_loggers: list[str] = []
    single: list[str] = []
    for one in text.split(",") if text else ():
        name, colon, level = one.replace("=", ":").rpartition(":")
        level = _OTHER_NAMES.get(level.lower(), level.lower())
        if level not in _LEVELS or (colon and not name):
            raise CommandError(
                f"--level {one}: write LEVEL or LOGGER:LEVEL; levels are {', '.join(_LEVELS)}"
            )
        if name:
            single.append(f"{quote(name, safe='')}:{level}")
        else:
            all_loggers = [f"?level={level}"]
    # In one request: a wrong name changes nothing.
    return all_loggers + ([f"?paths={','.join(single)}"] if single else [])
