"""`mesh proxy-config rootca-compare A B`: do two sidecars trust a root in common?"""

from __future__ import annotations

import argparse
from typing import Any

from controlplane.commands import client, common
from controlplane.commands.arguments import Parser
from controlplane.commands.common import CommandError
from controlplane.commands.dumped import secrets
from controlplane.commands.dumped.dump import DUMP, Dump
from controlplane.commands.sidecar import Sidecar

_ROOTS = "ROOTCA"


def main(argv: list[str]) -> int:
    """Exit code 0 if they do, else 1."""
    options = _options(argv)
    return common.run(lambda: _compare(options))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="mesh proxy-config rootca-compare",
        description="Whether two sidecars trust a root in common.",
        allow_abbrev=False,
    )
    parser.add_argument("workloads", nargs=2, metavar="WORKLOAD[.NAMESPACE]")
    parser.add_argument("-n", "--namespace", metavar="NS", help="of the workloads (default)")
    client.add_flag(parser)
    return parser.parse_args(argv)


def _compare(options: argparse.Namespace) -> int:
    control = client.Control(options.control)
    sidecars = [Sidecar(control, one, options.namespace) for one in options.workloads]
    first, second = (_roots(one) for one in sidecars)
    names = " and ".join(one.name for one in sidecars)
    common_roots = first & second
    if not common_roots:
        raise CommandError(
            f"{names} have no root in common: no connection between them is trusted; `mesh root`"
            " shows those of the control plane"
        )
    same = "the same roots" if first == second else "a root in common"
    common.tell(f"{names} have {same}: {', '.join(sorted(one for one, _ in common_roots))}")
    return 0


def _roots(sidecar: Sidecar) -> frozenset[tuple[str, Any]]:
    """Names and certificates. Raises CommandError."""
    (*found,) = secrets.chosen(Dump(sidecar.ask(DUMP), sidecar.name).secrets(), name=_ROOTS)
    roots = frozenset(
        (root.subject.rfc4514_string(), root) for one in found for root in secrets.certificates(one)
    )
    if not roots:
        raise CommandError(f"{sidecar.name} has no roots: its secret {_ROOTS} is not there yet")
    return roots
