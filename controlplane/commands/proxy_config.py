"""`mesh proxy-config WHAT WORKLOAD[.NAMESPACE]`: what a sidecar holds, by its own admin port, in
istioctl's tables; `-f` reads a dump from a file instead."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from controlplane.commands import client, common, inputs, output, proxy_log, root_compare
from controlplane.commands.aligned import aligned
from controlplane.commands.arguments import Parser
from controlplane.commands.common import CommandError
from controlplane.commands.dumped import (
    clusters,
    endpoints,
    extensions,
    listeners,
    routes,
    secrets,
)
from controlplane.commands.dumped.dump import DUMP, Dump, Held, obj
from controlplane.commands.sidecar import Sidecar
from controlplane.translation.names import parse_port

_WORDS: Final = {
    "listener": ("listeners", "l"),
    "route": ("routes", "r"),
    "cluster": ("clusters", "c"),
    "endpoint": ("endpoints", "ep"),
    "eds": (),
    "secret": ("secrets", "s"),
    "ecds": ("ec",),
    "bootstrap": ("b",),
    "all": ("a",),
}
_BY_WORD: Final = {word: name for name, others in _WORDS.items() for word in (name, *others)}
#: These show no table: they have flags of their own.
_APART: Final = {
    "log": proxy_log.main,
    "o": proxy_log.main,
    "rootca-compare": root_compare.main,
    "rc": root_compare.main,
}
#: The flags that narrow each table; another would be taken for an answer that it is not.
_NARROWS: Final = {
    "listener": {"address", "port", "direction", "name", "type"},
    "route": {"name", "fqdn"},
    "cluster": {"fqdn", "port", "direction", "subset"},
    "endpoint": {"address", "port", "cluster", "status", "fqdn", "subset", "direction"},
    "eds": {"address", "port", "cluster", "status", "fqdn", "subset", "direction"},
    "secret": {"name"},
    "ecds": {"name"},
    "bootstrap": set(),
    "all": {"address", "port", "direction", "fqdn", "subset", "name", "type"},
}
#: The tables of `all`, and what narrows each: there, istioctl's name is that of a route.
_ALL: Final = {
    "cluster": _NARROWS["cluster"],
    "listener": _NARROWS["listener"] - {"name"},
    "route": _NARROWS["route"],
    "endpoint": {"fqdn", "subset", "direction"},
    "secret": set(),
}
_PLAIN_FILTERS: Final = {
    "address": "of this address",
    "fqdn": "of services with this in their name: reviews",
    "subset": "of subsets with this in their name",
    "name": "of this name",
    "cluster": "of this cluster",
}
_CHOICES: Final = {
    "direction": (("inbound", "outbound"), "of traffic"),
    "status": (
        ("healthy", "unhealthy", "draining", "timeout", "degraded", "unknown"),
        "endpoints of this health",
    ),
    "type": (("http", "tcp", "http+tcp", "unknown"), "listeners for this"),
}
_FILTERS: Final = ("address", "port", "fqdn", "subset", "name", "cluster", *_CHOICES)


def main(argv: list[str]) -> int:
    """Exit code 0 if it could be shown, else 1."""
    if argv and argv[0] in _APART:
        return _APART[argv[0]](argv[1:])
    options = _options(argv)
    return common.run(lambda: _show(options))


def _options(argv: list[str]) -> argparse.Namespace:
    known = ", ".join(f"{name} ({', '.join(others)})" for name, others in _WORDS.items() if others)
    parser = Parser(
        prog="mesh proxy-config",
        description=f"What a sidecar holds. WHAT is one of {known}, eds; log (o) and rootca-compare"
        " (rc) have flags of their own: mesh proxy-config log --help.",
        allow_abbrev=False,
    )
    words = sorted({*_BY_WORD, *_APART})
    parser.add_argument("what", metavar="WHAT", choices=words, help="see above")
    parser.add_argument("workload", nargs="?", metavar="WORKLOAD[.NAMESPACE][@ACCOUNT]")
    parser.add_argument("-n", "--namespace", metavar="NS", help="of the workload (default)")
    parser.add_argument(
        "-f", "--file", metavar="DUMP", help="a dump of /config_dump?include_eds; - is the input"
    )
    for flag, what in _PLAIN_FILTERS.items():
        parser.add_argument(f"--{flag}", metavar="X", default="", help=what)
    parser.add_argument("--port", metavar="N", type=_port, help="of this port")
    for flag, (choices, what) in _CHOICES.items():
        parser.add_argument(f"--{flag}", type=str.lower, choices=choices, default="", help=what)
    output.add_flag(parser)
    client.add_flag(parser)
    options = parser.parse_args(argv)
    if options.what in _APART:
        parser.error(f"write {options.what} first: mesh proxy-config {options.what} ...")
    options.what = _BY_WORD[options.what]
    options.port = options.port or ""
    if bool(options.workload) == bool(options.file):
        parser.error("give WORKLOAD[.NAMESPACE], or -f DUMP")
    for flag in _FILTERS:
        if not getattr(options, flag):
            continue
        if flag not in _NARROWS[options.what]:
            parser.error(f"--{flag} does not narrow {options.what}")
        if options.what == "all" and options.output != "table":
            parser.error(f"--{flag} narrows tables; -o {options.output} of all is the whole dump")
    return options


def _port(text: str) -> str:
    number = parse_port(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: write a number from 1 to 65535")
    return str(number)


def _show(options: argparse.Namespace) -> int:
    # Each once: tables of one command are of one moment.
    ask = cache(_file(options.file) if options.file else _live(options))
    if options.what == "all":
        if options.output != "table":
            output.show(Dump(ask(DUMP), options.file or options.workload).whole, options.output)
        else:
            parts = [_part(_narrowed(options, flags), what, ask) for what, flags in _ALL.items()]
            print("\n".join(aligned(rows) for rows, _ in parts), end="")
    elif options.what == "bootstrap":
        # There is no table of it.
        how = "json" if options.output == "table" else options.output
        output.show(Dump(ask(DUMP), options.file or options.workload).bootstrap, how)
    else:
        rows, values = _part(options, options.what, ask)
        if options.output == "table":
            print(aligned(rows), end="")
        else:
            output.show(values, options.output)
    return 0


_CLUSTERS: Final = "/clusters?format=json"
#: Asks for one of the two.
_Ask = Callable[[str], Any]


def _narrowed(options: argparse.Namespace, flags: set[str]) -> argparse.Namespace:
    """Without the filters that are another table's."""
    others = {flag: "" for flag in _FILTERS if flag not in flags}
    return argparse.Namespace(**{**vars(options), **others})


def _part(options: argparse.Namespace, what: str, ask: _Ask) -> tuple[list[list[str]], Any]:
    """The rows of a table, and the resources as they are."""
    if what in {"endpoint", "eds"}:
        return _endpoints(options, what, ask)
    dump = Dump(ask(DUMP), options.file or options.workload)
    held: list[Held]
    if what == "cluster":
        held = clusters.chosen(
            dump.clusters(), fqdn=options.fqdn, port=options.port,
            direction=options.direction, of=options.subset,
        )  # fmt: skip
        rows = list(clusters.rows(held))
    elif what == "listener":
        held = listeners.chosen(
            dump.listeners(), where=options.address, port=options.port,
            direction=options.direction, name=options.name, kind=options.type,
        )  # fmt: skip
        rows = list(listeners.rows(held))
    elif what == "route":
        held = routes.chosen(dump.routes(), name=options.name, fqdn=options.fqdn)
        rows = list(routes.rows(held))
    elif what == "ecds":
        held = extensions.chosen(dump.extensions(), name=options.name)
        rows = list(extensions.rows(held))
    else:
        held = secrets.chosen(dump.secrets(), name=options.name)
        rows = list(secrets.rows(held, datetime.now(UTC)))
    return rows, [one.value for one in held]


def _endpoints(options: argparse.Namespace, what: str, ask: _Ask) -> tuple[list[list[str]], Any]:
    status = ask(_CLUSTERS) if what == "endpoint" else None
    if status is not None and "cluster_statuses" in obj(status):
        found = endpoints.of_clusters(status)
    else:
        found = endpoints.of_dump(Dump(ask(DUMP), options.file or options.workload))
    kept = endpoints.chosen(
        found, where=options.address, port=options.port, cluster=options.cluster,
        status=options.status, fqdn=options.fqdn, of=options.subset, direction=options.direction,
    )  # fmt: skip
    values = [{"endpoint": one.name, **one._asdict()} for one in kept]
    rows = endpoints.rows(kept) if what == "endpoint" else endpoints.eds_rows(kept)
    return list(rows), values


def _live(options: argparse.Namespace) -> _Ask:
    return Sidecar(client.Control(options.control), options.workload, options.namespace).ask


def _file(name: str) -> _Ask:
    """A file has one of the two; it is given for both."""
    path, data = inputs.one_file(name, client.MOST)
    if len(data) > client.MOST:
        raise CommandError(f"{path}: is larger than {client.MOST >> 20} MiB")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path}: is no JSON: {error}") from None
    return lambda _: value
