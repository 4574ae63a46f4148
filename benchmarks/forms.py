"""What it costs to check an answer against its form, by the length of the answer: microseconds, the best of 20 rounds.

    python benchmarks/forms.py [--most 10]

Exit code 1 when a short answer takes longer than `--most`.
"""

from __future__ import annotations

import argparse
import json
import time

import grids
from herogen_async.specs.forms import form_of

ROUNDS, CHECKS = 20, 2000
SIZES = (30, 300, 1000)  # characters of the reason


def microseconds(answer: str) -> float:
    """Of one check, in the fastest round."""
    form, found = form_of(grids.FORM), []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CHECKS):
            form.read(answer)
        found.append(time.perf_counter() - start)
    return min(found) / CHECKS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=float, default=10.0, help="microseconds that a short answer may take")
    options = parser.parse_args()
    took = []
    for size in SIZES:
        answer = json.dumps({"score": 3, "why": ("it is good " * size)[:size]})
        took.append(microseconds(answer))
        print(f"answer of {len(answer):,} characters: {took[-1]:.1f} us a check")
    if took[0] > options.most:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
