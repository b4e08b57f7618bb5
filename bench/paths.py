"""Where things lie: the benchmark needs a checkout, because it builds its load generator."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
LOADGEN = ROOT / "bench" / "loadgen"
RESULTS = ROOT / "bench" / "results"
