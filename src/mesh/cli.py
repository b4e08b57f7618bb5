"""The `mesh` command. Each subcommand is imported only when it runs."""

from __future__ import annotations

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
  analyze   find what is wrong in files of configuration: mesh analyze FILE|FOLDER
  delete    remove configuration: mesh delete virtualservice NAME
  status    who is connected, and what each has acknowledged or refused
  pc        what a sidecar holds: mesh proxy-config routes NAME (-o json, -f DUMP)
  demo      upstreams, a proxy and traffic, explained step by step (--once: check and end)
  bench     measure against Envoy, nginx and HAProxy
  version   of this program; --remote: of the mesh"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand; returns its exit code."""
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
        print(USAGE)
        return 0
    problem = f"there is no command '{command}'" if command else "no command"
    print(f"mesh: {problem}\n{USAGE}", file=sys.stderr)
    return 1


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
