"""`mesh proxy-config WHAT WORKLOAD[.NAMESPACE]`: what a sidecar holds, by its own admin port, in
istioctl's tables; `-f` reads a dump from a file instead."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from controlplane.commands import client, common, inputs, output
from controlplane.commands.aligned import aligned
from controlplane.commands.common import CommandError
from controlplane.commands.dumped import clusters, endpoints, listeners, routes, secrets
from controlplane.commands.dumped.dump import Dump, Held, obj
from controlplane.commands.status import find

_WORDS: Final = {
    "listener": ("listeners", "l"),
    "route": ("routes", "r"),
    "cluster": ("clusters", "c"),
    "endpoint": ("endpoints", "ep"),
    "eds": (),
    "secret": ("secrets", "s"),
    "bootstrap": ("b",),
    "all": ("a",),
}
_BY_WORD: Final = {word: name for name, others in _WORDS.items() for word in (name, *others)}
#: The flags that narrow each table; another would be taken for an answer that it is not.
_NARROWS: Final = {
    "listener": {"address", "port", "direction", "name"},
    "route": {"name", "fqdn"},
    "cluster": {"fqdn", "port", "direction", "subset"},
    "endpoint": {"address", "port", "cluster", "status", "fqdn", "subset", "direction"},
    "eds": {"address", "port", "cluster", "status", "fqdn", "subset", "direction"},
    "secret": {"name"},
    "bootstrap": set(),
    "all": set(),
}
_FILTERS: Final = {
    "address": "of this address",
    "port": "of this port",
    "direction": "inbound or outbound",
    "fqdn": "of this service: reviews.default.svc.cluster.local",
    "subset": "of this subset",
    "name": "of this name",
    "cluster": "of this cluster",
    "status": "of this health: healthy, unhealthy, draining...",
}


def main(argv: list[str]) -> int:
    """Exit code 0 if it could be shown, else 1."""
    options = _options(argv)
    return common.run(lambda: _show(options))


def _options(argv: list[str]) -> argparse.Namespace:
    known = ", ".join(f"{name} ({', '.join(others)})" for name, others in _WORDS.items() if others)
    parser = common.Parser(
        prog="mesh proxy-config",
        description=f"What a sidecar holds. WHAT is one of {known}, eds.",
        allow_abbrev=False,
    )
    parser.add_argument("what", metavar="WHAT", choices=sorted(_BY_WORD), help="see above")
    parser.add_argument("workload", nargs="?", metavar="WORKLOAD[.NAMESPACE]")
    parser.add_argument("-n", "--namespace", metavar="NS", help="of the workload (default)")
    parser.add_argument(
        "-f", "--file", metavar="DUMP", help="a dump of /config_dump?include_eds; - is the input"
    )
    for flag, what in _FILTERS.items():
        parser.add_argument(f"--{flag}", metavar="X", default="", help=what)
    output.add_flag(parser)
    client.add_flag(parser)
    options = parser.parse_args(argv)
    options.what = _BY_WORD[options.what]
    if bool(options.workload) == bool(options.file):
        parser.error("give WORKLOAD[.NAMESPACE], or -f DUMP")
    for flag in _FILTERS:
        if getattr(options, flag) and flag not in _NARROWS[options.what]:
            parser.error(f"--{flag} does not narrow {options.what}")
    return options


def _show(options: argparse.Namespace) -> int:
    ask = _file(options.file) if options.file else _live(options)
    if options.what == "all":
        if options.output != "table":
            output.show(Dump(ask(_DUMP), options.file or options.workload).whole, options.output)
        else:
            parts = ("cluster", "listener", "route", "endpoint", "secret")
            print("\n".join(aligned(_part(options, one, ask)[0]) for one in parts), end="")
    elif options.what == "bootstrap":
        # There is no table of it.
        how = "json" if options.output == "table" else options.output
        output.show(Dump(ask(_DUMP), options.file or options.workload).bootstrap, how)
    else:
        rows, values = _part(options, options.what, ask)
        if options.output == "table":
            print(aligned(rows), end="")
        else:
            output.show(values, options.output)
    return 0


_DUMP: Final = "/config_dump?include_eds"
_CLUSTERS: Final = "/clusters?format=json"
#: Asks for one of the two.
_Ask = Callable[[str], Any]


def _part(options: argparse.Namespace, what: str, ask: _Ask) -> tuple[list[list[str]], Any]:
    """The rows of a table, and the resources as they are."""
    if what in {"endpoint", "eds"}:
        return _endpoints(options, what, ask)
    dump = Dump(ask(_DUMP), options.file or options.workload)
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
            direction=options.direction, name=options.name,
        )  # fmt: skip
        rows = list(listeners.rows(held))
    elif what == "route":
        held = routes.chosen(dump.routes(), name=options.name, fqdn=options.fqdn)
        rows = list(routes.rows(held))
    else:
        held = secrets.chosen(dump.secrets(), name=options.name)
        rows = list(secrets.rows(held, datetime.now(UTC)))
    return rows, [one.value for one in held]


def _endpoints(options: argparse.Namespace, what: str, ask: _Ask) -> tuple[list[list[str]], Any]:
    status = ask(_CLUSTERS) if what == "endpoint" else None
    if status is not None and "cluster_statuses" in obj(status):
        found = endpoints.of_clusters(status)
    else:
        found = endpoints.of_dump(Dump(ask(_DUMP), options.file or options.workload))
    kept = endpoints.chosen(
        found, where=options.address, port=options.port, cluster=options.cluster,
        status=options.status, fqdn=options.fqdn, of=options.subset, direction=options.direction,
    )  # fmt: skip
    values = [{"endpoint": one.name, **one._asdict()} for one in kept]
    rows = endpoints.rows(kept) if what == "endpoint" else endpoints.eds_rows(kept)
    return list(rows), values


def _live(options: argparse.Namespace) -> _Ask:
    """The sidecar's admin port, of which the control plane knows."""
    found = find(client.Control(options.control), options.workload, options.namespace)
    if not found["admin"]:
        raise CommandError(
            f"{found['proxy']} does not say where its admin port is (FASTMESH_ADMIN of its node's"
            " metadata, which `mesh run` sets); save its /config_dump?include_eds and use -f"
        )
    return lambda path: client.admin(found["admin"], path, found["proxy"])


def _file(name: str) -> _Ask:
    """A file has one of the two; it is given for both."""
    ((path, data),) = inputs.files(name, recursive=False)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path}: is no JSON: {error}") from None
    return lambda _: value
