"""A process that answers a line of JSON with a line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Self

from bench import processes
from bench.errors import BenchError


class Process:
    """Use as a context manager; leaving it ends the process."""

    def __init__(self, core: int, module: str, *arguments: object) -> None:
        command = [sys.executable, "-m", module, *map(str, arguments)]
        self._name = module
        self._process = subprocess.Popen(
            processes.pinned(core, command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        processes.stop(self._process)  # type: ignore[arg-type]  # text or not, it ends the same

    @property
    def pid(self) -> int:
        return self._process.pid

    def read(self) -> dict[str, Any]:
        """What it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"{self._name} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, **question: object) -> dict[str, Any]:
        """What it answers."""
        assert self._process.stdin is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return self.read()
