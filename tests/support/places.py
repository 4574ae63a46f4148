"""Where the project's folders are."""

from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
SOURCE = ROOT / "src" / "herogen_async"
BENCHMARKS = ROOT / "benchmarks"
