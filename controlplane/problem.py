"""What is wrong with a resource, said to the person who must mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a resource was read: a file, and the line (1-based) on which its document begins."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


#: What is wrong with one resource in more ways than this is not told whole.
MOST = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, below one resource."""

    #: Field path as in the YAML: `spec.http[0].route[1].destination.host`; "" is all of it.
    path: str
    #: Why it is refused and what to do, without a full stop.
    reason: str
    #: 1-based line of the field in the file; 0 when it did not come from a file.
    line: int = 0
    #: The resource is taken all the same.
    warning: bool = False
    #: Of a text inside of the field: how many lines further down.
    lines_below: int = 0


def bounded(problems: Iterable[Problem]) -> list[Problem]:
    """The first of them, and a word about the others. What refuses is never left out for what only
    warns."""
    kept: list[Problem] = []
    refuses = more = False
    for one in problems:
        if len(kept) < MOST:
            kept.append(one)
        elif not one.warning and not refuses:
            kept[-1] = one
            more = True
        else:
            more = True
        refuses = refuses or not one.warning
        if more and refuses:
            break
    if more:
        kept.append(Problem("", f"and more; these are {MOST} of them", warning=not refuses))
    return kept


def shown(value: object, most: int = 60) -> str:
    """A value of the user's, short enough for a message."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


class Refused(Exception):
    """A resource cannot be taken. `str()` is one line per problem, each with the place first."""

    def __init__(
        self,
        kind: str,
        namespace: str,
        name: str,
        problems: list[Problem],
        origin: Origin | None = None,
    ) -> None:
        super().__init__(kind, namespace, name)
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.problems = problems
        self.origin = origin

    def __str__(self) -> str:
        return "\n".join(self._line(problem) for problem in self.problems)

    def _line(self, problem: Problem) -> str:
        where = ""
        if self.origin is not None:
            where = f"{self.origin.file}:{problem.line or self.origin.line}: "
        what = f"{self.kind} {self.namespace}/{self.name}" if self.namespace else self.kind
        if not self.namespace and self.name:
            what += f" {self.name}"
        path = f"{problem.path}: " if problem.path else ""
        severity = "warning: " if problem.warning else ""
        return f"{where}{what}: {path}{severity}{problem.reason}"
