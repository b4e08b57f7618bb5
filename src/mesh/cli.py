"""The `mesh` command. Each subcommand is imported only when it runs."""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = """usage: mesh COMMAND [flags]

  control   the control plane: configuration in, xDS and certificates out
  run       a program in the mesh: mesh run --join FILE --service NAME --port N -- CMD
  token     what a workload needs to join: mesh token create --service-account NAME -o FILE
  root      the roots that the mesh trusts; mesh root roll: the next step to a new one
  proxy     the sidecar: mesh proxy -c envoy.yaml (mesh proxy --help lists the flags)
  apply     write configuration: mesh apply -f FILE (- is the standard input)
  get       show configuration: mesh get virtualservices [NAME] [-o yaml]
  analyze   find what is wrong in what was applied, or in files: mesh analyze [FILE]
  delete    remove configuration: mesh delete virtualservice NAME
  status    who is connected, and what each has acknowledged or refused
  pc        what a sidecar holds: mesh proxy-config routes NAME (-o json, -f DUMP)
  demo      upstreams, a proxy and traffic, explained step by step (--once: check and end)
  bench     measure against Envoy, nginx and HAProxy
  version   of this program; --remote: of the mesh"""


#: What shells say of a program that Ctrl-C has ended.
_INTERRUPTED = 130
#: What becomes of the output where it cannot be kept.
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand; returns its exit code."""
    _speak_any_encoding()
    try:
        try:
            return _run(argv)
        finally:
            # What is left in the buffer is told here: at the interpreter's end nobody could say
            # what became of it.
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has had enough.
        _give_up_output()
        return 1
    except OSError as error:
        if error.filename is not None:
            # Whatever a command has not foreseen of its files is nobody's mistake but theirs.
            print(f"mesh: {error.filename}: {error.strerror}", file=sys.stderr)
            return 1
        if error.errno not in _UNWRITABLE:
            raise
        _give_up_output()
        print(f"mesh: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 1


def _speak_any_encoding() -> None:
    """A name that the terminal's encoding lacks is written with escapes, and is no error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _give_up_output() -> None:
    """Python would complain of it once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)


def _run(argv: Sequence[str] | None) -> int:
    command, *rest = list(sys.argv[1:] if argv is None else argv) or [""]
    if command == "proxy":
        from mesh.app import main as proxy

        return proxy(rest)
    if command == "demo":
        from mesh.demo import main as demo

        return demo(rest)
    if command == "bench":
        return _bench(rest)
    if command == "control":
        from controlplane.app import main as control

        return control(rest)
    if command in {"analyze", "apply", "get", "delete"}:
        return _configuration(command, rest)
    if command == "run":
        from controlplane.commands.run import main as run

        return run(rest)
    if command in {"token", "root"}:
        return _identity(command, rest)
    if command in {"status", "proxy-status", "ps", "proxy-config", "pc"}:
        return _asking(command, rest)
    if command == "version" and rest:
        from controlplane.commands.version import main as version

        return version(rest)
    if command in {"version", "--version"}:
        from mesh import __version__

        print(f"mesh {__version__}")
        return 0
    if command in {"help", "--help", "-h"}:
        if rest and not rest[0].startswith("-"):
            return _run([rest[0], "--help"])
        print(USAGE)
        return 0
    problem = f"there is no command '{command}'{_guess(command)}" if command else "no command"
    print(f"mesh: {problem}\n{USAGE}", file=sys.stderr)
    return 1


def _guess(command: str) -> str:
    from difflib import get_close_matches

    known = [line.split()[0] for line in USAGE.splitlines()[2:]]
    near = get_close_matches(command, [*known, "proxy-config", "proxy-status"], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _bench(rest: list[str]) -> int:
    from bench.cli import main as bench

    code: int = bench(rest)
    return code


def _identity(command: str, rest: list[str]) -> int:
    if command == "token":
        from controlplane.commands.token import main
    else:
        from controlplane.commands.root import main
    return main(rest)


def _asking(command: str, rest: list[str]) -> int:
    if command in {"proxy-config", "pc"}:
        from controlplane.commands.proxy_config import main
    else:
        from controlplane.commands.status import main
    return main(rest)


def _configuration(command: str, rest: list[str]) -> int:
    if command == "analyze":
        from controlplane.commands.analyze import main
    elif command == "apply":
        from controlplane.commands.apply import main
    elif command == "get":
        from controlplane.commands.get import main
    else:
        from controlplane.commands.delete import main
    return main(rest)


if __name__ == "__main__":
    sys.exit(main())
