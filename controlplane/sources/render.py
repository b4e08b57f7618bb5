"""Objects to text that reads back as the same objects, here and in kubectl."""

from __future__ import annotations

import json
from typing import Any

import yaml
from yaml.nodes import ScalarNode

from controlplane.sources import scalars


def to_yaml(value: Any) -> str:
    """Block style, keys in their order, no aliases."""
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=10_000,
    )
    return text


def to_json(value: Any) -> str:
    return json.dumps(value, indent=4, ensure_ascii=False) + "\n"


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _string(dumper: _Dumper, text: str) -> ScalarNode:
    """In quotes if it would be no string without. PyYAML follows another grammar: it would write
    `y` and `017` bare, which Kubernetes reads as true and 15."""
    style = None
    if "\n" in text and text.replace("\n", "").isprintable():
        style = "|"
    elif not _bare(text):
        style = "'" if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _bare(text: str) -> bool:
    try:
        return scalars.resolve(text) == text
    except scalars.NotFinite:
        return False


_Dumper.add_representer(str, _string)
