"""How fast and in how much memory a data set is looked at: rows a second and MB for 10,000 and 100,000 answers.

    python benchmarks/quality.py [ROWS ...]

The answers are 150 words of a small vocabulary, a fiftieth of them copies with one word changed. Without the
[quality] extra the two checks that need it are left out, and the line says so. Linux only: it reads /proc.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from herogen_async.data.quality import Example, Inspector
from herogen_async.specs.sources.cells import cells_from

WORDS = [
    f"{start}{middle}{end}"
    for start in "bdfgklmnprst"
    for middle in ("a", "e", "io", "ou")
    for end in ("lden", "r", "sk", "ving")
]


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def look_at(rows: int) -> str:
    """Inspect `rows` made-up answers; a line of the table."""
    draw = random.Random(1)
    attributes = {"n": [str(number) for number in range(rows)]}
    texts = [" ".join(draw.choices(WORDS, k=150)) for _ in range(500)]
    inspector = Inspector(cells_from(attributes), 1, separator=" ->", lead=" ", ending=" END")
    before_mb, spent_s = resident_mb(), 0.0
    for number in range(rows):
        text = texts[number % 500] if number % 50 == 0 else " ".join(draw.choices(WORDS, k=150))
        words = text.split()
        words[draw.randrange(len(words))] = "other"
        each = Example(number, {"n": str(number)}, 0, f"prompt {number}", " ".join(words), "stop", None, None)
        started = time.process_time()
        inspector.add(each)
        spent_s += time.process_time() - started
    started = time.process_time()
    quality = inspector.finish()
    spent_s += time.process_time() - started
    grown_mb = resident_mb() - before_mb
    undone = f", not looked for: {', '.join(quality.undone)}" if quality.undone else ""
    near = quality.count("near-duplicate")
    return f"| {rows:,} | {spent_s:.1f} | {rows / spent_s:,.0f} | {grown_mb:.0f} | {near:,}{undone} |"


def main() -> None:
    """Each size in a process of its own: memory that was given back is not seen again."""
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        print(look_at(int(sys.argv[2])))
        return
    print("| rows | s of CPU | rows/s | MB | near-duplicates |\n|---|---|---|---|---|", flush=True)
    for rows in sys.argv[1:] or ["10000", "100000"]:
        subprocess.run([sys.executable, __file__, "--one", rows], check=True)


if __name__ == "__main__":
    main()
