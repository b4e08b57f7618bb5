"""How command lines are read, by all commands the same."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Wrong flags are exit code 1, as with kubectl: 2 and more are what programs end with."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}\n{self.format_usage()}", end="", file=sys.stderr)
        raise SystemExit(1)
