"""Where things lie: what is built, installed and written goes into the checkout one stands in."""

from pathlib import Path

#: Beside this file, in a checkout and when installed.
LOADGEN = Path(__file__).resolve().parent / "loadgen"


def checkout(start: Path) -> Path:
    """The checkout that holds `start`, or `start` itself."""
    above = (folder for folder in (start, *start.parents) if (folder / "bench/loadgen").is_dir())
    return next(above, start)


ROOT = checkout(Path.cwd())
CACHE = ROOT / ".cache"
RESULTS = ROOT / "bench" / "results"
