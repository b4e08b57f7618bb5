"""`-o table|json|yaml`."""

from __future__ import annotations

import argparse
from typing import Any

from controlplane.sources import render


def add_flag(parser: argparse.ArgumentParser, default: str = "table") -> None:
    """`-o`."""
    parser.add_argument(
        "-o",
        "--output",
        default=default,
        type=_without_other_names,
        choices=("table", "json", "yaml"),
        help=f"how ({default}; short is table)",
    )


def _without_other_names(how: str) -> str:
    # istioctl's word.
    return "table" if how == "short" else how


def show(value: Any, how: str) -> None:
    """Prints a value as JSON or YAML."""
    text = render.to_json(value) if how == "json" else render.to_yaml(value)
    print(text, end="", flush=True)
