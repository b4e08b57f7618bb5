"""`mesh delete KIND NAME`: removes objects from the folder of configuration, in whichever files
they stand."""

from __future__ import annotations

import argparse

from controlplane.commands import common, inputs, naming, waiting
from controlplane.commands.common import CommandError
from controlplane.problem import Problem, Refused
from controlplane.resources.resource import Key, Kind
from controlplane.sources import reader
from controlplane.sources.reader import DEFAULT_NAMESPACE, Kinds
from controlplane.sources.store import NotFound, Result


def main(argv: list[str], kinds: Kinds | None = None) -> int:
    """Exit code 0 if all was there and has been removed, else 1."""
    options = _options(argv)
    return common.run(lambda: _delete(options, kinds or common.known_kinds()))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = common.parser("delete", "Remove objects from the folder of configuration.")
    parser.add_argument("what", nargs="*", metavar="KIND NAME", help="or KIND/NAME")
    inputs.add_flags(
        parser, "the objects that are in a file, a folder of files, or - for the standard input"
    )
    parser.add_argument("--ignore-not-found", action="store_true", help="no error if it is gone")
    common.add_dry_run(parser)
    waiting.add_flags(parser)
    options = parser.parse_args(argv)
    if bool(options.what) == bool(options.filename):
        parser.error("give KIND NAME, or -f FILE")
    return options


def _delete(options: argparse.Namespace, kinds: Kinds) -> int:
    wanted = _in_files(options, kinds) if options.filename else _named(options, kinds)
    store = common.store(options.config, kinds)
    dry = options.dry_run != "none"
    wait = waiting.of(options, dry=dry)
    done: list[Result] = []
    code = 0
    results = store.delete((key for key, _ in wanted), dry_run=dry)
    for (key, kind), one in zip(wanted, results, strict=True):
        if isinstance(one, Result):
            name = f'{common.resource_name(kind)} "{key.name}"'
            common.tell(f"{name} deleted{' (dry run)' if dry else ''}")
            done.append(one)
        elif not isinstance(one, NotFound):
            common.say(str(one))
            code = 1
        elif not options.ignore_not_found:
            common.say(common.not_found(key, kind, store.folder))
            code = 1
    return code if wait is None else code | wait.until(done, store.folder)


def _named(options: argparse.Namespace, kinds: Kinds) -> list[tuple[Key, Kind]]:
    namespace = options.namespace or DEFAULT_NAMESPACE
    found: list[tuple[Key, Kind]] = []
    if options.what == ["all"]:
        raise CommandError("all is too much to delete; name the objects, or give -f FILE")
    for kind, names in naming.asked(options.what, kinds):
        if not names:
            raise CommandError(f"name the {kind.plural} to delete, or give -f FILE with them")
        where = namespace if kind.namespaced else ""
        found += [(Key(kind.id, where, name), kind) for name in names]
    return found


def _in_files(options: argparse.Namespace, kinds: Kinds) -> list[tuple[Key, Kind]]:
    """Only what names them counts; the rest may be wrong."""
    found: list[tuple[Key, Kind]] = []
    refused: list[Refused] = []
    for one in inputs.documents(options.filename, recursive=options.recursive):
        key = reader.key(one, kinds, options.namespace or DEFAULT_NAMESPACE)
        if key is None:
            try:
                reader.read(one, kinds)
            except Refused as why:
                refused.append(why)
            else:
                problem = Problem("metadata.name", "is required")
                refused.append(Refused("document", "", "", [problem], one.origin))
        else:
            found.append((key, kinds[one.value["apiVersion"], one.value["kind"]]))
    if refused:
        raise ExceptionGroup("refused", refused)
    return found
