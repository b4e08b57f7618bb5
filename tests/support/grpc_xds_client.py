"""gRPC's own xDS client in a process of its own (its bootstrap is read once): each line of input is
a number of calls to `xds:///greeter`; each line of output says who answered how many."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

METHOD = "/test.Greeter/Greet"
REPO = Path(__file__).resolve().parents[2]


class GrpcXdsClient:
    """Use as a context manager."""

    def __init__(self, port: int, node: str) -> None:
        bootstrap = {
            "xds_servers": [
                {
                    "server_uri": f"127.0.0.1:{port}",
                    "channel_creds": [{"type": "insecure"}],
                    "server_features": ["xds_v3"],
                }
            ],
            "node": {"id": node},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.grpc_xds_client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPO,
            env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)},
        )

    def __enter__(self) -> GrpcXdsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def call(self, times: int) -> dict[str, int]:
        """Answers by what they say."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(times, file=self._process.stdin, flush=True)
        found: dict[str, int] = json.loads(self._process.stdout.readline())
        return found


def main() -> None:
    import grpc

    channel = grpc.insecure_channel("xds:///greeter")
    greet = channel.unary_unary(METHOD)
    for line in sys.stdin:
        answers: collections.Counter[str] = collections.Counter()
        for _ in range(int(line)):
            answers[greet(b"", timeout=30, wait_for_ready=True).decode()] += 1
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
