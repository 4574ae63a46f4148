"""A process that reads whole segments for their sidecars: `python -m`, its folder and segments as JSON on stdin.

For a run at work it writes those that are missing; for `verify` it compares those that are there, and says a line of
JSON for each. It ends at the first thing that it does not expect, or when whoever started it has ended: a sidecar that
isn't there costs a reading, and what it has not compared, `verify` does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from herogen_async.core import codec
from herogen_async.core.errors import HerogenError
from herogen_async.generation.journal.own_process import lineage_of
from herogen_async.generation.journal.sidecar.build import sidecar_from_lines
from herogen_async.generation.journal.sidecar.sidecar import sidecar_at
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.run_folder.disk import REAL, Disk, put
from herogen_async.generation.run_folder.layout import sidecar_of
from herogen_async.specs.plan import Plan

_NICER = 10  # than the run that it writes for

LikeItsLines = Literal["same", "other", "misfit"]


def write_sidecar(segment: Path, plan: Plan, disk: Disk = REAL) -> bool:
    """See to it that a sealed segment has a sidecar; False where its lines don't give one.

    Raises OSError, RunFolderError, DamageError when that can't be.
    """
    if sidecar_at(segment, plan) is not None:
        return True
    sidecar = sidecar_from_lines(segment, plan)
    if sidecar is None:
        return False
    put(disk, sidecar_of(segment), sidecar.in_bytes())
    return True


def compare_sidecar(segment: Path, plan: Plan) -> LikeItsLines:
    """What the sidecar of a segment is to its lines; "misfit": it is not used. As damage in them is told by others, one
    that they don't give is no other one.

    Raises OSError, RunFolderError, DamageError when they can't be read.
    """
    said = sidecar_at(segment, plan)
    if said is None:
        return "misfit"
    found = sidecar_from_lines(segment, plan)
    return "same" if found is None or found.same(said) else "other"


def main() -> int:
    """0 when all is done."""
    parent = os.getppid()
    given = codec.loads(sys.stdin.buffer.read())
    if not given["compares"]:
        os.nice(_NICER)
    folder = RunFolder(Path(given["folder"]))
    try:
        lineage = lineage_of(given)
        if lineage is None:
            return 1
        for number in given["segments"]:
            if os.getppid() != parent:
                return 1
            path, plan = folder.segment(number), lineage.eras[lineage.era(number)].plan
            if given["compares"]:
                sys.stdout.buffer.write(codec.dumps([number, compare_sidecar(path, plan)]) + b"\n")
                sys.stdout.buffer.flush()
            else:
                write_sidecar(path, plan)
    except (OSError, HerogenError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
