"""How long until the first request where the cells are records of a file, and in how much memory?

    python benchmarks/sources.py [--records 1000000] [--format parquet] [--limit 200] [--json FILE]

A file with so many records of three fields, times two attributes of two values, is asked up to the limit: with no index
at hand, and again by another run, which finds the one that the first has made. The first request is timed by the
server's clock, against the moment just before our process was started. The CPU time of the whole process says what that
takes where others use the machine, too.

Violations: other prompts at the server than rows of the limit; an index that was made twice. Exit code 1 if there is
any.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import measure

_PARQUET = """
import sys, pyarrow as pa, pyarrow.parquet as pq
path, size = sys.argv[1], int(sys.argv[2])
writer = None
for start in range(0, size, 100_000):
    numbers = range(start, min(size, start + 100_000))
    table = pa.table({"id": [f"{n:08}" for n in numbers], "topic": [f"topic {n % 10}" for n in numbers],
        "problem": [f"Find the sum, the product, the limit and the integral of {n * 7919 % size}." for n in numbers]})
    writer = writer or pq.ParquetWriter(path, table.schema)
    writer.write_table(table)
writer.close()
"""


def write_records(path: Path, size: int) -> None:
    """A file of `size` records; Parquet by a process of its own, as this one has to stay small."""
    if path.suffix == ".parquet":
        subprocess.run([sys.executable, "-c", _PARQUET, str(path), str(size)], check=True)
        return
    with path.open("w") as file:
        if path.suffix == ".csv":
            file.write("id,topic,problem\n")
        for number in range(size):
            text = f"Find the sum, the product, the limit and the integral of {number * 7919 % size}."
            if path.suffix == ".csv":
                file.write(f'{number:08},topic {number % 10},"{text}"\n')
            else:
                file.write(json.dumps({"id": f"{number:08}", "topic": f"topic {number % 10}", "problem": text}) + "\n")


def write_spec(path: Path, source: Path) -> None:
    """Four cells a record."""
    spec = {
        "name": "sources",
        "source": str(source),
        "attributes": {"level": ["easy", "hard"], "style": ["dry", "warm"]},
        "prompt": "As {level} and {style} as you can: {problem}",
        "sampling": {"max_tokens": 50},
    }
    path.write_text(json.dumps(spec))


def one_run(spec: Path, run: Path, indexes: Path, limit: int) -> dict[str, float]:
    """Times and memory of one process, and how many rows it has written."""
    with measure.fast_server() as server:
        command = [*measure.our_run(spec, run, server), "--limit", str(limit)]
        environment = measure.child_env(HEROGEN_SOURCES_DIR=str(indexes))
        usage = measure.run_child(command, log=run.with_suffix(".log"), env=environment)
        first_s = server.statistics()["first_at"] - usage.started_at
    return {
        "first_request_s": round(first_s, 2),
        "cpu_s": round(usage.cpu_s, 2),
        "peak_mb": round(usage.peak_mb, 1),
        "rows": measure.our_rows(run),
    }


def main() -> int:
    """Measure, print, and say by the exit code whether all was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--format", choices=("parquet", "csv", "jsonl"), default="parquet")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source, spec, indexes = work / f"seeds.{options.format}", work / "spec.json", work / "indexes"
        write_records(source, options.records)
        write_spec(spec, source)
        runs = [one_run(spec, work / name, indexes, options.limit) for name in ("first", "second")]
        made = list(indexes.glob("*.idx"))
        sizes = {"source_mb": source.stat().st_size, "index_mb": sum(each.stat().st_size for each in made)}
        found: dict[str, Any] = {
            "records": options.records,
            "format": options.format,
            "without_index": runs[0],
            "with_index": runs[1],
            **{name: round(size / 1e6, 1) for name, size in sizes.items()},
            "rss_floor_mb": round(measure.rss_floor_mb(), 1),
            "machine": measure.machine(),
        }
        violations = [f"{each['rows']:,} rows, not {options.limit:,}" for each in runs if each["rows"] != options.limit]
        if len(made) != 1:
            violations.append(f"{len(made)} indexes were made")
    print(json.dumps({**found, "violations": violations}, indent=2))
    if options.json:
        options.json.write_text(json.dumps({**found, "violations": violations}))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
