"""What the commands share: flags, the folder, the kinds, how errors are said."""

from __future__ import annotations

import sys
from collections.abc import Callable

from controlplane.commands.arguments import Parser
from controlplane.commands.flags import DEFAULT_CONFIG, config_folder
from controlplane.problem import Refused
from controlplane.resources.resource import Key, Kind
from controlplane.sources.reader import DEFAULT_NAMESPACE, Kinds
from controlplane.sources.store import Store, StoreError


class CommandError(Exception):
    """The command cannot go on; `str()` says why."""


def parser(name: str, description: str) -> Parser:
    """With the flags that all have."""
    made = Parser(prog=f"mesh {name}", description=description, allow_abbrev=False, add_help=True)
    made.add_argument(
        "--config",
        metavar="DIR",
        help=f"the folder of configuration (else $MESH_CONFIG, else {DEFAULT_CONFIG})",
    )
    made.add_argument(
        "-n",
        "--namespace",
        metavar="NS",
        help=f"the namespace (else {DEFAULT_NAMESPACE})",
    )
    return made


def add_dry_run(parser: Parser) -> None:
    """`--dry-run`, as kubectl has it."""
    parser.add_argument(
        "--dry-run",
        nargs="?",
        const="client",
        default="none",
        choices=("none", "client", "server"),
        help="say what would be done",
    )


def run(command: Callable[[], int]) -> int:
    """Runs a command; what goes wrong in the ways that are foreseen is said, without a trace."""
    try:
        return command()
    except (CommandError, StoreError) as error:
        say(str(error))
    except ExceptionGroup as group:
        refused, others = group.split(Refused)
        if others is not None:
            raise
        for one in refused.exceptions if refused is not None else ():
            say(str(one))
    return 1


def say(message: str) -> None:
    """Tells what went wrong."""
    # Without it `print` takes the output, which is for somebody else.
    if sys.stderr is not None:
        print(message, file=sys.stderr)


def tell(message: str) -> None:
    """Tells what was done, at once: who reads it may count on it."""
    print(message, flush=True)


def known_kinds() -> Kinds:
    """All kinds of `controlplane.resources`."""
    from controlplane.resources.kinds import KINDS

    return KINDS


def store(config: str | None, kinds: Kinds) -> Store:
    """The folder's."""
    return Store(str(config_folder(config)), kinds)


def resource_name(kind: Kind) -> str:
    """`virtualservice.networking.istio.io`, as kubectl writes it; `service` for the core group."""
    return f"{kind.name.lower()}.{kind.group}" if kind.group else kind.name.lower()


def plural_name(kind: Kind) -> str:
    """`virtualservices.networking.istio.io`"""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def not_found(key: Key, kind: Kind, folder: str) -> str:
    """What is said of an object that is not there."""
    where = f" in namespace {key.namespace}" if kind.namespaced else ""
    return f'{plural_name(kind)} "{key.name}" not found{where} ({folder})'
