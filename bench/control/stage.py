"""The process under measure: a discovery server on a stage, told what to do on its standard input.

    python -m bench.control.stage MODULE:CLASS SERVICES ENDPOINTS SECONDS tls|plaintext

A stage is a class of (services, endpoints) with `world`, `translator` and `change_endpoint()`. One
JSON object a line, in and out.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
from dataclasses import replace
from time import monotonic
from typing import Any

import grpc

from bench import certificates
from controlplane import garbage
from controlplane.xds.identity import CertificateAuthenticator
from controlplane.xds.options import Debounce, Options
from controlplane.xds.server import DiscoveryServer


async def serve(stage: Any, quiet: float, security: str) -> None:
    options = Options(debounce=Debounce(quiet=quiet))
    if security == "tls":
        options = replace(options, secure="127.0.0.1:0", credentials=_credentials())
    else:
        options = replace(options, plaintext="127.0.0.1:0", trust_plaintext=True)
    authenticator = CertificateAuthenticator(frozenset({"cluster.local"}))
    server = DiscoveryServer(stage.world, stage.translator, authenticator, options)
    await server.start()
    say({"port": server.secure_port or server.plaintext_port})
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        asked = json.loads(line)
        match asked["do"]:
            case "change":
                began = monotonic()
                stage.change_endpoint()
                await server.changed()
                verdicts = await server.wait(stage.world.revision, asked["timeout"])
                states = [str(one.state) for one in verdicts]
                say({
                    "seconds": monotonic() - began,
                    "proxies": len(states),
                    "synced": states.count("SYNCED"),
                })  # fmt: skip
            case "status":
                gc.collect()
                verdicts = await server.wait(stage.world.revision, 0.0)
                say({"proxies": len(verdicts), "states": sorted({str(v.state) for v in verdicts})})
    await server.stop(1.0)


def _credentials() -> grpc.ServerCredentials:
    mine = certificates.SERVER
    pair = (mine.key.read_bytes(), mine.certificate.read_bytes())
    root = certificates.AUTHORITY.read_bytes()
    return grpc.ssl_server_credentials([pair], root, require_client_auth=True)


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def main(argv: list[str]) -> None:
    where, services, endpoints, quiet, security = argv
    # As `mesh control` does.
    garbage.look_rarely()
    module, _, name = where.partition(":")
    stage = getattr(importlib.import_module(module), name)(int(services), int(endpoints))
    asyncio.run(serve(stage, float(quiet), security))


if __name__ == "__main__":
    main(sys.argv[1:])
