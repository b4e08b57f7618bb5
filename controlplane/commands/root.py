"""`mesh root`: which roots the mesh trusts, and `mesh root roll`: the next step to a new one."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from controlplane.ca.authority import Unusable, load, roll, stepped
from controlplane.ca.signing import DEFAULT_LIFE
from controlplane.commands.arguments import Parser
from controlplane.commands.flags import DEFAULT_STATE, state_folder


def main(argv: list[str]) -> int:
    """Exit code 0, or 1 if there is no root, or it is not time for the next step."""
    options = _options(argv)
    directory = state_folder(options.state) / "ca"
    try:
        if not directory.is_dir():
            raise Unusable(f"{directory}: is not there; `mesh control` makes it")
        if options.action == "roll":
            _wait(stepped(directory), now=options.now)
            print(f"{roll(directory, options.trust_domain)}.")
        authority = load(directory, options.trust_domain)
        for one in authority.roots:
            what = "signs" if one == authority.certificate else "is trusted"
            print(f"{one.subject.rfc4514_string()}: {what}, until {one.not_valid_after_utc:%FT%TZ}")
        if (done := stepped(directory)) is not None:
            print(f"A new root is under way: the next step (mesh root roll) {_from(done)}.")
    except OSError as error:
        print(f"mesh root: {error.filename or directory}: {error.strerror}", file=sys.stderr)
        return 1
    except Unusable as error:
        print(f"mesh root: {error}", file=sys.stderr)
        return 1
    return 0


def _wait(done: datetime | None, *, now: bool) -> None:
    """Raises Unusable when workloads may not have heard of the step before."""
    if done is not None and not now and datetime.now(UTC) < done + DEFAULT_LIFE:
        raise Unusable(
            f"the next step {_from(done)}: until then there are workloads that do not know of the"
            " last one; --now takes it all the same, and cuts them off"
        )


def _from(done: datetime) -> str:
    return f"is to be taken from {done + DEFAULT_LIFE:%FT%TZ} on"


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="mesh root",
        description="The roots that the mesh trusts. `mesh root roll` takes the next of three"
        " steps to a new one: it is trusted; it signs; the old one is trusted no more. Between"
        " them lies the life of a certificate. A control plane that runs takes each up by itself.",
        allow_abbrev=False,
    )
    parser.add_argument("action", nargs="?", choices=("roll",))
    parser.add_argument(
        "--now", action="store_true", help="do not wait until all have heard of the last step"
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        help=f"the control plane's state folder (else $MESH_STATE, else {DEFAULT_STATE})",
    )
    parser.add_argument("--trust-domain", default="cluster.local", help="names a new root")
    return parser.parse_args(argv)
