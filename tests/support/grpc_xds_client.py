"""gRPC's own xDS clients, each in a process of its own (its bootstrap is read once): each line of
input is a number of calls to the target; each line of output says who answered how many."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc

METHOD = "/test.Greeter/Greet"
REPO = Path(__file__).resolve().parents[2]
#: The client of Python, which is that of gRPC's C core.
PYTHON = (sys.executable, "-m", "tests.support.grpc_xds_client")


@dataclass
class Greeter:
    """A server that says its name. Use as a context manager."""

    name: str
    port: int = field(init=False)

    def __enter__(self) -> Self:
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        _, service, method = METHOD.split("/")

        def greet(_: object, __: object) -> bytes:
            return self.name.encode()

        handlers = {method: grpc.unary_unary_rpc_method_handler(greet)}
        handler = grpc.method_handlers_generic_handler(service, handlers)
        self._server.add_generic_rpc_handlers((handler,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()


class GrpcXdsClient:
    """Use as a context manager. `node`: as in the bootstrap; `command`: whose client."""

    def __init__(
        self, port: int, node: dict[str, Any], target: str, command: tuple[str, ...] = PYTHON
    ) -> None:
        bootstrap = {
            "xds_servers": [
                {
                    "server_uri": f"127.0.0.1:{port}",
                    "channel_creds": [{"type": "insecure"}],
                    "server_features": ["xds_v3"],
                }
            ],
            "node": node,
        }
        self._process = subprocess.Popen(
            [*command, target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPO,
            env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def call(self, times: int) -> dict[str, int]:
        """Answers by what they say; what went wrong is an answer, too."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(times, file=self._process.stdin, flush=True)
        found: dict[str, int] = json.loads(self._process.stdout.readline())
        return found


def main() -> None:
    channel = grpc.insecure_channel(sys.argv[1])
    greet = channel.unary_unary(METHOD)
    for line in sys.stdin:
        answers: collections.Counter[str] = collections.Counter()
        for _ in range(int(line)):
            try:
                answers[greet(b"", timeout=30, wait_for_ready=True).decode()] += 1
            except grpc.RpcError as error:
                answers[str(error)] += 1
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
