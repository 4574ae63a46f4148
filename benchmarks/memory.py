"""Peak memory of herogen-async for a small and a huge grid: what a row costs in memory should be next to nothing.

    python benchmarks/memory.py [--rows 10000 1000000] [--columns 3] [--json FILE]

Each size is generated against the fast server, then run again on the finished folder: that second run reads the whole
journal, must send nothing, and shows what resuming costs. A million rows take a minute or two and over 1 GB of disk;
of three columns, three times that.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grids
import measure

TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True)
class Peak:
    """One process. `step` is "generate" or "resume"; `expected` is how many requests it should have sent."""

    step: str
    rows: int
    expected: int
    requests: int
    doubled: int
    persisted: int
    peak_mb: float
    wall_s: float
    cpu_s: float
    disk_mb: float

    @property
    def ok(self) -> bool:
        return self.requests == self.expected and not self.doubled and self.persisted == self.rows


def peak_of(rows: int, work: Path, *, step: str, delay_ms: float, columns: int = 1) -> Peak:
    """Run our command on the grid of `rows` cells; the folder of an earlier step is used again."""
    spec, run = work / f"spec-{rows}.json", work / f"run-{rows}"
    if columns == 1:
        grids.write_spec(rows, spec)
    else:
        spec.write_text(json.dumps(grids.columns_spec(rows, columns=columns, answer=grids.TEXT)))
    with measure.fast_server(delay_ms) as server:
        usage = measure.run_child(measure.our_run(spec, run, server), log=work / "child", timeout_s=TIMEOUT_S)
        seen = server.statistics()
    return Peak(
        step=step,
        rows=rows,
        expected=rows * columns if step == "generate" else 0,
        requests=int(seen["requests"]),
        doubled=int(seen["doubled"]),
        persisted=measure.our_rows(run) // columns,
        peak_mb=usage.peak_mb,
        wall_s=usage.wall_s,
        cpu_s=usage.cpu_s,
        disk_mb=sum(path.stat().st_size for path in run.rglob("*") if path.is_file()) / 1e6,
    )


def check_disk(rows: int, folder: Path) -> None:
    """A row takes about 1.3 kB. Raises SystemExit when the disk can't hold the run."""
    needed, free = rows * 2000, shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(
            f"{rows:,} rows need about {needed / 1e9:.1f} GB in {str(folder)!r}; fix: --dir, or fewer --rows"
        )


def table(peaks: list[Peak]) -> str:
    lines = ["| rows | step | peak MB | wall s | CPU s | disk MB | requests | as expected |", "|---" * 8 + "|"]
    for peak in peaks:
        figures = f"{peak.peak_mb:.1f} | {peak.wall_s:.1f} | {peak.cpu_s:.1f} | {peak.disk_mb:.0f} | {peak.requests:,}"
        lines.append(f"| {peak.rows:,} | {peak.step} | {figures} | {'yes' if peak.ok else 'NO'} |")
    return "\n".join(lines)


def differences(peaks: list[Peak]) -> list[str]:
    """Largest against smallest, for each step."""
    lines = []
    for step in ("generate", "resume"):
        found = sorted((peak for peak in peaks if peak.step == step), key=lambda peak: peak.rows)
        small, large = found[0], found[-1]
        if large.rows > small.rows:
            more_mb = large.peak_mb - small.peak_mb
            per_row = more_mb * 1e6 / (large.rows - small.rows)
            lines.append(
                f"{step}: {more_mb:+.1f} MB from {small.rows:,} to {large.rows:,} rows, {per_row:.1f} bytes a row"
            )
    return lines


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--columns", type=int, default=1, choices=[1, grids.COLUMNS], help="calls of each row")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="of the server (default 0)")
    parser.add_argument("--dir", type=Path, help="where the runs are written (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    try:
        for rows in options.rows:
            grids.attributes(rows)
    except ValueError as error:
        parser.error(str(error))
    return options


def main() -> None:
    options = parse()
    peaks: list[Peak] = []
    with tempfile.TemporaryDirectory(prefix="herogen-bench-", dir=options.dir) as folder:
        work = Path(folder)
        for rows in options.rows:
            check_disk(rows * options.columns, work)
            for step in ("generate", "resume"):
                print(f"{step} {rows:,} rows", file=sys.stderr, flush=True)
                peaks.append(peak_of(rows, work, step=step, delay_ms=options.delay_ms, columns=options.columns))
            shutil.rmtree(work / f"run-{rows}")
    result: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/memory.py", *sys.argv[1:]]),
        "machine": measure.machine(),
        "versions": measure.versions(sys.executable, ("herogen-async", "pyreqwest", "orjson", "uvloop")),
        "rss_floor_mb": measure.rss_floor_mb(),
        "peaks": [asdict(peak) for peak in peaks],
    }
    print(table(peaks), "", *differences(peaks), "", sep="\n")
    print("machine:", ", ".join(f"{key} {value}" for key, value in result["machine"].items()))
    print("versions:", ", ".join(f"{name} {version}" for name, version in result["versions"].items()))
    print(f"peak MB can't read below {result['rss_floor_mb']:.0f} MB, the peak of this script")
    print("reproduce:", result["command"])
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if not all(peak.ok for peak in peaks):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
