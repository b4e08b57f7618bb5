"""The golden records: what the stock Envoy did, one readable JSON file per group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.differential.model import Ask, Case, Group
from tests.support.client import Step
from tests.support.upstream import Reply

FOLDER = Path(__file__).parent / "oracle"


def _step(step: Step | Ask) -> Any:
    if isinstance(step, Ask):
        shown: dict[str, Any] = {"headers": [f"{k}: {_part(v.encode())}" for k, v in step.headers]}
        if step.body is not None:
            shown["body"] = _part(step.body)
        if step.trailers is not None:
            shown["trailers"] = [f"{k}: {v}" for k, v in step.trailers]
        return shown
    if isinstance(step, bytes):
        text = step.decode("latin-1")
        return text if len(text) <= 400 else f"{text[:120]}...<{len(text)} bytes in all>"
    return f"<{step!r}>" if hasattr(step, "__dataclass_fields__") else f"<{type(step).__name__}>"


def _part(part: Any) -> Any:
    if isinstance(part, list):
        return [f"{k}: {v}" for k, v in part]
    if isinstance(part, tuple):
        return f"<{' '.join(map(str, part))}>"
    if isinstance(part, bytes):
        text = part.decode("latin-1")
        return text if len(text) <= 400 else f"{text[:120]}...<{len(text)} bytes in all>"
    return f"<{part}>" if isinstance(part, str) else f"<pause {part} s>"


def describe(case: Case, record: dict[str, Any]) -> dict[str, Any]:
    """The golden record of a case: question and answer."""
    question: dict[str, Any] = {"listener": case.listener, "send": [_step(s) for s in case.steps]}
    if case.note:
        question["note"] = case.note
    scripts = {
        name: [
            [
                *(["<at the head>"] if r.after == "head" else []),
                *map(_part, r.parts if isinstance(r, Reply) else r.steps),
            ]
            for r in replies
        ]
        for name, replies in case.scripts.items()
        if replies
    }
    if scripts:
        question["upstream_says"] = scripts
    return {**question, **record}


def path(group: Group) -> Path:
    """Where the group's records are."""
    return FOLDER / f"{group.name}.json"


def load(group: Group) -> dict[str, dict[str, Any]]:
    """The records by case id."""
    if not path(group).exists():
        return {}
    data: dict[str, dict[str, Any]] = json.loads(path(group).read_text())
    return data


def save(group: Group, records: dict[str, dict[str, Any]]) -> None:
    """Write the records of a group, in the order of its table."""
    ordered = {case.id: records[case.id] for case in group.cases if case.id in records}
    path(group).write_text(_dump(ordered) + "\n")


def _dump(value: Any, indent: int = 0) -> str:
    """JSON with whatever fits on a line on one line."""
    flat = json.dumps(value, ensure_ascii=True)
    if len(flat) + indent <= 110 or not isinstance(value, dict | list) or not value:
        return flat
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        items = [f"{json.dumps(k)}: {_dump(v, indent + 1)}" for k, v in value.items()]
    else:
        items = [_dump(v, indent + 1) for v in value]
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{opening}\n{pad}" + f",\n{pad}".join(items) + f"\n{' ' * indent}{closing}"
