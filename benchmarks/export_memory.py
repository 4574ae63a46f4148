"""Peak memory and time of an export, by the number of rows: what a row costs in memory should be nothing.

    python benchmarks/export_memory.py [--rows 250000 1000000 4000000] [--format parquet] [--pages N] [--source SRC]

The rows, of 1 kB each, are written by the journal's own code; each size is exported in a process of its own. `--source`
is the `src` of another checkout, to compare with: `git worktree add /tmp/before COMMIT`. `--pages` is how many pages of
places are held in memory (a page has 1,024 calls; the default holds eight million calls, so that a run has to be larger
before it needs a file). A million rows take 1 GB of disk and a minute.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import measure

_EXPORT = """
import json, sys
import herogen_async
from herogen_async.generation.journal.read import places
run, format, out, pages = sys.argv[1:]
if pages != "0":
    places.LinePlaces.__init__.__kwdefaults__["most_pages"] = int(pages)
print(json.dumps({"rows": herogen_async.export(run, format=format, out=out).rows}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 1_000_000, 4_000_000])
    parser.add_argument("--format", default="parquet", choices=["parquet", "csv", "jsonl"])
    parser.add_argument("--pages", type=int, default=0)
    parser.add_argument("--source", type=Path, help="the src folder of another checkout")
    parser.add_argument("--dir", type=Path, help="where the runs are written (default: a temporary folder)")
    options = parser.parse_args()
    env = measure.child_env(**({"PYTHONPATH": str(options.source)} if options.source else {}))
    print(f"{'rows':>12} {'peak MB':>8} {'CPU s':>7} {'wall s':>7} {'file MB':>8}")
    with tempfile.TemporaryDirectory(prefix="herogen-bench-", dir=options.dir) as folder:
        work = Path(folder)
        for rows in options.rows:
            run, out = work / "run", work / f"rows.{options.format}"
            steps = [sys.executable, measure.HERE / "recovery_steps.py", "write", run]
            measure.run_child([*steps, "--rows", str(rows), "--tasks", str(rows)], log=work / "child")
            exported = [sys.executable, "-c", _EXPORT, run, options.format, out, str(options.pages)]
            usage = measure.run_child(exported, log=work / "child", timeout_s=3600, env=env)
            if usage.last_line["rows"] != rows:
                raise SystemExit(f"{usage.last_line['rows']:,} of {rows:,} rows were exported")
            size_mb = out.stat().st_size / 1e6
            print(f"{rows:12,} {usage.peak_mb:8.0f} {usage.cpu_s:7.1f} {usage.wall_s:7.1f} {size_mb:8.1f}", flush=True)
            shutil.rmtree(run)
    print(f"peak MB can't read below {measure.rss_floor_mb():.0f} MB, the peak of this script")


if __name__ == "__main__":
    main()
