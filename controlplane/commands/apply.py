"""`mesh apply -f FILE`: writes objects into the folder of configuration.

An object replaces the one of its name as a whole: there is no merge of three versions as in
kubectl. What was read with `mesh get -o yaml` and is applied again carries its resourceVersion and
is refused if somebody has changed it in between. With `--wait` it ends when every sidecar has what
was written, or says which do not, and why.
"""

from __future__ import annotations

import argparse

from controlplane.commands import common, inputs, waiting
from controlplane.commands.common import CommandError
from controlplane.sources.document import Document
from controlplane.sources.reader import DEFAULT_NAMESPACE, Kinds
from controlplane.sources.store import Result


def main(argv: list[str], kinds: Kinds | None = None) -> int:
    """Exit code 0 if all was written, else 1."""
    options = _options(argv)
    return common.run(lambda: _apply(options, kinds or common.known_kinds()))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = common.parser(
        "apply", "Write objects into the folder of configuration; all are validated first."
    )
    inputs.add_flags(
        parser,
        "a file, a folder of files, or - for the standard input; may be given again",
        required=True,
    )
    common.add_dry_run(parser)
    waiting.add_flags(parser)
    return parser.parse_args(argv)


def _apply(options: argparse.Namespace, kinds: Kinds) -> int:
    documents = inputs.documents(options.filename, recursive=options.recursive)
    if options.namespace:
        _agree(documents, options.namespace)
    dry = options.dry_run != "none"
    wait = waiting.of(options, dry=dry)
    store = common.store(options.config, kinds)
    done: list[Result] = []
    results = store.apply(documents, namespace=options.namespace or DEFAULT_NAMESPACE, dry_run=dry)
    code = 0
    for one in results:
        if isinstance(one, Result):
            if one.warnings:
                common.say(one.warnings)
            name = f"{common.resource_name(one.kind)}/{one.key.name}"
            common.tell(f"{name} {one.outcome}{' (dry run)' if dry else ''}")
            done.append(one)
        else:
            common.say(str(one))
            code = 1
    return code if wait is None else code | wait.until(done, store.folder)


def _agree(documents: list[Document], namespace: str) -> None:
    for one in documents:
        metadata = one.value.get("metadata")
        given = metadata.get("namespace") if isinstance(metadata, dict) else None
        if given and given != namespace:
            raise CommandError(
                f"{one.file}:{one.line_of('metadata.namespace')}: the object is of namespace"
                f" {given}, -n says {namespace}; leave one of them out"
            )
