"""What `unlike` costs: microseconds an answer by how many there are, bytes of memory each, and how long a resume takes.

    python benchmarks/near_copies.py [--answers 100000] [--words 100] [--most 100] [--dir DIR]

Each answer is random words, and so like no other: the usual case, in which it is looked for and then held. For the
resume a journal of `--answers` lines is written by the journal's own code, replayed, and all of them are taken in.
Exit code 1 when an answer takes longer than `--most`.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from herogen_async.core.shingles import bands_for
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.engine.near_copies import NearCopies
from herogen_async.generation.journal import row_line
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.read.row_outcomes import replay_noting
from herogen_async.generation.journal.write.store import Batch, Store
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.session.compared import compared_answers
from herogen_async.specs.plan import Lineage, Plan
from herogen_async.specs.spec import Spec

WORDS = [f"word{number}" for number in range(5000)]
GROUP = 200  # answers that are timed together


def text(drawn: random.Random, words: int) -> str:
    return " ".join(drawn.choices(WORDS, k=words))


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def looked_up(unlike: float, answers: int, words: int) -> tuple[float, float, float]:
    """Microseconds an answer among the first tenth and among the last, and bytes each; the best of some hundreds."""
    drawn, near, before, took = random.Random(1), NearCopies("c", unlike, print), peak_bytes(), []
    for first in range(0, answers, GROUP):
        texts = [text(drawn, words) for _ in range(GROUP)]
        start = time.perf_counter()
        for place, each in enumerate(texts):
            near.look(first + place, each)
        took.append((time.perf_counter() - start) / GROUP * 1e6)
    tenth = max(len(took) // 10, 1)
    return min(took[:tenth]), min(took[-tenth:]), (peak_bytes() - before) / answers


def resumed(folder: RunFolder, answers: int, words: int) -> tuple[float, float]:
    """Seconds of the replay, and of taking in what later answers are compared with."""
    spec = Spec(
        name="b",
        attributes={"n": [str(number) for number in range(answers)]},
        columns={"c": {"prompt": "say {n}", "unlike": 0.7}},
    )
    plan, drawn, now = Plan(spec, endpoint="chat", model="m"), random.Random(2), datetime.now(UTC)
    folder.create()
    store, batch = Store(folder, keeps=False), Batch()
    store.open()
    usage = {"prompt_tokens": 50, "completion_tokens": 60, "total_tokens": 110}
    for row in range(plan.rows):
        answer = Completion(text(drawn, words), "stop", "m", usage, f"req_{row}")
        call = plan.open_row(row).preview(0)
        batch.rows.append(row_line(call, answer, attempts=1, latency_ms=500.0, at=now))
        if len(batch.rows) > 2000:
            store.write(batch)
    store.write(batch)
    store.sync()
    start = time.perf_counter()
    found, places = replay_noting(folder, Lineage(plan), {0})
    read = time.perf_counter()
    with LineReader(folder, places) as reader:
        near = compared_answers(plan, found, places, reader, notice=print)
    if len(near["c"]) != answers:
        raise SystemExit(f"{len(near['c'])} of {answers} answers were taken in")
    return read - start, time.perf_counter() - read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=100, help="of an answer")
    parser.add_argument("--most", type=float, default=100.0, help="microseconds that an answer may take")
    parser.add_argument("--dir", type=Path, help="for the journal; a temporary folder when left out")
    options = parser.parse_args()
    slowest = 0.0
    for unlike in (0.7, 0.9, 0.5):
        first, last, held = looked_up(unlike, options.answers, options.words)
        slowest = max(slowest, last if unlike == 0.7 else 0)
        bands = f"{bands_for(unlike)} bands"
        size = f", {held:,.0f} bytes each" if unlike == 0.7 else ""  # later ones reuse the memory of the first
        print(
            f"unlike {unlike} ({bands}): {first:.1f} us an answer at first, {last:.1f} us at the end{size}", flush=True
        )
    with tempfile.TemporaryDirectory(dir=options.dir) as work:
        replayed, taken = resumed(RunFolder(Path(work) / "run"), options.answers, options.words)
    print(
        f"resume of {options.answers:,} answers: {replayed:.1f} s to read the journal, {taken:.1f} s to compare with it"
    )
    if slowest > options.most:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
