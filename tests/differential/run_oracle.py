"""Runs groups on the stock Envoy and writes the golden records.

python -m tests.differential.run_oracle [group ...] [--dry] [--bootstrap]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.differential import oracle
from tests.differential.compare import differences
from tests.differential.groups import GROUPS
from tests.differential.lab import Lab
from tests.support.proxies import ENVOY


def main(argv: list[str]) -> int:
    """Entry point."""
    names = [a for a in argv if not a.startswith("-")]
    for group in GROUPS:
        if names and group.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                lab = Lab(ENVOY, group, Path(folder))
            except RuntimeError as error:
                print(f"== {group.name}: {error}")
                continue
            try:
                if "--bootstrap" in argv:
                    print(lab.bootstrap())
                old = oracle.load(group)
                new = {}
                changed = []
                for case in group.cases:
                    known = old.get(case.id)
                    new[case.id] = oracle.describe(case, lab.observe(case))
                    if known is not None and differences(
                        known, new[case.id], case.ignore, any_order=case.any_order
                    ):
                        changed.append(case.id)
            finally:
                lab.stop()
        print(f"{group.name}: {len(new)} cases, changed: {changed}")
        if "--dry" not in argv:
            oracle.save(group, new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
