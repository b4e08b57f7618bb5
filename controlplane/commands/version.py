"""`mesh version`: of this program, of the control plane, of the proxies that are connected."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from controlplane.commands import client, common, output
from controlplane.commands.arguments import Parser
from controlplane.commands.status import version
from mesh import __version__


def main(argv: list[str]) -> int:
    """Exit code 0, or 1 if `--remote` finds no control plane."""
    options = _options(argv)
    return common.run(lambda: _version(options))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="mesh version",
        description="The version of this program and, with --remote, of the mesh.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--remote", action="store_true", help="of the control plane and the proxies too"
    )
    parser.add_argument("-s", "--short", action="store_true", help="without the program's name")
    output.add_flag(parser)
    client.add_flag(parser)
    return parser.parse_args(argv)


def _version(options: argparse.Namespace) -> int:
    found: dict[str, Any] = {"client": __version__}
    if options.remote:
        answer = client.Control(options.control).ask("/api/v1/proxies")
        found["control"] = answer["control"]["version"]
        found["proxies"] = [
            {"proxy": one["proxy"], "version": version(one)} for one in answer["proxies"]
        ]
    if options.output != "table":
        output.show(found, options.output)
    elif not options.remote:
        print(__version__ if options.short else f"mesh {__version__}")
    else:
        print(f"client version: {found['client']}")
        print(f"control plane version: {found['control']}")
        counts = Counter(one["version"] for one in found["proxies"])
        told = ", ".join(f"{one} ({many} proxies)" for one, many in sorted(counts.items()))
        print(f"data plane version: {told or 'none connected'}")
    return 0
