"""`mesh get KIND [NAME]`: what is in the folder of configuration.

It shows what is written there, also what the control plane refuses; that, it says on stderr.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from controlplane.commands import common, naming, table
from controlplane.commands.common import CommandError
from controlplane.resources.resource import Key
from controlplane.sources import render
from controlplane.sources.reader import DEFAULT_NAMESPACE, Kinds
from controlplane.sources.store import Store, Stored


def main(argv: list[str], kinds: Kinds | None = None) -> int:
    """Exit code 0, or 1 if what was named is not there."""
    options = _options(argv)
    return common.run(lambda: _get(options, kinds or common.known_kinds()))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = common.parser("get", "Show the objects in the folder of configuration.")
    parser.add_argument(
        "what", nargs="+", metavar="KIND [NAME]", help="or KIND,KIND or KIND/NAME or all"
    )
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of every namespace")
    parser.add_argument(
        "-o",
        "--output",
        default="table",
        choices=("table", "wide", "yaml", "json", "name"),
        help="how (table)",
    )
    return parser.parse_args(argv)


def _get(options: argparse.Namespace, kinds: Kinds) -> int:
    asked = naming.asked(options.what, kinds)
    if options.all_namespaces and any(one.names for one in asked):
        raise CommandError("-A shows all; give no names with it")
    store = common.store(options.config, kinds)
    stored = {one.key: one for one in store.read()}
    found: list[Stored] = []
    code = 0
    namespace = options.namespace or DEFAULT_NAMESPACE
    for kind, names in asked:
        where = namespace if kind.namespaced else ""
        for name in names:
            key = Key(kind.id, where, name)
            if key in stored:
                found.append(stored[key])
            else:
                common.say(common.not_found(key, kind, store.folder))
                code = 1
        if not names:
            found += [
                stored[key]
                for key in sorted(stored)
                if key.kind == kind.id and (options.all_namespaces or key.namespace == where)
            ]
    one_object = sum(len(one.names) for one in asked) == 1
    if found:
        _show(found, options, one_object=one_object)
    elif not code:
        whole = options.all_namespaces or not any(one.kind.namespaced for one in asked)
        common.say(f"No resources found{'' if whole else f' in {namespace} namespace'}.")
    return code | _warn(store, {one.kind.id for one in asked})


def _show(found: list[Stored], options: argparse.Namespace, *, one_object: bool) -> None:
    if options.output == "name":
        for one in found:
            common.tell(f"{common.resource_name(one.kind)}/{one.key.name}")
    elif options.output in {"yaml", "json"}:
        objects = [one.object() for one in found]
        value: Any = objects[0]
        if not one_object:
            value = {"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {}}
        text = render.to_yaml(value) if options.output == "yaml" else render.to_json(value)
        print(text, end="", flush=True)
    else:
        text = table.tables(
            found,
            wide=options.output == "wide",
            namespaces=options.all_namespaces,
            now=time.time(),
        )
        print(text, end="", flush=True)


def _warn(store: Store, kinds: set[str]) -> int:
    """Of what is refused: what was asked for, and what nobody can tell. Exit code 1 where a folder
    could not be looked into: more may be there."""
    refused = store.refused()
    for one in refused:
        if one.kind in kinds or one.kind in {"document", "file", "folder"}:
            common.say(f"Warning: {one}")
    return int(any(one.kind == "folder" for one in refused))
