"""`--wait`: until what was written is at every sidecar, or who does not have it and why."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import Any, Final

from controlplane.commands import client, common
from controlplane.commands.aligned import said
from controlplane.commands.common import CommandError
from controlplane.resources.schema import parse_duration
from controlplane.sources.store import Result

_PLAIN: Final = "30s"
_LONGEST: Final = 600.0
#: Beyond the time that the control plane is given to answer.
_SLACK: Final = 10.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    """`--wait`, `--timeout` and `--control`."""
    parser.add_argument(
        "--wait", action="store_true", help="until every sidecar concerned has it, or refuses it"
    )
    parser.add_argument(
        "--timeout", metavar="DURATION", help=f"how long --wait may take ({_PLAIN}, 10m at most)"
    )
    client.add_flag(parser)


def of(options: argparse.Namespace, *, dry: bool) -> Wait | None:
    """What the flags ask for. Raises CommandError."""
    if not options.wait:
        if options.timeout is not None:
            raise CommandError("--timeout is how long --wait may take; add --wait")
        return None
    if dry:
        raise CommandError("--wait: with --dry-run there is nothing to wait for")
    text = _PLAIN if options.timeout is None else options.timeout
    seconds = parse_duration(text)
    if seconds is None or not 0 < seconds <= _LONGEST:
        raise CommandError(f"--timeout {text}: must be a duration up to 10m: 30s, 1m30s")
    control = client.Control(options.control)
    # Before anything is written: is there somebody to wait for?
    now = control.ask("/api/v1/version")
    return Wait(control, float(seconds), now.get("revision", -1))


class Wait:
    """One wait, for all that a command has done."""

    def __init__(self, control: client.Control, seconds: float, since: int) -> None:
        """`since`: the control plane's revision before anything was written."""
        self._control = control
        self._since = since
        self._seconds = seconds

    def until(self, done: Sequence[Result], folder: str) -> int:
        """Says of each object how far it has come. Exit code 0 if all are everywhere."""
        deadline = time.monotonic() + self._seconds
        code = 0
        for one in done:
            left = max(0.0, deadline - time.monotonic())
            version = "" if one.outcome == "deleted" else one.version
            query = {
                "key": "/".join(one.key),
                "version": version,
                "since": str(self._since),
                "timeout": f"{left:.3f}",
            }
            try:
                answer = self._control.ask("/api/v1/wait", query, left + _SLACK)
            except KeyboardInterrupt:
                common.say(
                    "interrupted: what is written stays and goes on its way; `mesh status` says how"
                    " far it is"
                )
                raise
            code |= self._say(one, answer, folder)
        return code

    def _say(self, one: Result, answer: Any, folder: str) -> int:
        name = f"{common.resource_name(one.kind)}/{one.key.name}"
        state, text = answer["state"], answer["text"]
        if state == "SYNCED":
            end = "it is gone from all" if one.outcome == "deleted" else "all have it"
            meanwhile = f"; {text}" if text else ""
            told, proxies = answer["told"], answer["proxies"]
            whom = f"{told} of {proxies} proxies concerned, {end}"
            if not proxies:
                whom = "no proxy is connected"
            common.tell(f"{name}: {whom}{meanwhile}")
            return 0
        if state == "REFUSED":
            common.say(f"{name}: the control plane refuses it:\n{text}")
        elif state == "ABSENT":
            common.say(f"{name}: {text}{_elsewhere(answer['source'], folder)}")
        for lack in answer["lacking"]:
            word = {"ERROR": "refuses it", "NOT SENT": "was not sent it"}.get(
                lack["state"], "does not have it yet"
            )
            common.say(f"{name}: {lack['proxy']} {word}: {said(lack['text'])}")
        if answer["more"]:
            common.say(f"{name}: and {answer['more']} more proxies")
        return 1


def _elsewhere(source: str, folder: str) -> str:
    """Is it another folder that the control plane follows?"""
    followed = [os.path.realpath(part) for part in source.split(", ") if part.startswith("/")]
    if os.path.realpath(folder) in followed:
        return ""
    return f"; it was written to {folder}, and this control plane follows {source}"
