#!/usr/bin/env python3
"""Prints what the extras named on the command line ask for: pyproject.toml is the one list."""

import sys
import tomllib
from pathlib import Path


def main(extras: list[str]) -> int:
    document = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    project = document["project"]
    asked = list(project["dependencies"])
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    own = f"{project['name']}["
    print("\n".join(sorted({name for name in asked if not name.startswith(own)})))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
