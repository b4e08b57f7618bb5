"""`mesh analyze [FILE...]`: what is wrong between resources, in files or in the folder of
configuration; no mesh needs to run.

Flags, output and exit codes are istioctl's.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from controlplane.analysis import report, run
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.analyzers import ALL
from controlplane.analysis.codes import ALL as ALL_CODES
from controlplane.analysis.codes import Level
from controlplane.analysis.finding import Finding
from controlplane.analysis.load import Loaded, load
from controlplane.commands import common, inputs
from controlplane.commands.arguments import Parser
from controlplane.commands.common import CommandError
from controlplane.commands.flags import DEFAULT_CONFIG, config_folder
from controlplane.resources.mesh_config import MeshConfig, apply
from controlplane.sources import document, text
from controlplane.sources.reader import DEFAULT_NAMESPACE, Kinds

#: Something was found that is as bad as `--failure-threshold`.
FOUND: Final = 79
#: A file could not be read.
UNREADABLE: Final = 65

_LEVELS: Final = {level.label: level for level in Level}


def main(argv: list[str], kinds: Kinds | None = None) -> int:
    options = _options(argv)
    return common.run(lambda: _analyze(options, kinds or common.known_kinds()))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="mesh analyze",
        description="Find what is wrong between resources: in files, or in what was applied.",
        epilog=f"Exit code: 0, {FOUND} (found), {UNREADABLE} (a file cannot be read), 1.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "files",
        metavar="FILE",
        nargs="*",
        help="a file, a folder (with those below), or -; else the folder of configuration",
    )
    add(
        "--config",
        metavar="DIR",
        help=f"the folder of configuration (else $MESH_CONFIG, else {DEFAULT_CONFIG})",
    )
    add("-o", "--output", choices=("log", "json", "yaml"), default="log", help="how it is written")
    levels = "|".join(_LEVELS)
    add(
        "--failure-threshold",
        metavar=levels,
        type=_level,
        default=Level.ERROR,
        help=f"what is as bad makes the exit code {FOUND} (else Error)",
    )
    add(
        "--output-threshold",
        metavar=levels,
        type=_level,
        default=Level.INFO,
        help="what is less bad is not written (else Info)",
    )
    add(
        "-S",
        "--suppress",
        metavar="CODE=RESOURCE",
        type=_suppression,
        action="append",
        default=[],
        help="say nothing of it: -S 'IST0101=VirtualService *.default'; may be given again",
    )
    add("--meshConfigFile", metavar="FILE", help="a MeshConfig (else Istio's defaults)")
    add(
        "-n",
        "--namespace",
        metavar="NS",
        help=f"of resources that name none (else {DEFAULT_NAMESPACE}); only its findings are told",
    )
    add("-A", "--all-namespaces", action="store_true", help="tell those of all namespaces")
    add(
        "--analyzer",
        metavar="NAME",
        action="append",
        default=[],
        help="run this one only; may be given again",
    )
    add("-L", "--list-analyzers", action="store_true", help="list the analyzers")
    add("-v", "--verbose", action="store_true", help="say which analyzers ran")
    add("--ignore-unknown", action="store_true", help=f"no exit code {UNREADABLE}")
    add(
        "--color",
        metavar="true|false",
        type=_bool,
        nargs="?",
        const=True,
        help="else on a terminal",
    )
    add("-R", "--recursive", action="store_true", help="as with istioctl; folders always are")
    add("-k", "--use-kube", metavar="false", type=_no_cluster, help="as with istioctl: files only")
    options = parser.parse_args(argv)
    if options.files and options.config is not None:
        parser.error("--config is a folder that is analyzed where no files are named")
    if not options.files:
        options.files = [str(config_folder(options.config))]
    return options


def _level(value: str) -> Level:
    level = _LEVELS.get(value.capitalize())
    if level is None:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(_LEVELS)}")
    return level


def _suppression(value: str) -> run.Suppression:
    code, equals, resource = value.partition("=")
    if not equals or not resource:
        raise argparse.ArgumentTypeError("must be CODE=RESOURCE, as in 'IST0101=Gateway a.default'")
    return run.Suppression(code, resource)


def _bool(value: str) -> bool:
    if value not in {"true", "false"}:
        raise argparse.ArgumentTypeError("must be true or false")
    return value == "true"


def _no_cluster(value: str) -> bool:
    if _bool(value):
        raise argparse.ArgumentTypeError("is not possible: files are analyzed only")
    return False


def _analyze(options: argparse.Namespace, kinds: Kinds) -> int:
    analyzers = _chosen(options.analyzer)
    if options.list_analyzers:
        for one in sorted(ALL, key=lambda one: one.name):
            common.tell(f"* {one.name}:\n    {one.description}")
        return 0
    known = {one.code for one in ALL_CODES}
    for one in options.suppress:
        if one.code not in known:
            common.say(f"mesh analyze: there is no code {one.code}; -S {one.code}=... does nothing")
    loaded = load(
        _files(options.files),
        kinds,
        namespace=options.namespace or DEFAULT_NAMESPACE,
        mesh=_mesh(options.meshConfigFile),
    )
    _tell_what_was_read(loaded, analyzers, verbose=options.verbose)
    findings = run.analyze(loaded.collection, analyzers, options.suppress)
    # What is only taken to be there is nobody's to change.
    findings = [
        one for one in findings if one.key in loaded.documents or one.key.kind == "Analyzer"
    ]
    if options.namespace and not options.all_namespaces:
        findings = [one for one in findings if one.key.namespace in {"", options.namespace}]
    _write(findings, loaded, options)
    if any(one.code.level <= options.failure_threshold for one in findings):
        return FOUND
    if loaded.unreadable and not options.ignore_unknown:
        return UNREADABLE
    return 0


def _chosen(names: list[str]) -> tuple[Analyzer, ...]:
    if not names:
        return tuple(one for one in ALL if one.default)
    by_name = {one.name: one for one in ALL}
    for name in names:
        if name not in by_name:
            raise CommandError(f"there is no analyzer {name}; mesh analyze -L lists them")
    return tuple(by_name[name] for name in dict.fromkeys(names))


def _files(names: Iterable[str]) -> Iterator[document.Contents]:
    for name in names:
        for path, data in inputs.files(name, recursive=True):
            yield document.read(data, path)


def _mesh(file: str | None) -> MeshConfig | None:
    if file is None:
        return None
    path, data = inputs.one_file(file)
    found = text.read(data.decode(errors="replace"), path)
    if isinstance(found, str):
        raise CommandError(f"{path}: MeshConfig: {found}")
    mesh, problems = apply(found.value if found is not None else {})
    for problem in problems:
        line = found.line_of(problem.path) if found is not None else 1
        common.say(f"{path}:{line}: MeshConfig: {problem.path}: {problem.reason}")
    if mesh is None:
        raise CommandError(f"{path}: the MeshConfig cannot be taken")
    return mesh


def _tell_what_was_read(loaded: Loaded, analyzers: tuple[Analyzer, ...], *, verbose: bool) -> None:
    for refused in loaded.unreadable:
        common.say(str(refused))
    for line in loaded.repeated:
        common.say(line)
    if not verbose:
        return
    if loaded.skipped:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(loaded.skipped.items()))
        common.say(f"Kinds that are not analyzed: {kinds}")
    for title, ran in (("Skipped analyzers:", False), ("Executed analyzers:", True)):
        names = [one.name for one in analyzers if run.runs(one, loaded.collection) == ran]
        if names:
            common.say("\n\t".join([title, *names]))


def _write(findings: list[Finding], loaded: Loaded, options: argparse.Namespace) -> None:
    shown = [one for one in findings if one.code.level <= options.output_threshold]

    def place(finding: Finding) -> str:
        return loaded.place(finding.key, finding.path)

    if options.output == "json":
        common.tell(report.as_json(shown, place))
    elif options.output == "yaml":
        common.tell(report.as_yaml(shown, place))
    elif shown:
        colour = options.color
        if colour is None:
            terminal = sys.stdout is not None and sys.stdout.isatty()
            colour = terminal and os.environ.get("TERM") != "dumb"
        common.tell(report.lines(shown, place, colour=colour))
    if not shown:
        common.say(_nothing_found(loaded, ", ".join(options.files)))


def _nothing_found(loaded: Loaded, files: str) -> str:
    """A tick is only for what was looked at, all of it."""
    if count := len(loaded.unreadable):
        could_not = f"{count} {'document' if count == 1 else 'documents'} could not be read"
        return f"No validation issues found when analyzing {files} (but {could_not})."
    if not loaded.documents:
        return f"No resources to analyze in {files}."
    return f"\u2714 No validation issues found when analyzing {files}."
