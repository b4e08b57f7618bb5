"""`mesh apply|get|delete` with the kinds of `tests.support.kinds`, and writers that never rest.

Run as a program: `python -m tests.support.configuration COMMAND ARGUMENTS`.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

from controlplane.commands import apply, delete, get
from controlplane.resources.resource import Key
from controlplane.sources import document
from controlplane.sources.store import Conflict, Result, Store
from tests.support.kinds import KINDS, route

ROOT = Path(__file__).parents[2]


def command(*arguments: str) -> list[str]:
    """The command line of one of these."""
    return [sys.executable, "-m", "tests.support.configuration", *arguments]


def mesh(*arguments: str, text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs one to its end."""
    return subprocess.run(
        command(*arguments),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **variables},
        timeout=60,
    )


def write_for_ever(folder: str, first: int) -> None:
    """Writes numbers, one after the other, and says which of them are on the disk: an object with a
    file of its own, two that share somebody's file, and one that comes and goes."""
    store = Store(folder, KINDS)
    for number in itertools.count(first):
        for name in ("own", "shared-1", "shared-2", "guest"):
            _apply(store, route(name, f"h{number}"))
            print(name, number, flush=True)
        for result in store.delete([Key("Route", "default", "guest")]):
            assert isinstance(result, Result)
        print("guest", -1, flush=True)


def count(folder: str, times: int, own: str) -> None:
    """Adds to a number that others add to, and writes an object of its own into their file."""
    store = Store(folder, KINDS)
    for number in range(times):
        while True:
            (counter,) = (one for one in store.read() if one.key.name == "counter")
            value = int(counter.object()["spec"]["hosts"][0][1:])
            version = counter.version
            try:
                _apply(store, route("counter", f"h{value + 1}", resourceVersion=f"'{version}'"))
            except Conflict:
                continue
            break
        _apply(store, route(own, f"h{number}"))


def _apply(store: Store, text: str) -> None:
    for result in store.apply(document.read(text.encode(), "given").documents):
        if not isinstance(result, Result):
            raise result


def main(name: str, arguments: list[str]) -> int:
    if name == "write-for-ever":
        write_for_ever(arguments[0], int(arguments[1]))
    elif name == "count":
        count(arguments[0], int(arguments[1]), arguments[2])
    else:
        commands = {"apply": apply.main, "get": get.main, "delete": delete.main}
        return commands[name](arguments, KINDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
