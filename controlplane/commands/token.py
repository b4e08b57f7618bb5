"""`mesh token create`: what a workload needs to join, in one file that can be used once; with
`--bearer` what a client shows that has no certificate."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from controlplane.agent.join import Join
from controlplane.ca import grants
from controlplane.ca.authority import Authority, Unusable, load
from controlplane.ca.names import is_name
from controlplane.ca.proofs import Invalid
from controlplane.ca.tokens import JOIN_LIFE, SERVICE_LIFE, Tokens
from controlplane.commands.arguments import Parser
from controlplane.commands.flags import DEFAULT_STATE, state_folder
from controlplane.resources.schema import parse_duration
from controlplane.translation.names import parse_port


def main(argv: list[str]) -> int:
    """Exit code 0 if the file was written, else 1."""
    options = _options(argv)
    life = parse_duration(options.life or f"{int(SERVICE_LIFE if options.bearer else JOIN_LIFE)}s")
    if life is None or life <= 0:
        return _refuse(f"--life {options.life}: is no duration; write 1h or 30m")
    for flag in ("control", "join"):
        if not _is_address(getattr(options, flag)):
            return _refuse(f"--{flag} {getattr(options, flag)}: write HOST:PORT")
    for flag in ("namespace", "service_account"):
        if not is_name(getattr(options, flag)):
            return _refuse(
                f"--{flag.replace('_', '-')} {getattr(options, flag)!r}: is no name: a-z, 0-9, '-'"
                " and '.', 253 characters at most"
            )
    if options.bearer and (options.service or options.label or options.version != grants.ANY):
        return _refuse(
            "--bearer grants no labels: leave --service, --version and --label out; a WorkloadGroup"
            " or Deployment of the service account grants them"
        )
    state = state_folder(options.state)
    try:
        is_new = not (state / "ca").exists()
        # Before there is a token that nobody would have.
        if options.output != "-" and os.path.lexists(options.output):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), options.output)
        authority = load(state / "ca", options.trust_domain)
        tokens = Tokens(state / "tokens", options.trust_domain)
        if options.bearer:
            body = tokens.new_service(
                options.namespace, options.service_account, float(life)
            ).encode()
        else:
            body = _join(options, float(life), authority, tokens)
        _write(options.output, body)
    except FileExistsError as error:
        return _refuse(
            f"{error.filename}: is there already; a token is used once: remove the file, or name"
            " another"
        )
    except OSError as error:
        return _refuse(f"{error.filename or state}: {error.strerror}")
    except grants.Unreadable as error:
        return _refuse(f"--service, --version, --label: {error}")
    except (Unusable, Invalid) as error:
        return _refuse(str(error))
    if is_new:
        print(
            f"mesh token: there was no authority in {state}, one was made; a control plane with"
            " another --state will not know this token",
            file=sys.stderr,
        )
    return 0


def _join(options: argparse.Namespace, life: float, authority: Authority, tokens: Tokens) -> bytes:
    allowed = grants.of_pairs(_grants(options))
    token = tokens.new_join(options.namespace, options.service_account, life, allowed)
    return Join(
        control=options.control,
        join=options.join,
        roots=authority.roots_pem().decode(),
        namespace=options.namespace,
        service_account=options.service_account,
        trust_domain=options.trust_domain,
        grants=str(allowed),
        token=token,
    ).to_json()


def _grants(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The labels that the workload may have. Raises Unreadable."""
    for service in options.service or [options.service_account]:
        yield "app", service
    yield "version", options.version
    for one in options.label:
        key, separator, value = one.partition("=")
        if not separator:
            raise grants.Unreadable(f"{one[:100]!r} is no label; write KEY=VALUE")
        yield key, value


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and parse_port(port) is not None


def _write(output: str, body: bytes) -> None:
    if output == "-":
        sys.stdout.buffer.write(body + b"\n")
        sys.stdout.flush()
        return
    # Whoever reads it may join as this workload.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(Path(output), flags, 0o600), "wb") as file:
        file.write(body)


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="mesh token",
        description="Make a join file for one workload. It can be used once: keep it as a secret."
        " With --bearer, a token.",
        allow_abbrev=False,
    )
    parser.add_argument("action", choices=("create",), metavar="create", help="makes one")
    parser.add_argument(
        "-n", "--namespace", metavar="NS", default="default", help="of the workload (%(default)s)"
    )
    parser.add_argument(
        "--service-account",
        metavar="NAME",
        default="default",
        help="as which it joins: what policies know it by (%(default)s)",
    )
    parser.add_argument(
        "--service",
        metavar="NAME",
        action="append",
        default=[],
        help="the label app that it may have (the service account's name); may be given again",
    )
    parser.add_argument(
        "--version", metavar="NAME", default=grants.ANY, help="the label version (any)"
    )
    parser.add_argument(
        "--label",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="another label that it may have, KEY=* for any value; may be given again",
    )
    parser.add_argument(
        "--life",
        metavar="DURATION",
        help=f"how long it can be used ({int(JOIN_LIFE)}s; a bearer token {int(SERVICE_LIFE)}s)",
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        help=f"the control plane's state folder (else $MESH_STATE, else {DEFAULT_STATE})",
    )
    parser.add_argument(
        "--control",
        metavar="HOST:PORT",
        default="127.0.0.1:15012",
        help="mesh control's --secure-address, as the workload reaches it (%(default)s)",
    )
    parser.add_argument(
        "--join",
        metavar="HOST:PORT",
        default="127.0.0.1:15011",
        help="mesh control's --join-address, as the workload reaches it (%(default)s)",
    )
    parser.add_argument(
        "--trust-domain",
        metavar="NAME",
        default="cluster.local",
        help="of the mesh, as its MeshConfig says (%(default)s)",
    )
    parser.add_argument(
        "--bearer",
        action="store_true",
        help="no join file but a token that a client without a certificate shows with its calls"
        " (authorization: Bearer), a gRPC client or an agent of Istio's; as often as it likes",
    )
    parser.add_argument("-o", "--output", metavar="FILE", default="-", help="- is standard output")
    return parser.parse_args(argv)


def _refuse(message: str) -> int:
    print(f"mesh token: {message}", file=sys.stderr)
    return 1
