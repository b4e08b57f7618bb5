"""Shows bad bootstraps to the stock Envoy (--mode validate) and writes down what it says.

python -m tests.differential.run_validate_oracle
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.differential.admin_probe import FOLDER
from tests.differential.bad_configs import BAD, GOOD, ODD
from tests.support.proxies import envoy_binary


def validate(text: str, folder: Path) -> tuple[int, str]:
    """Exit code and the error text of Envoy, paths masked."""
    path = folder / "bootstrap.yaml"
    path.write_text(text)
    argv = [str(envoy_binary()), "--mode", "validate", "-c", str(path), "-l", "critical"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).replace(str(path), "<path>")
    said = re.sub(r"\[\d{4}-[^\]]*\]\[\d+\]", "", said)
    said = re.sub(r"\[source/[^\]]*\] ?", "", said)
    # Envoy prints the whole message, JSON keys in random order: keep what is said about it.
    said = re.sub(r"(?s)\): ?\{\".*", "): {...}", said)
    said = re.sub(r",?\s*near\s+\d+:\d+\s+\(offset\s+\d+\)", "", said)
    said = re.sub(r"(?s) goo\.gle/debug\w+ .*?(Proto constraint|$)", r" <message> \1", said)
    said = re.sub(r"(?s)^(.{200}).*?(: Proto constraint)", r"\1 <message> \2", said)
    return done.returncode, re.sub(r" +", " ", said).strip()[:900]


def main() -> int:
    """Entry point."""
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        code, said = validate(GOOD, Path(folder))
        assert code == 0, said
        for bad in [*BAD, *ODD]:
            code, said = validate(bad.text, Path(folder))
            change = {"instead of": bad.old[:200], "put": bad.new[:300]}
            out[bad.id] = {**change, "exit": code, "says": said.split("\n")}
            print(bad.id, code, said.replace("\n", " | "))
    (FOLDER / "validate.json").write_text(json.dumps(out, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
